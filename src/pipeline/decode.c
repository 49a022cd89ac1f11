/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records also come from the probes of another version (a ring that outlived a restart) and from
 * fuzzers. So every part is checked against the record's size before it is looked at, and paths are
 * put together in memory of the result.
 */
#include "pipeline/decode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

/* Of a record: its bytes, and the size of the struct before its variable parts. */
struct view {
	const char *data;
	size_t size, fixed;
};

/* Of decoded.paths. */
enum { PATH_EXE, PATH_CWD, PATH_CGROUP };

/* A part as bytes; one of size 0 is not known. */
static int part_bytes(struct bytes *ret, const struct view *view, const struct part *part)
{
	if (part->size == 0) {
		*ret = BYTES_NONE;
		return 0;
	}
	if (part->offset < view->fixed || part->offset > view->size || part->size > view->size - part->offset)
		return -EBADMSG;
	*ret = (struct bytes){ view->data + part->offset, part->size };
	return 0;
}

/* What a fixed array holds up to its NUL. */
static struct bytes comm_bytes(const char *comm)
{
	return (struct bytes){ comm, strnlen(comm, RECORD_COMM_SIZE) };
}

/* cut: an empty component is in place of those that are left out, and becomes "..", which is no cgroup's name. */
static int join(struct bytes components, bool cut, char *ret, size_t size, struct bytes *ret_path)
{
	size_t at = size, left = components.size;
	const char *end;

	/* From the leaf up to the root in the record, so from the end of ret to its beginning. */
	while (left > 0) {
		const char *component = components.data + components.size - left;
		size_t length;

		end = memchr(component, '\0', left);
		if (!end)
			return -EBADMSG;
		length = (size_t)(end - component);
		left -= length + 1;
		if (length == 0 && cut) {
			component = "..";
			length = 2;
			cut = false;
		}
		if (length == 0 || length + 1 > at)
			return -EBADMSG;
		at -= length;
		memcpy(ret + at, component, length);
		ret[--at] = '/';
	}
	if (at == size) {
		if (size == 0)
			return -EBADMSG;
		ret[--at] = '/';
	}
	*ret_path = (struct bytes){ ret + at, size - at };
	return 0;
}

int decode_path(struct bytes components, char *ret, size_t size, struct bytes *ret_path)
{
	return join(components, false, ret, size, ret_path);
}

void decode_process(struct process *ret, const struct record_process *record)
{
	*ret = (struct process){
		.tgid = record->tgid,
		.start = record->start,
		.exec_id = record->exec_id,
		.ppid = record->ppid,
		.parent_start = record->parent_start,
		.uid = record->uid,
		.gid = record->gid,
		.euid = record->euid,
		.egid = record->egid,
		.caps = record->caps,
		.ids_known = true,
		.loginuid = record->loginuid,
		.session_id = record->session_id,
		.sid = record->sid,
		.pgid = record->pgid,
		.tty_major = record->tty_major,
		.tty_minor = record->tty_minor,
		.session_start = record->session_start,
		.ns_pid = record->ns_pid,
		.pid_ns = record->pid_ns,
		.mnt_ns = record->mnt_ns,
		.net_ns = record->net_ns,
		.user_ns = record->user_ns,
		.uts_ns = record->uts_ns,
		.ipc_ns = record->ipc_ns,
		.cgroup_ns = record->cgroup_ns,
		.time_ns = record->time_ns,
		.kernel_thread = record->flags & PROCESS_F_KTHREAD,
		.execed = record->flags & PROCESS_F_EXECED,
		.comm = comm_bytes(record->comm),
		/* No parent, no name of it. */
		.parent_comm = record->ppid ? comm_bytes(record->parent_comm) : BYTES_NONE,
	};
}

static int decode_fork(struct decoded *d, const struct record_fork *record, size_t size)
{
	if (size < sizeof(*record))
		return -EBADMSG;
	decode_process(&d->process, &record->process);
	d->process.forker = record->forker_tgid;
	d->process.forker_start = record->forker_start;
	d->caller_tid = record->forker_tid;
	return 0;
}

/* A path whose walk reached the root: an empty one is the root itself. */
static int path_part(struct bytes *ret, struct decoded *d, unsigned slot, const struct view *view,
		     const struct part *part)
{
	struct bytes components;
	int r = part_bytes(&components, view, part);

	return r < 0 ? r : decode_path(components, d->paths[slot], sizeof(d->paths[slot]), ret);
}

static void set_incomplete(struct image *image, bool incomplete, enum incomplete which)
{
	if (incomplete)
		image->incomplete |= INCOMPLETE_BIT(which);
}

