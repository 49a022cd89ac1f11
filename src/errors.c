/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A ladder. Trampolines and kprobes on the functions of the system calls cost only who calls exec; the tracepoints make
 * every system call of the machine take the slow way, so they come last, and are spoken of. Whether a way works is found out by
 * trying it, since kernels, architectures and sandboxes forbid each for reasons of their own; a failed try leaves
 * nothing behind.
 *
 * The tracepoints need tracefs: where nobody mounted it, a mount of our own is made that has no place in the file tree
 * (fsmount(2)), so nothing on the machine changes.
 */
#include "errors.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "errors.skel.h"
#include "late.skel.h"

#if defined(__x86_64__)
#define NATIVE "__x64_sys_"
#define COMPAT "__ia32_compat_sys_"
#else
#define NATIVE "__arm64_sys_"
#define COMPAT "__arm64_compat_sys_"
#endif

/* The functions, natives first: those must be there. */
static const char *const functions[] = { NATIVE "execve", NATIVE "execveat", COMPAT "execve", COMPAT "execveat" };
#define FUNCTIONS 4
#define NATIVES 2

#define LINKS_MOST (2 * FUNCTIONS + 1)

struct errors {
	struct errors_bpf *skel;
	struct late_bpf *late;
	struct bpf_link *links[LINKS_MOST];
	size_t count;
	const char *kind;
	const char *missing; /* what the last try did not find, with a colon; or "" */
	char note[384];
};

/* What a try needs. */
struct rung {
	const struct settings *settings;
	const struct record_settings *config;
	int ring, shared;
};

static int keep(struct errors *e, struct bpf_link *link)
{
	if (!link)
		return -errno;
	e->links[e->count++] = link;
	return 0;
}

/* Back to nothing. */
static void undo(struct errors *e)
{
	while (e->count > 0)
		bpf_link__destroy(e->links[--e->count]);
	errors_bpf__destroy(e->skel);
	late_bpf__destroy(e->late);
	e->skel = NULL;
	e->late = NULL;
}

static int open_plain(struct errors *e, const struct rung *rung)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = rung->settings->probes.btf);
	int r;

	e->skel = errors_bpf__open_opts(&options);
	if (!e->skel)
		return -errno;
	e->skel->rodata_settings->settings = *rung->config;
	bpf_program__set_autoload(e->skel->progs.probe_exec_forget, true);
	r = bpf_map__reuse_fd(e->skel->maps.ring, rung->ring);
	return r < 0 ? r : bpf_map__reuse_fd(e->skel->maps.data_shared, rung->shared);
}

/* Trampolines. */

static int try_fexit(struct errors *e, const struct rung *rung)
{
	struct bpf_program *programs[2 * FUNCTIONS];
	const char *btf_path = rung->settings->probes.btf;
	struct btf *btf;
	int r = open_plain(e, rung);

	if (r < 0)
		return r;
	btf = btf_path ? btf__parse(btf_path, NULL) : btf__load_vmlinux_btf();
	if (!btf)
		return -errno;
	memcpy(programs,
	       (struct bpf_program *[]){ e->skel->progs.fentry_execve, e->skel->progs.fentry_execveat,
					 e->skel->progs.fentry_compat_execve, e->skel->progs.fentry_compat_execveat,
					 e->skel->progs.fexit_execve, e->skel->progs.fexit_execveat,
					 e->skel->progs.fexit_compat_execve, e->skel->progs.fexit_compat_execveat },
	       sizeof(programs));
	for (size_t i = 0; r == 0 && i < 2 * FUNCTIONS; i++) {
		const char *function = functions[i % FUNCTIONS];

		if (btf__find_by_name_kind(btf, function, BTF_KIND_FUNC) < 0) {
			r = i % FUNCTIONS < NATIVES ? -ENOENT : 0;
			programs[i] = NULL;
			continue;
		}
		bpf_program__set_autoload(programs[i], true);
		r = bpf_program__set_attach_target(programs[i], 0, function);
	}
	btf__free(btf);
	if (r == 0)
		r = errors_bpf__load(e->skel);
	for (size_t i = 0; r == 0 && i < 2 * FUNCTIONS; i++)
		if (programs[i])
			r = keep(e, bpf_program__attach(programs[i]));
	if (r == 0)
		r = keep(e, bpf_program__attach(e->skel->progs.probe_exec_forget));
	return r;
}

