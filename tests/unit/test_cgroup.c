/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Paths as they are found on machines, with the unit by sd_pid_get_unit(3) and sd_pid_get_user_unit(3). */
#include "model/cgroup.h"
#include "tap.h"

#define A64 "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970"
#define B64 "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d"
#define T32 "34dc0b5e626f2c5c4c5170e34b10e765"
#define POD "12345678_90ab_cdef_1234_567890abcdef"
#define USER "/user.slice/user-1000.slice/user@1000.service"

struct expected {
	const char *path;
	const char *found; /* NULL: none */
};

/* In a block of its own size, so that valgrind and ASan see a read beyond it. */
static struct bytes copy_of(const char *path)
{
	char *copy = malloc(strlen(path) + 1);

	CHECK(copy);
	memcpy(copy, path, strlen(path) + 1);
	copy = realloc(copy, strlen(path) ? strlen(path) : 1);
	CHECK(copy);
	return (struct bytes){ copy, strlen(path) };
}

enum what { UNIT, CONTAINER, POD_UID };

static struct bytes find(enum what what, struct bytes path, char buffer[static CGROUP_NAME_SIZE])
{
	return what == UNIT	   ? cgroup_unit(path)
	       : what == CONTAINER ? cgroup_container_id(path, buffer)
				   : cgroup_pod_uid(path, buffer);
}

static void check(const struct expected *e, size_t n, enum what what)
{
	for (size_t i = 0; i < n; i++) {
		struct bytes path = copy_of(e[i].path);
		char buffer[CGROUP_NAME_SIZE], found[5000] = "(none)";
		struct bytes is = find(what, path, buffer);

		if (is.data)
			snprintf(found, sizeof(found), "%.*s", (int)is.size, is.data);
		if (strcmp(found, e[i].found ? e[i].found : "(none)") != 0)
			printf("# %s\n", e[i].path);
		CHECK_STR(found, e[i].found ? e[i].found : "(none)");
		free((char *)path.data);
	}
}
#define UNITS(...)                                           \
	do {                                                 \
		const struct expected e[] = { __VA_ARGS__ }; \
		check(e, sizeof(e) / sizeof(e[0]), UNIT);    \
	} while (0)
#define CONTAINERS(...)                                        \
	do {                                                   \
		const struct expected e[] = { __VA_ARGS__ };   \
		check(e, sizeof(e) / sizeof(e[0]), CONTAINER); \
	} while (0)
#define PODS(...)                                            \
	do {                                                 \
		const struct expected e[] = { __VA_ARGS__ }; \
		check(e, sizeof(e) / sizeof(e[0]), POD_UID); \
	} while (0)

TEST(unit_is_the_first_name_below_the_slices)
{
	UNITS({ "/system.slice/sshd.service", "sshd.service" }, { "/init.scope", "init.scope" },
	      { "/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service" },
	      { "/system.slice/dbus.socket", "dbus.socket" }, { "/system.slice/home.mount", "home.mount" },
	      { "/system.slice/dev-sda2.swap", "dev-sda2.swap" },
	      { "/user.slice/user-1000.slice/session-3.scope", "session-3.scope" },
	      { "/user.slice/user-0.slice/session-c1.scope", "session-c1.scope" },
	      { "/system.slice/system-postgresql.slice/postgresql@15-main.service", "postgresql@15-main.service" },
	      { "/foo.service", "foo.service" },
	      { "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator", "machine-qemu\\x2d1\\x2dvm.scope" },
	      { "/machine.slice/libpod-" A64 ".scope/container", "libpod-" A64 ".scope" });
}

TEST(unit_keeps_its_escapes)
{
	UNITS({ "/system.slice/foo\\x2dbar.service", "foo\\x2dbar.service" },
	      { "/system.slice/system-systemd\\x2dfsck.slice/systemd-fsck@dev-disk-by\\x2duuid-AB.service",
		"systemd-fsck@dev-disk-by\\x2duuid-AB.service" });
}

