/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model. /proc/PID is opened once, and all is read through that descriptor: it stays bound to
 * that one process, so when the pid is given to another process, reads fail instead of mixing two
 * processes. Before and after, the start time in stat is compared: the first shows that it is the
 * process meant, the second that what was read in between is of a process that is still there. An
 * exec in between may give the exe of one image and the arguments of the next; a probe sees that
 * exec, and its record replaces them.
 *
 * Everything in these files but numbers is chosen by the process: comm may hold parentheses and
 * spaces, a file may be called "x (deleted)", arguments may be overwritten or claim gigabytes
 * (PR_SET_MM). So nothing is trusted, and no more is read than a limit.
 *
 * What may wait, and for whom (fs/proc/base.c, array.c):
 *  - cmdline, environ, mem and pagemap take the mmap_lock of the process (access_remote_vm()), and
 *    those but cmdline its exec_update_lock (mm_access()). A process that is stuck in mmap() or munmap() on a
 *    dead file system, which any user can arrange with FUSE, holds it for ever. The wait is
 *    killable (mmap_read_lock_killable()). cmdline and environ read anonymous memory only
 *    (FOLL_ANON), so they never wait for a page of a file; mem has no such rule, and is asked for
 *    pages that are anonymous by pagemap.
 *  - A stat of what a link leads to asks the file system (complete_walk(), d_weak_revalidate), and
 *    a look-up by path all that are on the way. So links are only read, which is d_path(): it takes
 *    no lock that can be held. Whether " (deleted)" at the end is the kernel's mark is in its list
 *    (bpf/tasklist.bpf.h). A process that is not in the list is the exception.
 *  - stat, status and cgroup take spinlocks and RCU (do_task_stat(), proc_cgroup_show()), and the
 *    check of permissions takes task_lock (ptrace_may_access()). But a reader that holds the memory of
 *    a process as it ends may be the last holder, and unmaps it: mmput(), which stat and status call too,
 *    can then wait for a file system.
 * So the daemon has all this read by another process, which it can kill: lookup.h.
 *
 * The buffers belong to struct procfs, grow to the largest that was needed, and are reused: at
 * start this runs once for every process of the machine.
 */
#include "kernel/procfs.h"
#include <dirent.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "kernel/procfs_args.h"
#include "kernel/procfs_namespaces.h"
#include "model/hierarchy.h"

#define NS_PER_SEC 1000000000u
#define STAT_MAX 4096u		/* some 52 numbers, and a comm of at most 64 bytes, escaped */
#define CGROUP_MAX (256u << 10) /* a path for each hierarchy */
#define STATUS_MAX 65536u

#define DELETED " (deleted)"

struct procfs {
	int root;
	size_t args_limit;
	uint64_t ticks; /* of field 22, in a second */
	bool env_wanted;
	bool alive;	/* as of the last check() */
	uint32_t *part; /* procfs_show_part */
	struct bytebuf stat, exe, args, env, cwd, cgroup;
};

static bool bytes_begin(struct bytes bytes, struct bytes with)
{
	return bytes.size >= with.size && memcmp(bytes.data, with.data, with.size) == 0;
}

static bool bytes_end(struct bytes bytes, struct bytes with)
{
	return bytes.size >= with.size && memcmp(bytes.data + bytes.size - with.size, with.data, with.size) == 0;
}

/* Takes what precedes the next `at` off *rest, and `at` with it. False at the end. */
static bool split(struct bytes *rest, char at, struct bytes *ret)
{
	const char *end = rest->size ? memchr(rest->data, at, rest->size) : NULL;

	if (!rest->data)
		return false;
	*ret = *rest;
	if (end) {
		ret->size = (size_t)(end - rest->data);
		*rest = (struct bytes){ end + 1, rest->size - ret->size - 1 };
	} else {
		*rest = BYTES_NONE;
	}
	return true;
}

/*
 * Is the " (deleted)" at its end the kernel's mark (d_path(), fs/d_path.c), or is the file called
 * that? As the kernel's list was read it was deleted or not, and the last component had `name`
 * bytes, if that is known. It may have been deleted since.
 */
static bool is_marked(struct bytes link, bool deleted, uint32_t name)
{
	const char *slash = memrchr(link.data, '/', link.size);
	size_t last = link.size - (size_t)(slash - link.data) - 1;

	if (!bytes_end(link, BYTES(DELETED)))
		return false;
	if (name != 0 && (last == name || last == name + sizeof(DELETED) - 1))
		return last != name;
	return deleted;
}

