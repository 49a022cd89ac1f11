/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Everything comes from the path, without asking systemd or a container runtime: it must work for
 * processes that are gone, and take a microsecond.
 *
 * The unit is that of sd_pid_get_user_unit(3) or, without one, of sd_pid_get_unit(3), as seen from
 * the host:
 *
 *  - Slices come first in a path; the name after them is the unit if it is a valid name of one. What is
 *    below belongs to the unit itself (Delegate=): the sub-cgroups of a service, or a whole second systemd in a
 *    container, whose own units are not the host's: /machine.slice/machine-x.scope/payload/system.slice/foo.service is
 *    machine-x.scope.
 *  - The one manager that is followed is that of a user (user@UID.service, capsule@NAME.service), which runs on the
 *    host: below it the same rule finds the user's unit. Its own processes are in an init.scope, as those of pid 1.
 *    Without a unit below (a process in a slice of the user, say) it is the manager's service.
 *  - A process in a slice and in no unit below it has the innermost slice; a path without either has no unit.
 *  - A leading '_' is taken off: systemd puts it before names that would clash with the kernel's files (cpu.service).
 *    Escapes stay (foo\x2dbar.service): they are part of a unit's name wherever systemd shows it.
 *
 * The container is the innermost name on the path that one of these rules knows. A name that a
 * container's root made up below its own cgroup is believed too: the path holds no more than names.
 *
 *  - 64 hexadecimal digits, alone or after '-' or ':', with or without ".scope": docker, podman (libpod-,
 *    libpod-payload-), containerd (cri-containerd-, nerdctl-), cri-o (crio-), kubepods/.../pod<uid>/<id>. No list of
 *    runtimes, so that one of next year is known as well. Not PREFIXconmon-<id>: that monitors the container from
 *    outside; nor <id>.service: podman's health checks run on the host too.
 *  - 32 hexadecimal digits, '-' and decimal digits, with or without ".scope": ECS on Fargate, whose containers are
 * called by the task and a number (/ecs/<task>/<task>-<number>).
 *  - lxc.payload.NAME, and NAME in a folder lxc, lxc.payload, garden, mesos or buildkit. (lxc.monitor.NAME is outside.)
 * Garden may have its containers in garden/good and garden/bad (its CPU throttling).
 *  - systemd-machined's machine-NAME.scope, and systemd-nspawn@NAME.service; NAME.scope right below machine.slice if
 *    it has a folder "payload". What is in the folder "supervisor" is systemd-nspawn itself, outside. Machines
 *    of libvirt's qemu driver are no containers: what runs there is the hypervisor.
 *
 * A name that its user chose, in a folder that does not show it (/default/NAME of ctr(8), /NAME of
 * runc(8)), is not known.
 *
 * The pod is the innermost name that kubelet gives to the cgroup of one (GetPodCgroupNameSuffix() and ToSystemd() in
 * pkg/kubelet/cm): pod<uid> in a folder kubepods, burstable or besteffort; with systemd
 * [PREFIX-]kubepods[-burstable|-besteffort]-pod<uid>.slice, with '_' for each '-' of the uid. containerd without
 * SystemdCgroup under a kubelet with systemd makes one name of the slice and the container:
 * kubepods-pod<uid>.slice:cri-containerd:<id>. The uid is a UUID, or 32 hexadecimal digits: a hash, of a static pod.
 */
#include "model/cgroup.h"

#define ID_DIGITS 64
#define TASK_DIGITS 32

/* Removes the first name from the path. False at the end. */
static bool name_next(struct bytes *path, struct bytes *ret)
{
	const char *p = path->data, *end, *slash;

	if (!p)
		return false;
	end = p + path->size;
	while (p < end && *p == '/')
		p++;
	if (p == end)
		return false;
	slash = memchr(p, '/', (size_t)(end - p));
	if (!slash)
		slash = end;
	*ret = (struct bytes){ p, (size_t)(slash - p) };
	*path = (struct bytes){ slash, (size_t)(end - slash) };
	return true;
}

static bool take_start(struct bytes *name, struct bytes start)
{
	if (name->size < start.size || memcmp(name->data, start.data, start.size) != 0)
		return false;
	*name = (struct bytes){ name->data + start.size, name->size - start.size };
	return true;
}

static bool take_end(struct bytes *name, struct bytes end)
{
	if (name->size < end.size || memcmp(name->data + name->size - end.size, end.data, end.size) != 0)
		return false;
	name->size -= end.size;
	return true;
}

static bool is(struct bytes name, const char *text)
{
	return bytes_equal(name, bytes_of(text));
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Units. */

enum unit_kind { UNIT_NONE, UNIT_SLICE, UNIT_OTHER };

static bool is_unit_byte(char c)
{
	return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c != '\0' && strchr(":-_.\\@", c));
}

/* systemd.unit(5): "foo.service", "foo@bar.service", not the template "foo@.service". A slice has
 * no instances. */