/* Kprobes. */

static int try_kprobe(struct errors *e, const struct rung *rung)
{
	struct bpf_program *programs[FUNCTIONS];
	int r = open_plain(e, rung);

	if (r < 0)
		return r;
	memcpy(programs,
	       (struct bpf_program *[]){ e->skel->progs.kprobe_execve, e->skel->progs.kprobe_execveat,
					 e->skel->progs.kprobe_compat_execve, e->skel->progs.kprobe_compat_execveat },
	       sizeof(programs));
	for (size_t i = 0; i < FUNCTIONS; i++)
		bpf_program__set_autoload(programs[i], true);
	bpf_program__set_autoload(e->skel->progs.kretprobe_leave, true);
	r = errors_bpf__load(e->skel);
	for (size_t i = 0; r == 0 && i < FUNCTIONS; i++) {
		r = keep(e, bpf_program__attach_kprobe(programs[i], false, functions[i]));
		if (r == 0)
			r = keep(e, bpf_program__attach_kprobe(e->skel->progs.kretprobe_leave, true, functions[i]));
		else if (i >= NATIVES)
			r = 0; /* a kernel without 32-bit programs */
	}
	if (r == 0)
		r = keep(e, bpf_program__attach(e->skel->progs.probe_exec_forget));
	return r;
}

/* Tracepoints. */

/* A descriptor of tracefs, wherever it is mounted, or of a mount that only we have. */
static int open_tracefs(void)
{
	static const char *const places[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
	_cleanup_close_ int fs = -1;
	bool denied = false;
	int fd;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		_cleanup_close_ int place = open(places[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		_cleanup_close_ int events = -1;

		/* Not access(2): that asks without capabilities. */
		if (place >= 0)
			events = openat(place, "events/syscalls", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (events >= 0)
			return TAKE_FD(place);
		denied |= place >= 0 && errno == EACCES;
	}
	fs = fsopen("tracefs", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return denied ? -EACCES : -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	return fd < 0 ? -errno : fd;
}

static int tracepoint_id(int tracefs, const char *name)
{
	char path[128], text[32];
	_cleanup_close_ int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "events/syscalls/%s/id", name);
	fd = openat(tracefs, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return n < 0 ? -errno : -EIO;
	text[n] = '\0';
	return atoi(text);
}

static int attach_tracepoint(struct bpf_link **ret, int tracefs, const char *name, const struct bpf_program *program)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr) };
	int id = tracepoint_id(tracefs, name), fd;
	struct bpf_link *link;

	if (id < 0)
		return id;
	attr.config = (uint64_t)id;
	fd = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return -errno;
	link = bpf_program__attach_perf_event(program, fd); /* takes fd over */
	if (!link) {
		int error = errno;

		close(fd);
		return -error;
	}
	*ret = link;
	return 0;
}

/* With task work where the kernel has it; without it, arguments that are not in memory are told as truncated. */
static int load_late(struct errors *e, const struct rung *rung)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = rung->settings->probes.btf);
	struct bpf_program *program;
	int r;

	e->late = late_bpf__open_opts(&options);
	if (!e->late)
		return -errno;
	e->late->rodata_settings->settings = *rung->config;
	bpf_object__for_each_program (program, e->late->obj)
		bpf_program__set_autoload(program, true);
	r = bpf_map__reuse_fd(e->late->maps.ring, rung->ring);
	if (r == 0)
		r = bpf_map__reuse_fd(e->late->maps.data_shared, rung->shared);
	if (r == 0)
		r = late_bpf__load(e->late);
	if (r < 0) {
		late_bpf__destroy(e->late);
		e->late = NULL;
	}
	return r;
}

static int load_tracepoints(struct errors *e, const struct rung *rung)
{
	int r = open_plain(e, rung);

	if (r < 0)
		return r;
	bpf_program__set_autoload(e->skel->progs.probe_enter_execve, true);
	bpf_program__set_autoload(e->skel->progs.probe_enter_execveat, true);
	bpf_program__set_autoload(e->skel->progs.probe_leave_execve, true);
	bpf_program__set_autoload(e->skel->progs.probe_leave_execveat, true);
	return errors_bpf__load(e->skel);
}