/* An absolute path, with the mark if it has one. -ENOENT: there is none. */
static int read_path(struct bytebuf *buffer, int dir, const char *name, struct bytes *ret)
{
	struct bytes link;
	int r;

	r = bytebuf_read_link(buffer, dir, name, &link);
	if (r < 0)
		return r;
	if (link.size == 0 || link.data[0] != '/')
		return -ENOENT;
	*ret = link;
	return 0;
}

/* Of a process that the kernel does not list: the file system has to be asked. A file without names
 * is deleted; of another that has the mark this is unknown, and the mark is taken as part of its name. */
static bool is_unnamed(int dir, const char *path, struct statx *ret)
{
	ret->stx_ino = 0;
	return statx(dir, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO | STATX_NLINK | STATX_CTIME, ret) ==
		       0 &&
	       ret->stx_nlink == 0;
}

static void set_identity(struct image *image, const struct statx *st)
{
	const struct statx_timestamp *ctime = &st->stx_ctime;

	image->exe_inode = st->stx_ino;
	image->exe_dev_major = st->stx_dev_major;
	image->exe_dev_minor = st->stx_dev_minor;
	image->exe_ctime_known = st->stx_mask & STATX_CTIME && ctime->tv_sec >= 0 &&
				 (uint64_t)ctime->tv_sec < UINT64_MAX / NS_PER_SEC;
	if (image->exe_ctime_known)
		image->exe_ctime = (uint64_t)ctime->tv_sec * NS_PER_SEC + ctime->tv_nsec;
}

static bool needs_exe_dev(const struct record_running *listed)
{
	return listed && listed->flags & RUNNING_F_EXE_DEV;
}

static int read_exe(struct procfs *procfs, int dir, const struct record_running *listed, struct image *image)
{
	struct statx st;
	bool anon = false;
	int r;

	r = read_path(&procfs->exe, dir, "exe", &image->exe);
	if (r < 0)
		return r;
	if (listed) {
		anon = listed->flags & RUNNING_F_EXE_ANON;
		image->exe_deleted = anon ||
				     is_marked(image->exe, listed->flags & RUNNING_F_EXE_DELETED, listed->exe_name);
		image->exe_upper = listed->flags & RUNNING_F_EXE_UPPER;
		image->exe_inode = listed->exe_inode;
		image->exe_ctime = listed->exe_ctime;
		image->exe_ctime_known = listed->exe_inode != 0 && listed->exe_ctime != RECORD_NO_TIME;
		image->exe_dev_major = listed->exe_dev_major;
		image->exe_dev_minor = listed->exe_dev_minor;
	} else {
		image->exe_deleted = is_unnamed(dir, "exe", &st);
		anon = image->exe_deleted;
		if (st.stx_ino != 0)
			set_identity(image, &st);
	}
	/* A memfd never had a name (mm/memfd.c): "/memfd:" and what its maker called it. */
	image->exe_memfd = anon && bytes_begin(image->exe, BYTES("/memfd:"));
	if (image->exe_deleted && bytes_end(image->exe, BYTES(DELETED)))
		image->exe.size -= sizeof(DELETED) - 1;
	return 0;
}

static int read_cwd(struct procfs *procfs, int dir, const struct record_running *listed, struct image *image)
{
	struct statx st;
	bool marked;
	int r;

	r = read_path(&procfs->cwd, dir, "cwd", &image->cwd);
	if (r < 0)
		return r;
	marked = listed ? is_marked(image->cwd, listed->flags & RUNNING_F_CWD_DELETED, listed->cwd_name)
			: is_unnamed(dir, "cwd", &st);
	if (marked && bytes_end(image->cwd, BYTES(DELETED)))
		image->cwd.size -= sizeof(DELETED) - 1;
	return 0;
}

static int read_args(struct procfs *procfs, int dir, const struct record_running *listed, struct image *image)
{
	return procfs_read_args(&procfs->args, dir, procfs->args_limit, image);
}

/* As it was at the exec, unless the process wrote over it (proc(5), environ). */
static int read_env(struct procfs *procfs, int dir, const struct record_running *listed, struct image *image)
{
	struct bytes block;
	int r;

	if (!procfs->env_wanted)
		return 0;
	r = bytebuf_read_file(&procfs->env, dir, "environ", procfs->args_limit, &block);
	if (r < 0)
		return r;
	image->env = block;
	return 0;
}