TEST(unit_loses_the_underscore_that_systemd_added)
{
	UNITS({ "/system.slice/_cpu.service", "cpu.service" },
	      { "/_memory.slice/_memory-x.slice/_pids.service", "pids.service" },
	      { "/system.slice/__foo.service", "_foo.service" }, { "/_cpu.slice", "cpu.slice" });
}

TEST(path_below_a_unit_does_not_change_it)
{
	UNITS({ "/system.slice/docker.service/foo", "docker.service" },
	      { "/system.slice/containerd.service/kubepods-burstable-pod" POD ".slice:cri-containerd:" A64,
		"containerd.service" },
	      { "/system.slice/a.service/b.service/c.service", "a.service" },
	      { "/system.slice/a.service/system.slice/b.service", "a.service" },
	      { "/machine.slice/machine-x.scope/payload/system.slice/foo.service", "machine-x.scope" },
	      { "/machine.slice/machine-x.scope/payload/init.scope", "machine-x.scope" },
	      { "/machine.slice/systemd-nspawn@x.service/payload/user.slice/user-1.slice/user@1.service/a.service",
		"systemd-nspawn@x.service" },
	      { "/user.slice/user-1000.slice/session-2.scope/foo.service", "session-2.scope" });
}

TEST(user_manager_is_followed_to_the_user_unit)
{
	UNITS({ USER "/app.slice/app-foo.service", "app-foo.service" }, { USER "/init.scope", "init.scope" },
	      { USER "/app.slice/app-gnome-org.gnome.Terminal.slice/vte-spawn-12.scope", "vte-spawn-12.scope" },
	      { USER "/session.slice/org.gnome.Shell@wayland.service", "org.gnome.Shell@wayland.service" },
	      { USER "/dbus.service", "dbus.service" },
	      { USER "/app.slice/foo.service/payload/bar.service", "foo.service" },
	      { USER "/user.slice/libpod-" A64 ".scope/container", "libpod-" A64 ".scope" },
	      { "/capsule.slice/capsule@box.service/app.slice/x.service", "x.service" });
}

TEST(user_manager_without_a_unit_below_is_the_unit)
{
	UNITS({ USER, "user@1000.service" }, { USER "/", "user@1000.service" },
	      { USER "/app.slice", "user@1000.service" }, { USER "/session.slice/x", "user@1000.service" },
	      { USER "/foo", "user@1000.service" }, { USER "/foo/bar.service", "user@1000.service" },
	      /* One manager is followed, not one that calls itself so. */
	      { USER "/user@1000.service/x.service", "user@1000.service" },
	      { "/system.slice/user@x.service/x.service", "user@x.service" },
	      { "/system.slice/xuser@1.service/x.service", "xuser@1.service" },
	      { "/system.slice/user@1.scope/x.service", "user@1.scope" });
}

TEST(process_in_a_slice_has_the_innermost_slice)
{
	UNITS({ "/system.slice", "system.slice" }, { "/user.slice/user-1000.slice", "user-1000.slice" },
	      { "/user.slice/user-1000.slice/", "user-1000.slice" }, { "/system.slice/made-by-hand", "system.slice" },
	      { "/system.slice/getty####@tty6.service/xxx", "system.slice" },
	      { "/user.slice/user-1000.slice/user@.service/server.service", "user-1000.slice" },
	      { "/kubepods.slice/kubepods-pod" POD ".slice/" A64, "kubepods-pod" POD ".slice" });
}

TEST(path_without_units_has_no_unit)
{
	UNITS({ "/", NULL }, { "", NULL }, { "//", NULL }, { "/docker/" A64, NULL },
	      { "/lxc.payload.c1/init.scope", NULL }, { "/kubepods/burstable/pod" POD "/" A64, NULL },
	      { "/../../foo.service", NULL }, { "/..", NULL }, { "/foo/bar.service", NULL },
	      { "/user/1000.user/1.session", NULL });
	CHECK(!cgroup_unit(BYTES_NONE).data);
}