/* Where the walk was cut, the components nearest to the leaf and to the root. */
static int decode_cgroup(struct decoded *d, const struct view *view, const struct part *cgroup, uint32_t flags)
{
	struct image *image = &d->process.image;
	struct bytes ends;
	int r;

	if (flags & PLACE_F_NO_CGROUP)
		return 0;
	if (!(flags & PLACE_F_CGROUP_CUT))
		return path_part(&image->cgroup, d, PATH_CGROUP, view, cgroup);
	r = part_bytes(&ends, view, cgroup);
	if (r < 0 || !ends.data)
		return r;
	return join(ends, true, d->paths[PATH_CGROUP], sizeof(d->paths[PATH_CGROUP]), &image->cgroup);
}

/* The same in exec and error records. A path that was cut is left out, and marked as incomplete. */
static int decode_place(struct decoded *d, const struct view *view, const struct part *cwd, const struct part *cgroup,
			const struct part *ancestors, uint32_t flags)
{
	struct image *image = &d->process.image;
	int r = flags & PLACE_F_CWD_CUT ? 0 : path_part(&image->cwd, d, PATH_CWD, view, cwd);

	if (r < 0)
		return r;
	r = decode_cgroup(d, view, cgroup, flags);
	if (r < 0)
		return r;
	set_incomplete(image, flags & PLACE_F_CWD_CUT, INCOMPLETE_CWD);
	set_incomplete(image, flags & PLACE_F_CGROUP_CUT && !(flags & PLACE_F_NO_CGROUP), INCOMPLETE_CGROUP);
	set_incomplete(image, flags & PLACE_F_ANCESTORS_CUT, INCOMPLETE_ANCESTORS);
	return part_bytes(&d->process.ancestors, view, ancestors);
}

/* "memfd:name": as in /proc/PID/exe, less " (deleted)". */
static int decode_anonymous(struct decoded *d, const struct view *view, const struct part *exe)
{
	struct image *image = &d->process.image;
	char *path = d->paths[PATH_EXE];
	struct bytes name;
	int r = part_bytes(&name, view, exe);

	if (r < 0 || name.size < 1 || name.size > sizeof(d->paths[PATH_EXE]) - 1)
		return -EBADMSG;
	path[0] = '/';
	memcpy(path + 1, name.data, name.size - 1);
	image->exe = (struct bytes){ path, name.size };
	image->exe_memfd = true;
	image->exe_deleted = true;
	return 0;
}

static int decode_exe(struct decoded *d, const struct record_exec *record, const struct view *view)
{
	struct image *image = &d->process.image;

	image->exe_inode = record->exe_inode;
	image->exe_ctime = record->exe_ctime;
	image->exe_ctime_known = record->exe_ctime != RECORD_NO_TIME;
	image->exe_dev_major = record->exe_dev_major;
	image->exe_dev_minor = record->exe_dev_minor;
	image->exe_deleted = record->flags & EXEC_F_EXE_DELETED;
	image->exe_upper = record->flags & EXEC_F_EXE_UPPER;
	set_incomplete(image, record->flags & EXEC_F_EXE_DEV, INCOMPLETE_EXE_DEV);
	if (record->flags & EXEC_F_EXE_ANON)
		return decode_anonymous(d, view, &record->exe);
	set_incomplete(image, record->flags & EXEC_F_EXE_CUT, INCOMPLETE_EXE);
	return record->flags & EXEC_F_EXE_CUT ? 0 : path_part(&image->exe, d, PATH_EXE, view, &record->exe);
}

static int decode_exec(struct decoded *d, const struct record_exec *record, size_t size)
{
	const struct view view = { (const char *)record, size, sizeof(*record) };
	struct image *image = &d->process.image;
	int r;

	if (size < sizeof(*record))
		return -EBADMSG;
	decode_process(&d->process, &record->process);
	d->caller_tid = record->old_tid;
	d->args_before = record->args_before;
	d->env_size = record->env_size;
	d->env_before = record->env_before;
	image->argc = record->argc;
	image->args_size = record->args_size;
	image->secureexec = record->flags & EXEC_F_SECURE;
	set_incomplete(image, record->flags & EXEC_F_FILENAME_CUT, INCOMPLETE_FILENAME);
	r = decode_exe(d, record, &view);
	if (r < 0)
		return r;
	r = decode_place(d, &view, &record->cwd, &record->cgroup, &record->ancestors, record->flags);
	if (r < 0)
		return r;
	r = part_bytes(&image->filename, &view, &record->filename);
	if (r < 0)
		return r;
	r = part_bytes(&image->env, &view, &record->env);
	return r < 0 ? r : part_bytes(&image->args, &view, &record->args);
}