static enum unit_kind unit_kind(struct bytes name)
{
	static const char *const types[] = { "service",	  "scope",  "socket", "mount", "swap",
					     "automount", "target", "timer",  "path",  "device" };
	const char *dot, *at;
	struct bytes type;

	if (name.size < 3 || name.size >= CGROUP_NAME_SIZE)
		return UNIT_NONE;
	dot = memrchr(name.data, '.', name.size);
	if (!dot || dot == name.data)
		return UNIT_NONE;
	for (size_t i = 0; i < name.size; i++)
		if (!is_unit_byte(name.data[i]))
			return UNIT_NONE;
	at = memchr(name.data, '@', (size_t)(dot - name.data));
	if (at && (at == name.data || at + 1 == dot))
		return UNIT_NONE;
	type = (struct bytes){ dot + 1, (size_t)(name.data + name.size - dot - 1) };
	if (is(type, "slice"))
		return at ? UNIT_NONE : UNIT_SLICE;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (is(type, types[i]))
			return UNIT_OTHER;
	return UNIT_NONE;
}

/* Skips the slices before the unit. *ret_slice is unchanged if there are none. */
static bool unit_next(struct bytes *path, struct bytes *ret_slice, struct bytes *ret_unit)
{
	struct bytes name;

	while (name_next(path, &name)) {
		take_start(&name, BYTES("_"));
		switch (unit_kind(name)) {
		case UNIT_SLICE:
			*ret_slice = name;
			break;
		case UNIT_OTHER:
			*ret_unit = name;
			return true;
		case UNIT_NONE:
			return false;
		}
	}
	return false;
}

static bool is_user_manager(struct bytes unit)
{
	if (!take_end(&unit, BYTES(".service")))
		return false;
	if (take_start(&unit, BYTES("capsule@")))
		return unit.size > 0;
	if (!take_start(&unit, BYTES("user@")) || unit.size == 0)
		return false;
	for (size_t i = 0; i < unit.size; i++)
		if (!is_digit(unit.data[i]))
			return false;
	return true;
}

struct bytes cgroup_unit(struct bytes path)
{
	struct bytes slice = BYTES_NONE, user_slice, unit, user_unit;

	if (!unit_next(&path, &slice, &unit))
		return slice;
	if (is_user_manager(unit) && unit_next(&path, &user_slice, &user_unit))
		return user_unit;
	return unit;
}

/* Containers. */

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f');
}

static bool all_hex(struct bytes name)
{
	for (size_t i = 0; i < name.size; i++)
		if (!is_hex(name.data[i]))
			return false;
	return true;
}

/* A task's digits, '-', and a number. */
static bool task_id(struct bytes name, struct bytes *ret)
{
	take_end(&name, BYTES(".scope"));
	if (name.size < TASK_DIGITS + 2 || !all_hex((struct bytes){ name.data, TASK_DIGITS }) ||
	    name.data[TASK_DIGITS] != '-')
		return false;
	for (size_t i = TASK_DIGITS + 1; i < name.size; i++)
		if (!is_digit(name.data[i]))
			return false;
	*ret = name;
	return true;
}

static bool hex_id(struct bytes name, struct bytes *ret)
{
	struct bytes id, before;

	take_end(&name, BYTES(".scope"));
	if (name.size < ID_DIGITS)
		return false;
	id = (struct bytes){ name.data + name.size - ID_DIGITS, ID_DIGITS };
	if (!all_hex(id))
		return false;
	before = (struct bytes){ name.data, name.size - ID_DIGITS };
	if (before.size > 0) {
		if (!take_end(&before, BYTES("-")) && !take_end(&before, BYTES(":")))
			return false;
		if (take_end(&before, BYTES("conmon")))
			return false;
	}
	*ret = id;
	return true;
}

static int hex_value(char c)
{
	return is_digit(c) ? c - '0' : is_hex(c) ? c - 'a' + 10 : -1;
}

/* Undoes \xNN. Other names are unchanged, also those that systemd would not write for a machine. */
static struct bytes unescape(struct bytes name, char buffer[static CGROUP_NAME_SIZE])
{
	size_t size = 0;

	if (name.size > CGROUP_NAME_SIZE || !memchr(name.data, '\\', name.size))
		return name;
	for (size_t i = 0; i < name.size; i++) {
		char c = name.data[i];

		if (c == '\\') {
			int high, low;

			if (name.size - i < 4 || name.data[i + 1] != 'x')
				return name;
			high = hex_value(name.data[i + 2]);
			low = hex_value(name.data[i + 3]);
			if (high < 0 || low < 0)
				return name;
			c = (char)(high << 4 | low);
			if (c <= ' ' || c > '~' || c == '/')
				return name;
			i += 3;
		}
		buffer[size++] = c;
	}
	return (struct bytes){ buffer, size };
}