/* stat(2) agrees with the probes, where those know it (bpf/identity.bpf.h). */
static int read_exe_dev(struct procfs *procfs, int dir, const struct record_running *listed, struct image *image)
{
	struct statx st;

	if (!needs_exe_dev(listed) || !image->exe.data)
		return 0;
	is_unnamed(dir, "exe", &st);
	if (st.stx_ino == 0) {
		image->incomplete |= INCOMPLETE_BIT(INCOMPLETE_EXE_DEV);
		return 0;
	}
	set_identity(image, &st);
	return 0;
}

static int read_cgroup(struct procfs *procfs, int dir, const struct record_running *listed, struct image *image)
{
	struct bytes text;
	int r;

	r = bytebuf_read_file(&procfs->cgroup, dir, "cgroup", CGROUP_MAX, &text);
	if (r >= 0)
		image->cgroup = hierarchy_path(text);
	/*
	 * Where a path and its NUL are longer than PATH_MAX, kernels before 6.8 have no file, and
	 * newer ones show its beginning (proc_cgroup_show() in kernel/cgroup/cgroup.c,
	 * kernfs_path_from_node_locked() in fs/kernfs/dir.c).
	 */
	if (r == -ENAMETOOLONG || (r >= 0 && image->cgroup.size >= PATH_MAX - 1))
		image->incomplete |= INCOMPLETE_BIT(INCOMPLETE_CGROUP);
	return r;
}

struct stat_line {
	char state;	    /* field 3 */
	uint64_t pgid, sid; /* fields 5 and 6 */
	uint64_t threads;   /* field 20 */
	uint64_t start;	    /* field 22, ticks since boot */
};

static bool parse_number(struct bytes text, uint64_t *ret)
{
	uint64_t number = 0;

	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] < '0' || text.data[i] > '9' || __builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (unsigned)(text.data[i] - '0'), &number))
			return false;
	}
	*ret = number;
	return text.size > 0;
}

/*
 * /proc/PID/stat; proc_pid_stat(5). The second field is "(comm)", and comm may hold anything, so
 * fields are counted from its last parenthesis.
 */
static int parse_stat(struct bytes text, struct stat_line *ret)
{
	const char *paren = text.size ? memrchr(text.data, ')', text.size) : NULL;
	struct bytes rest, value = BYTES_NONE;
	bool good = true;

	if (!paren)
		return -EBADMSG;
	rest = (struct bytes){ paren, text.size - (size_t)(paren - text.data) };
	for (int field = 2; good && field <= 22; field++) {
		good = split(&rest, ' ', &value) && value.size > 0;
		if (good && field == 3)
			ret->state = value.data[0];
		else if (good && field == 5)
			good = parse_number(value, &ret->pgid);
		else if (good && field == 6)
			good = parse_number(value, &ret->sid);
		else if (good && field == 20)
			good = parse_number(value, &ret->threads);
		else if (good && field == 22)
			good = parse_number(value, &ret->start);
	}
	return good ? 0 : -EBADMSG;
}

/*
 * As the kernel does it: nsec_to_clock_t(timens_add_boottime_ns(task->start_boottime))
 * (do_task_stat(), fs/proc/array.c), a division without rounding. So the comparison is exact. (The
 * offset of the reader's time namespace is none: like for pids, the daemon is in the initial one.)
 * In two steps, or it overflows in the sixth year of uptime.
 */
static uint64_t ticks_of(const struct procfs *procfs, uint64_t ns)
{
	return ns / NS_PER_SEC * procfs->ticks + ns % NS_PER_SEC * procfs->ticks / NS_PER_SEC;
}

/* A file of a process that has ended can't be found, or not be read. */
static int gone(int r)
{
	return r == -ENOENT ? -ESRCH : r;
}

/* The state is the leader's, which may have ended before the others. */
static bool is_dead(const struct stat_line *line)
{
	return line->state == 'Z' || line->state == 'X';
}