/* A path that execveat(2) looks up from a descriptor, as a success would name it: fs/exec.c of the
 * kernel, alloc_bprm(). */
static void name_by_descriptor(struct decoded *d)
{
	struct bytes *name = &d->process.image.filename;
	int n;

	if (!name->data || d->dirfd == AT_FDCWD || (name->size > 0 && name->data[0] == '/'))
		return;
	n = snprintf(d->by_descriptor, sizeof(d->by_descriptor), "/dev/fd/%d%s%.*s", d->dirfd,
		     name->size > 0 ? "/" : "", (int)name->size, name->data);
	if ((size_t)n >= sizeof(d->by_descriptor))
		n = sizeof(d->by_descriptor) - 1;
	*name = (struct bytes){ d->by_descriptor, (size_t)n };
}

static int decode_error(struct decoded *d, const struct record_error *record, size_t size)
{
	const struct view view = { (const char *)record, size, sizeof(*record) };
	struct image *image = &d->process.image;
	int r;

	if (size < sizeof(*record) || record->error >= 0 || record->error < -4095)
		return -EBADMSG;
	decode_process(&d->process, &record->process);
	d->caller_tid = record->head.tid;
	d->error = -record->error;
	d->error_flags = record->flags;
	d->dirfd = record->dirfd;
	d->args_before = record->args_before;
	image->argc = record->argc;
	image->args_size = record->args_size;
	r = part_bytes(&image->filename, &view, &record->filename);
	if (r < 0)
		return r;
	r = decode_place(d, &view, &record->cwd, &record->cgroup, &record->ancestors, record->flags);
	if (r < 0)
		return r;
	set_incomplete(image, record->flags & ERROR_F_FILENAME_CUT, INCOMPLETE_FILENAME);
	if (record->flags & ERROR_F_FILENAME_FAULT && d->error != EFAULT) { /* else there is no path */
		set_incomplete(image, true, INCOMPLETE_EXE);
		set_incomplete(image, true, INCOMPLETE_FILENAME);
	}
	/* An empty path is a path: execve("") fails with ENOENT. */
	if (!image->filename.data && !(record->flags & ERROR_F_FILENAME_FAULT))
		image->filename = BYTES("");
	name_by_descriptor(d);
	image->exe = image->filename;
	return part_bytes(&image->args, &view, &record->args);
}

static int decode_args(struct decoded *d, const struct record_args *record, size_t size)
{
	const struct view view = { (const char *)record, size, sizeof(*record) };

	if (size < sizeof(*record))
		return -EBADMSG;
	d->position = record->position;
	return part_bytes(&d->chunk, &view, &record->bytes);
}

/*
 * Ticks count how often a thread was found in user space and in the kernel, the scheduler measures
 * how long it ran in all; the kernel divides the latter in the ratio of the former
 * (kernel/sched/cputime.c, cputime_adjust()).
 */
static int decode_exit(struct decoded *d, const struct record_exit *record, size_t size)
{
	unsigned __int128 ticks;

	if (size < sizeof(*record))
		return -EBADMSG;
	d->exit = record;
	ticks = (unsigned __int128)record->utime_ns + record->stime_ns;
	if (record->stime_ns == 0)
		d->cpu_system_ns = 0;
	else if (record->utime_ns == 0)
		d->cpu_system_ns = record->runtime_ns;
	else
		d->cpu_system_ns = (uint64_t)((unsigned __int128)record->stime_ns * record->runtime_ns / ticks);
	d->cpu_user_ns = record->runtime_ns - d->cpu_system_ns;
	return 0;
}

int decode_record(struct decoded *ret, const void *data, size_t size)
{
	const struct record_head *head = data;

	if (size < sizeof(*head) || head->size > size || head->size < sizeof(*head))
		return -EBADMSG;
	size = head->size;
	/* All but the paths, which are many KiB and written where they are used. */
	memset(ret, 0, offsetof(struct decoded, paths));
	ret->head = head;
	switch (head->kind) {
	case RECORD_FORK:
		return decode_fork(ret, data, size);
	case RECORD_EXEC:
		return decode_exec(ret, data, size);
	case RECORD_EXIT:
		return decode_exit(ret, data, size);
	case RECORD_ERROR:
		return decode_error(ret, data, size);
	case RECORD_ARGS:
	case RECORD_ENV:
		return decode_args(ret, data, size);
	default:
		return -EBADMSG;
	}
}