/* The name of a machine of systemd-machined or systemd-nspawn, still escaped. */
static bool machine_name(struct bytes parent, struct bytes name, struct bytes child, struct bytes *ret)
{
	if (is(child, "supervisor"))
		return false;
	if (take_end(&name, BYTES(".scope"))) {
		if (!take_start(&name, BYTES("machine-")) && !(is(parent, "machine.slice") && is(child, "payload")))
			return false;
	} else if (!take_start(&name, BYTES("systemd-nspawn@")) || !take_end(&name, BYTES(".service"))) {
		return false;
	}
	if (name.size == 0)
		return false;
	*ret = name;
	return !take_start(&name, BYTES("qemu\\x2d")) && !take_start(&name, BYTES("qemu-"));
}

static bool lxc_name(struct bytes name, struct bytes *ret)
{
	if (!take_start(&name, BYTES("lxc.payload.")) || name.size == 0)
		return false;
	*ret = name;
	return true;
}

/* Garden's folder, which may have a tag. */
static bool is_garden(struct bytes name)
{
	return is(name, "garden") || take_start(&name, BYTES("garden-"));
}

/* The folder makes the name an id. */
static bool is_container_folder(struct bytes name)
{
	static const char *const folders[] = { "lxc", "lxc.payload", "mesos", "buildkit" };

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (is(name, folders[i]))
			return true;
	return is_garden(name);
}

struct bytes cgroup_container_id(struct bytes path, char buffer[static CGROUP_NAME_SIZE])
{
	struct bytes parent = BYTES_NONE, name, child, id, found = BYTES_NONE;
	bool escaped = false;

	if (!name_next(&path, &name))
		return BYTES_NONE;
	for (;;) {
		if (!name_next(&path, &child))
			child = BYTES_NONE;
		id = name;
		if (is_garden(parent) && child.data && (is(name, "good") || is(name, "bad"))) {
			name = child;
			continue;
		}
		if (hex_id(name, &id) || task_id(name, &id) || lxc_name(name, &id) || is_container_folder(parent)) {
			found = id;
			escaped = false;
		} else if (machine_name(parent, name, child, &id)) {
			found = id;
			escaped = true;
		}
		if (!child.data)
			return escaped ? unescape(found, buffer) : found;
		parent = name;
		name = child;
	}
}

/* Pods. */

#define HASH_DIGITS 32

static bool is_uuid(const char *text)
{
	for (size_t i = 0; i < CGROUP_POD_SIZE; i++) {
		bool separates = i == 8 || i == 13 || i == 18 || i == 23;

		if (separates ? text[i] != '-' && text[i] != '_' : !is_hex(text[i]))
			return false;
	}
	return true;
}

/* Takes the uid off the end. */
static bool take_uid(struct bytes *name, struct bytes *ret)
{
	struct bytes uid;

	if (name->size >= CGROUP_POD_SIZE && is_uuid(name->data + name->size - CGROUP_POD_SIZE))
		uid = (struct bytes){ name->data + name->size - CGROUP_POD_SIZE, CGROUP_POD_SIZE };
	else if (name->size >= HASH_DIGITS)
		uid = (struct bytes){ name->data + name->size - HASH_DIGITS, HASH_DIGITS };
	else
		return false;
	if (uid.size == HASH_DIGITS && !all_hex(uid))
		return false;
	name->size -= uid.size;
	*ret = uid;
	return true;
}

/* What precedes "pod" in the name of its slice. */
static bool is_pod_slice(struct bytes before)
{
	if (!take_end(&before, BYTES("-burstable-")) && !take_end(&before, BYTES("-besteffort-")) &&
	    !take_end(&before, BYTES("-")))
		return false;
	return take_end(&before, BYTES("kubepods")) && (before.size == 0 || take_end(&before, BYTES("-")));
}

static bool pod_uid(struct bytes parent, struct bytes name, struct bytes *ret)
{
	const char *colon = memchr(name.data, ':', name.size);
	struct bytes uid;
	bool is_slice;

	if (colon)
		name.size = (size_t)(colon - name.data);
	is_slice = take_end(&name, BYTES(".slice"));
	if (!take_uid(&name, &uid) || !take_end(&name, BYTES("pod")))
		return false;
	if (is_slice
		    ? !is_pod_slice(name)
		    : name.size > 0 || !(is(parent, "kubepods") || is(parent, "burstable") || is(parent, "besteffort")))
		return false;
	*ret = uid;
	return true;
}

struct bytes cgroup_pod_uid(struct bytes path, char buffer[static CGROUP_POD_SIZE])
{
	struct bytes parent = BYTES_NONE, name, found = BYTES_NONE;

	for (; name_next(&path, &name); parent = name)
		pod_uid(parent, name, &found);
	if (!found.data || !memchr(found.data, '_', found.size))
		return found;
	for (size_t i = 0; i < found.size; i++)
		buffer[i] = found.data[i] == '_' ? '-' : found.data[i];
	return (struct bytes){ buffer, found.size };
}