static int try_tracepoint(struct errors *e, const struct rung *rung)
{
	_cleanup_close_ int tracefs = open_tracefs();
	int r = tracefs < 0 ? tracefs : load_late(e, rung) < 0 ? load_tracepoints(e, rung) : 0;

	if (tracefs < 0)
		e->missing = tracefs == -EACCES ? "CAP_DAC_READ_SEARCH missing: " : "no tracefs: ";
	if (r < 0)
		return r;
	const struct {
		const char *name;
		const struct bpf_program *program;
	} wanted[] = {
		{ "sys_exit_execve", e->late ? e->late->progs.probe_leave_execve : e->skel->progs.probe_leave_execve },
		{ "sys_exit_execveat",
		  e->late ? e->late->progs.probe_leave_execveat : e->skel->progs.probe_leave_execveat },
		{ "sys_enter_execve", e->late ? e->late->progs.probe_enter_execve : e->skel->progs.probe_enter_execve },
		{ "sys_enter_execveat",
		  e->late ? e->late->progs.probe_enter_execveat : e->skel->progs.probe_enter_execveat },
	};
	for (size_t i = 0; r >= 0 && i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		struct bpf_link *link = NULL;

		r = attach_tracepoint(&link, tracefs, wanted[i].name, wanted[i].program);
		if (r >= 0)
			r = keep(e, link);
	}
	if (r >= 0)
		r = keep(e, bpf_program__attach(e->late ? e->late->progs.probe_exec_forget
							: e->skel->progs.probe_exec_forget));
	return r;
}

static const struct {
	enum errors_probe asked;
	const char *kind, *note;
	int (*attempt)(struct errors *e, const struct rung *rung);
} ladder[] = {
	{ ERRORS_FEXIT, "fexit", "by trampolines (fexit)", try_fexit },
	{ ERRORS_KPROBE, "kprobe", "by kprobes", try_kprobe },
	{ ERRORS_TRACEPOINT, "tracepoint",
	  "by the syscall tracepoints, which make every system call on the machine a little slower; errors = off in "
	  "[probes] does without",
	  try_tracepoint },
};

int errors_new(struct errors **ret, const struct settings *settings, const struct record_settings *config, int ring,
	       int shared)
{
	_cleanup_(errors_free_p) struct errors *e = calloc(1, sizeof(*e));
	const struct rung rung = { settings, config, ring, shared };
	char why[256] = "";

	if (!e)
		return -ENOMEM;
	e->kind = settings->probes.errors == ERRORS_OFF ? "off" : "none";
	for (size_t i = 0; i < sizeof(ladder) / sizeof(ladder[0]) && strcmp(e->kind, "none") == 0; i++) {
		size_t used = strlen(why);
		int r;

		if (settings->probes.errors != ERRORS_AUTO && settings->probes.errors != ladder[i].asked)
			continue;
		e->missing = "";
		r = ladder[i].attempt(e, &rung);
		if (r >= 0) {
			e->kind = ladder[i].kind;
			snprintf(e->note, sizeof(e->note), "%s%s%s%s", ladder[i].note, *why ? " (" : "", why,
				 *why ? ")" : "");
			break;
		}
		undo(e);
		snprintf(why + used, sizeof(why) - used, "%s%s: %s%s", used ? ", " : "", ladder[i].kind, e->missing,
			 strerror(-r));
	}
	if (strcmp(e->kind, "none") == 0)
		snprintf(e->note, sizeof(e->note), "cannot be seen: %s", why);
	*ret = TAKE_PTR(e);
	return 0;
}

struct errors *errors_free(struct errors *e)
{
	if (!e)
		return NULL;
	undo(e);
	free(e);
	return NULL;
}

const char *errors_kind(const struct errors *e)
{
	return e->kind;
}

const char *errors_note(const struct errors *e)
{
	return e->note;
}

struct bpf_program *errors_next_program(const struct errors *e, struct bpf_program *program)
{
	if (e->late)
		return bpf_object__next_program(e->late->obj, program);
	return e->skel ? bpf_object__next_program(e->skel->obj, program) : NULL;
}

struct bpf_link *errors_link(const struct errors *e, size_t i)
{
	return i < e->count ? e->links[i] : NULL;
}