TEST(invalid_unit_names_are_no_unit)
{
	char name[300] = "/", expected[300];

	UNITS({ "/.service", NULL }, { "/@.service", NULL }, { "/@x.service", NULL }, { "/x@.service", NULL },
	      { "/x.", NULL }, { "/x", NULL }, { "/x.exe", NULL }, { "/a b.service", NULL }, { "/\xff.service", NULL },
	      { "/x.services", NULL }, { "/x@y.slice", NULL }, { "/_", NULL }, { "/x@y@z.service", "x@y@z.service" });
	memset(name + 1, 'a', 247);
	strcpy(name + 248, ".service"); /* 255 bytes: the longest */
	strcpy(expected, name + 1);
	UNITS({ name, expected });
	memset(name + 1, 'a', 248);
	strcpy(name + 249, ".service");
	UNITS({ name, NULL });
}

TEST(unit_has_no_nul_bytes)
{
	CHECK(!cgroup_unit(BYTES("/a\0b.service")).data);
	CHECK(!cgroup_unit(BYTES("/a.service\0")).data);
}

TEST(unit_points_into_the_path)
{
	struct bytes path = BYTES("/system.slice/_cpu.service/x"), unit = cgroup_unit(path);

	CHECK(unit.data == path.data + 15 && unit.size == 11);
}

TEST(docker_container_has_its_id)
{
	CONTAINERS({ "/system.slice/docker-" A64 ".scope", A64 }, { "/docker/" A64, A64 },
		   { "/docker/" A64 "/init", A64 }, { "/docker/" A64 "/docker/" B64, B64 }, { "/" A64, A64 },
		   { "/system.slice/docker.service", NULL }, { "/docker", NULL },
		   { "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" A64 ".scope", A64 },
		   { "/docker/buildkit/l9z3xkzsv5kqzjf9vlrrwuqno", "l9z3xkzsv5kqzjf9vlrrwuqno" });
}

TEST(podman_container_has_its_id)
{
	CONTAINERS({ "/machine.slice/libpod-" A64 ".scope", A64 },
		   { "/machine.slice/libpod-" A64 ".scope/container", A64 },
		   { "/machine.slice/libpod-conmon-" A64 ".scope", NULL }, { "/libpod_parent/libpod-" A64, A64 },
		   { "/libpod_parent/conmon", NULL },
		   { "/machine.slice/machine-libpod_pod_" B64 ".slice/libpod-" A64 ".scope", A64 },
		   { "/machine.slice/machine-libpod_pod_" B64 ".slice", NULL },
		   { USER "/user.slice/libpod-" A64 ".scope/container", A64 },
		   { USER "/user.slice/libpod-conmon-" A64 ".scope", NULL },
		   { USER "/user.slice/user-libpod_pod_" B64 ".slice/libpod-" A64 ".scope/container", A64 },
		   { USER "/app.slice/web.service/libpod-payload-" A64, A64 },
		   { USER "/app.slice/web.service/runtime", NULL },
		   { "/system.slice/web.service/libpod-payload-" A64, A64 },
		   { "/system.slice/web.service/supervisor", NULL }, { "/system.slice/" A64 ".service", NULL },
		   { "/system.slice/" A64 "-5e7d2c.service", NULL });
}