/* /proc/PID, or -errno. */
static int open_process(const struct procfs *procfs, const struct process *process)
{
	char name[16];
	int dir;

	snprintf(name, sizeof(name), "%" PRIu32, process->tgid);
	dir = openat(procfs->root, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -errno : dir;
}

/* 0: dir is that of this process, which is there, in this state. -ESRCH: it is not. */
static int check(struct procfs *procfs, int dir, const struct process *process, struct stat_line *ret)
{
	struct bytes text;
	int r;

	r = bytebuf_read_file(&procfs->stat, dir, "stat", STAT_MAX, &text);
	if (r < 0)
		return gone(r);
	r = parse_stat(text, ret);
	if (r < 0)
		return r;
	procfs->alive = !is_dead(ret) || ret->threads > 1;
	return ret->start == ticks_of(procfs, process->start) ? 0 : -ESRCH;
}

int procfs_new(struct procfs **ret, int root, size_t args_limit)
{
	struct procfs *procfs = calloc(1, sizeof(*procfs));
	long ticks = sysconf(_SC_CLK_TCK);

	if (!procfs)
		return -ENOMEM;
	procfs->root = root;
	procfs->args_limit = args_limit < SSIZE_MAX / 2 ? args_limit : SSIZE_MAX / 2;
	procfs->ticks = ticks > 0 ? (uint64_t)ticks : 100;
	*ret = procfs;
	return 0;
}

struct procfs *procfs_free(struct procfs *procfs)
{
	if (!procfs)
		return NULL;
	bytebuf_free(&procfs->stat);
	bytebuf_free(&procfs->exe);
	bytebuf_free(&procfs->args);
	bytebuf_free(&procfs->env);
	bytebuf_free(&procfs->cwd);
	bytebuf_free(&procfs->cgroup);
	free(procfs);
	return NULL;
}

int procfs_reserve(struct procfs *procfs)
{
	const struct {
		struct bytebuf *buffer;
		size_t size;
	} buffers[] = {
		{ &procfs->stat, STAT_MAX },
		{ &procfs->exe, LINK_SIZE_MAX },
		{ &procfs->cwd, LINK_SIZE_MAX },
		{ &procfs->cgroup, CGROUP_MAX },
		{ &procfs->args, procfs->args_limit + 2 },
		{ &procfs->args, STATUS_MAX }, /* procfs_identify() uses it too */
		{ &procfs->env, procfs->env_wanted ? procfs->args_limit : 0 },
	};

	for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
		int r = bytebuf_reserve(buffers[i].buffer, buffers[i].size);

		if (r < 0)
			return r;
	}
	return 0;
}

size_t procfs_result_max(const struct procfs *procfs)
{
	return 2 * LINK_SIZE_MAX + CGROUP_MAX + (procfs->env_wanted ? 2 : 1) * procfs->args_limit;
}

void procfs_show_part(struct procfs *procfs, uint32_t *part)
{
	procfs->part = part;
}

static void show_part(struct procfs *procfs, enum procfs_part part)
{
	if (procfs->part)
		__atomic_store_n(procfs->part, part, __ATOMIC_RELAXED);
}

static bool is_wanted(const struct procfs *procfs, unsigned part, const struct record_running *listed)
{
	return part == PROCFS_ENV ? procfs->env_wanted : part == PROCFS_EXE_DEV ? needs_exe_dev(listed) : true;
}

/* What can't be read is left unknown: not allowed, or no more there. -ENOMEM. */
static int read_parts(struct procfs *procfs, int dir, const struct record_running *listed, unsigned skip,
		      struct image *image)
{
	static const struct {
		int (*read)(struct procfs *, int, const struct record_running *, struct image *);
		enum incomplete missing;
	} parts[PROCFS_MAX] = {
		[PROCFS_EXE] = { read_exe, INCOMPLETE_EXE },
		[PROCFS_CWD] = { read_cwd, INCOMPLETE_CWD },
		[PROCFS_CGROUP] = { read_cgroup, INCOMPLETE_CGROUP },
		[PROCFS_ARGS] = { read_args, INCOMPLETE_ARGS },
		[PROCFS_ENV] = { read_env, INCOMPLETE_ENV },
		[PROCFS_EXE_DEV] = { read_exe_dev, INCOMPLETE_EXE_DEV },
	};
	int r = 0;

	for (unsigned i = 0; r != -ENOMEM && i < PROCFS_MAX; i++) {
		if (skip & PROCFS_BIT(i)) {
			if (is_wanted(procfs, i, listed))
				image->incomplete |= INCOMPLETE_BIT(parts[i].missing);
			continue;
		}
		show_part(procfs, (enum procfs_part)i);
		r = parts[i].read(procfs, dir, listed, image);
	}
	show_part(procfs, PROCFS_MAX);
	return r == -ENOMEM ? r : 0;
}

/*
 * Of a leader that has ended, with pthread_exit() in main(), /proc/PID has no exe, arguments,
 * environment and folder; the other threads have them. A descriptor of the folder of one; -ESRCH.
 */
static int open_living(int dir, uint32_t tgid)
{
	_cleanup_close_ int tasks = openat(dir, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char entries[4096] __attribute__((aligned(8))), c;
	ssize_t n;

	/* Not by readdir(3), which allocates. */
	while (tasks >= 0 && (n = syscall(SYS_getdents64, tasks, entries, sizeof(entries))) > 0) {
		const struct dirent64 *entry;

		for (ssize_t at = 0; at < n; at += entry->d_reclen) {
			_cleanup_close_ int task = -1;

			entry = (const void *)(entries + at);
			if (entry->d_name[0] == '.' || strtoul(entry->d_name, NULL, 10) == tgid)
				continue;
			task = openat(tasks, entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
			if (task >= 0 && readlinkat(task, "exe", &c, 1) >= 0)
				return TAKE_FD(task);
		}
	}
	return -ESRCH;
}

int procfs_read(struct procfs *procfs, struct process *process, const struct record_running *listed, unsigned skip)
{
	_cleanup_close_ int dir = open_process(procfs, process), living = -1;
	struct image image = { .argc = 0 };
	struct stat_line line;
	int r;

	if (dir < 0)
		return gone(dir);
	r = check(procfs, dir, process, &line);
	if (r < 0)
		return r;
	if (is_dead(&line) && line.threads > 1)
		living = open_living(dir, process->tgid);
	if (!process->kernel_thread)
		r = read_parts(procfs, living >= 0 ? living : dir, listed, skip, &image);
	if (r == 0)
		r = check(procfs, dir, process, &line);
	if (r < 0)
		return r;
	/* The kernel marks a removed cgroup; only the dead are in one (proc_cgroup_show(), kernel/cgroup/cgroup.c). */
	if (living < 0 && is_dead(&line) && bytes_end(image.cgroup, BYTES(DELETED)))
		image.cgroup.size -= sizeof(DELETED) - 1;
	process->image = image;
	return 0;
}

void procfs_want_env(struct procfs *procfs, bool wanted)
{
	procfs->env_wanted = wanted;
}

bool procfs_is_alive(struct procfs *procfs, const struct process *process)
{
	_cleanup_close_ int dir = open_process(procfs, process);
	struct stat_line line;

	return dir >= 0 && check(procfs, dir, process, &line) == 0 && procfs->alive;
}

bool procfs_was_alive(const struct procfs *procfs)
{
	return procfs->alive;
}

/* The numbers after "\nNAME:" in /proc/PID/status, in that base; how many of `most` there are. */
static size_t status_numbers(struct bytes text, const char *name, int base, uint64_t *ret, size_t most)
{
	struct bytes line, rest = text, key = bytes_of(name);
	char copy[128], *at = copy, *end;
	size_t n = 0;

	while (split(&rest, '\n', &line)) {
		if (!bytes_begin(line, key) || line.size >= sizeof(copy))
			continue;
		memcpy(copy, line.data, line.size);
		copy[line.size] = '\0';
		at = copy + key.size;
		for (; n < most; n++, at = end) {
			ret[n] = strtoull(at, &end, base);
			if (end == at)
				break;
		}
		return n;
	}
	return 0;
}

int procfs_identify(struct procfs *procfs, struct process *process)
{
	_cleanup_close_ int dir = open_process(procfs, process);
	uint64_t ppid[1], uid[2], gid[2], caps[1];
	struct bytes text;
	struct stat_line line;
	int r;

	if (dir < 0)
		return gone(dir);
	r = check(procfs, dir, process, &line);
	if (r == 0)
		r = bytebuf_read_file(&procfs->args, dir, "status", STATUS_MAX, &text);
	if (r < 0)
		return gone(r);
	/* Field names are ours to trust: a comm is in "Name:" with its line ends escaped (proc_task_name()). */
	if (status_numbers(text, "PPid:", 10, ppid, 1) != 1 || status_numbers(text, "Uid:", 10, uid, 2) != 2 ||
	    status_numbers(text, "Gid:", 10, gid, 2) != 2 || status_numbers(text, "CapEff:", 16, caps, 1) != 1)
		return -EBADMSG;
	process->ppid = (uint32_t)ppid[0];
	process->uid = (uint32_t)uid[0];
	process->euid = (uint32_t)uid[1];
	process->gid = (uint32_t)gid[0];
	process->egid = (uint32_t)gid[1];
	process->caps = caps[0];
	process->pgid = (uint32_t)line.pgid;
	process->sid = (uint32_t)line.sid;
	process->session_start = process->sid == process->tgid ? process->start : 0;
	process->ids_known = true;
	procfs_read_namespaces(dir, process);
	return 0;
}