TEST(kubernetes_container_has_its_id)
{
	CONTAINERS({ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" POD ".slice/cri-containerd-" A64
		     ".scope",
		     A64 },
		   { "/kubepods.slice/kubepods-pod" POD ".slice/crio-" A64 ".scope", A64 },
		   { "/kubepods.slice/kubepods-pod" POD ".slice/crio-" A64 ".scope/container", A64 },
		   { "/kubepods.slice/kubepods-pod" POD ".slice/crio-conmon-" A64 ".scope", NULL },
		   { "/kubepods.slice/kubepods-pod" POD ".slice", NULL },
		   { "/kubepods.slice/kubepods-pod" POD ".slice/docker-" A64 ".scope", A64 },
		   { "/kubepods/besteffort/pod12345678-90ab-cdef-1234-567890abcdef/" A64, A64 },
		   { "/kubepods/burstable/pod12345678-90ab-cdef-1234-567890abcdef/crio-" A64, A64 },
		   { "/kubepods/burstable/pod12345678-90ab-cdef-1234-567890abcdef/crio-conmon-" A64, NULL },
		   { "/kubepods/burstable/pod12345678-90ab-cdef-1234-567890abcdef", NULL },
		   { "/system.slice/containerd.service/kubepods-burstable-pod" POD ".slice:cri-containerd:" A64, A64 },
		   { "/docker/" B64 "/kubelet.slice/kubelet-kubepods.slice/cri-containerd-" A64 ".scope", A64 },
		   { "/system.slice/nerdctl-" A64 ".scope", A64 }, { "/default/" A64, A64 },
		   { "/system.slice/kubelet.service", NULL });
}

#define UID "12345678-90ab-cdef-1234-567890abcdef"

TEST(process_of_a_pod_has_its_uid)
{
	/* kubelet with systemd, and containerd, CRI-O, docker: each class of service, and the pod's own cgroup. */
	PODS({ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" POD ".slice/cri-containerd-" A64
	       ".scope",
	       UID },
	     { "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" POD ".slice/docker-" A64 ".scope",
	       UID },
	     { "/kubepods.slice/kubepods-pod" POD ".slice/crio-" A64 ".scope/container", UID },
	     { "/kubepods.slice/kubepods-pod" POD ".slice/crio-conmon-" A64 ".scope", UID },
	     { "/kubepods.slice/kubepods-pod" POD ".slice", UID });
	/* With cgroupfs (also k3s, GKE, minikube with docker). */
	PODS({ "/kubepods/burstable/pod" UID "/" A64, UID }, { "/kubepods/besteffort/pod" UID "/crio-" A64, UID },
	     { "/kubepods/pod" UID "/" A64, UID }, { "/kubepods/besteffort/pod" UID, UID });
	/* Static pods. */
	PODS({ "/kubepods/burstable/pod" T32 "/" A64, T32 },
	     { "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" T32 ".slice/crio-" A64 ".scope",
	       T32 });
	/* kind, with either; minikube in docker. */
	PODS({ "/docker/" B64 "/kubelet/kubepods/besteffort/pod" UID "/" A64, UID },
	     { "/system.slice/docker-" B64
	       ".scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
	       "kubelet-kubepods-besteffort-pod" POD ".slice/cri-containerd-" A64 ".scope",
	       UID },
	     { "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" POD ".slice/cri-containerd-" A64 ".scope",
	       UID },
	     { "/system.slice/docker-" B64 ".scope/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" POD
	       ".slice/docker-" A64 ".scope",
	       UID });
	/* Only kubelet uses systemd; before systemd's '-' were escaped. */
	PODS({ "/system.slice/containerd.service/kubepods-besteffort-pod" POD ".slice:cri-containerd:" A64, UID },
	     { "/kubepods-pod" POD ".slice:cri-containerd:" A64, UID },
	     { "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID ".slice/docker-" A64 ".scope",
	       UID });
	/* A cluster within a pod. */
	PODS({ "/kubepods/pod" T32 "/" A64 "/kubelet/kubepods/burstable/pod" UID "/" B64, UID },
	     { "/kubepods/pod" UID "/" A64 "/x/y", UID });
}

TEST(other_paths_are_of_no_pod)
{
	PODS({ "/", NULL }, { "", NULL }, { "/kubepods", NULL }, { "/kubepods/burstable", NULL },
	     { "/kubepods.slice/kubepods-burstable.slice", NULL }, { "/pod" UID, NULL }, { "/a/pod" UID "/" A64, NULL },
	     { "/kubepods/pod", NULL }, { "/kubepods/pod" UID "0", NULL }, { "/kubepods/" UID, NULL },
	     { "/kubepods/podx" UID, NULL }, { "/kubepods/xpod" UID, NULL },
	     { "/kubepods/pod1234567890ab-cdef-1234-567890abcdef", NULL }, { "/kubepods/pod" UID ".slice", NULL },
	     { "/kubepods.slice/kubepods-guaranteed-pod" UID ".slice", NULL },
	     { "/kubepods.slice/kubepods-pod" POD ".scope", NULL }, { "/xkubepods-pod" POD ".slice", NULL },
	     { "/kubepods-burstable-pod" T32 "0.slice", NULL }, { "/pod" POD ".slice", NULL },
	     { "/kubepodspod" POD ".slice", NULL },
	     { "/machine.slice/machine-libpod_pod_" B64 ".slice/libpod-" A64 ".scope", NULL },
	     { "/system.slice/kubelet.service", NULL });
}

TEST(lxc_container_has_its_name)
{
	CONTAINERS({ "/lxc.payload.c1", "c1" }, { "/lxc.payload.c1/system.slice/ssh.service", "c1" },
		   { "/lxc.monitor.c1", NULL }, { "/lxc.monitor/c1", NULL }, { "/lxc.pivot", NULL },
		   { "/lxc/c1", "c1" }, { "/lxc/101/ns/init.scope", "101" }, { "/lxc.payload/c1/x", "c1" },
		   { "/lxc", NULL }, { "/lxc.payload", NULL }, { "/lxc.payload.", NULL },
		   { "/lxc.payload/lxc.payload.", "lxc.payload." }, { USER "/lxc.payload.my.box/init.scope", "my.box" },
		   { "/lxc.payload.c1/system.slice/docker-" A64 ".scope", A64 },
		   { "/lxc.payload.c1/system.slice/docker-conmon-" A64 ".scope", "c1" },
		   { "/lxc.payload.c1/lxc.payload.c2/x", "c2" }, { "/lxc.payload.c1/lxc.monitor.c2", "c1" },
		   { "/system.slice/lxc.service", NULL });
}

TEST(machine_has_its_unescaped_name)
{
	CONTAINERS({ "/machine.slice/machine-web.scope", "web" },
		   { "/machine.slice/machine-web.scope/payload/init.scope", "web" },
		   { "/machine.slice/machine-web.scope/supervisor", NULL },
		   { "/machine.slice/machine-my\\x2dbox.scope/payload/system.slice/foo.service", "my-box" },
		   { "/machine.slice/systemd-nspawn@web.service/payload", "web" },
		   { "/machine.slice/systemd-nspawn@my-box.service/payload/init.scope", "my-box" },
		   { "/machine.slice/systemd-nspawn@my\\x2dbox.service", "my-box" },
		   { "/machine.slice/systemd-nspawn@web.service/supervisor", NULL },
		   { "/machine.slice/web.scope/payload/init.scope", "web" }, { "/machine.slice/web.scope", NULL },
		   { "/system.slice/web.scope/payload", NULL },
		   { "/machine.slice/machine-lxc\\x2d4321\\x2dweb.scope/libvirt", "lxc-4321-web" },
		   { "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator", NULL },
		   { "/machine.slice/machine-.scope", NULL }, { "/machine.slice/systemd-nspawn@.service", NULL },
		   { "/machine.slice", NULL }, { "/system.slice/systemd-machined.service", NULL },
		   { "/machine.slice/machine-a\\x2db.scope/payload/system.slice/docker-" A64 ".scope", A64 });
}

TEST(ecs_container_has_its_id)
{
	CONTAINERS({ "/ecs/" T32 "/" T32 "-1234567890", T32 "-1234567890" }, { "/ecs/" T32 "/" T32 "-7", T32 "-7" },
		   { "/ecs/" T32 "/" T32 "-1234567890/init.scope", T32 "-1234567890" },
		   { "/ecs/" T32 "/" T32 "-1234567890.scope", T32 "-1234567890" },
		   { "/ecs/" T32 "/" T32 "-1234567890/docker/" A64, A64 }, { "/ecs/" A64 "/" B64, B64 },
		   { "/ecs/55091c13-b8cf-4801-b527-f4601742204d/" A64, A64 },
		   { "/ecs/cluster/55091c13-b8cf-4801-b527-f4601742204d/" A64, A64 },
		   { "/ecstasks.slice/ecstasks-" T32 ".slice/docker-" A64 ".scope", A64 }, { "/ecs/" T32, NULL },
		   { "/ecs/" T32 "/" T32, NULL }, { "/ecs/" T32 "/" T32 "-", NULL },
		   { "/ecs/" T32 "/" T32 "-12a", NULL }, { "/ecs/" T32 "/x" T32 "-12", NULL },
		   { "/ecs/" T32 "/" T32 "0-12", NULL }, { "/ecs/" T32 "/" T32 "_12", NULL },
		   { "/ecs/" T32 "/" T32 "-12.service", NULL });
}

TEST(chosen_container_names_are_not_recognized)
{
	CONTAINERS({ "/default/web", NULL }, { "/web", NULL }, { "/system.slice/runc-web.scope", NULL },
		   { "/nomad.slice/share.slice/55091c13-b8cf-4801-b527-f4601742204d.web.scope", NULL });
}

TEST(folders_of_other_engines_are_recognized)
{
	CONTAINERS({ "/system.slice/garden.service/garden/2f3a4b5c-6d7e", "2f3a4b5c-6d7e" },
		   { "/garden/good/2f3a4b5c-6d7e", "2f3a4b5c-6d7e" },
		   { "/garden/bad/2f3a4b5c-6d7e/init", "2f3a4b5c-6d7e" },
		   { "/garden-7/2f3a4b5c-6d7e", "2f3a4b5c-6d7e" }, { "/garden/good", "good" },
		   { "/actions_job/" A64, A64 }, { "/k8s.io/" A64, A64 }, { "/moby/" A64, A64 },
		   { "/mesos/0b1c/mesos/2d3e", "2d3e" });
}

TEST(ordinary_paths_have_no_container)
{
	CONTAINERS({ "/", NULL }, { "", NULL }, { "///", NULL }, { "/init.scope", NULL },
		   { USER "/app.slice/foo.service", NULL }, { "/user.slice/user-1000.slice/session-3.scope", NULL },
		   { "/docker/4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c3842814297", NULL },
		   { "/docker/0" A64, NULL }, { "/docker/x" A64, NULL }, { "/docker/" A64 "0", NULL },
		   { "/docker/4F797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970", NULL },
		   { "/x/" A64 ".slice", NULL }, { "/x/_" A64, NULL }, { "/conmon-" A64, NULL });
	CHECK(!cgroup_container_id(BYTES_NONE, (char[CGROUP_NAME_SIZE]){ 0 }).data);
}

TEST(escapes_unknown_to_systemd_are_kept)
{
	char path[400] = "/machine.slice/machine-", expected[300];

	CONTAINERS({ "/machine-a\\x2.scope", "a\\x2" }, { "/machine-a\\.scope", "a\\" },
		   { "/machine-a\\xzz.scope", "a\\xzz" }, { "/machine-a\\x00b.scope", "a\\x00b" },
		   { "/machine-a\\x2fb.scope", "a\\x2fb" }, { "/machine-a\\xffb.scope", "a\\xffb" },
		   { "/machine-\\x2d\\x.scope", "\\x2d\\x" }, { "/lxc.payload.a\\x2db", "a\\x2db" });
	/* Longer than any name can be: nothing is written beyond the buffer. */
	memset(path + 23, '-', 300);
	memcpy(path + 23, "\\x2d", 4);
	strcpy(path + 323, ".scope");
	snprintf(expected, sizeof(expected), "\\x2d%.*s", 299 - 4, path + 27);
	struct bytes id = cgroup_container_id(bytes_of(path), (char[CGROUP_NAME_SIZE]){ 0 });
	CHECK(id.size == 300 && memcmp(id.data, expected, 299) == 0);
}

TAP_MAIN
