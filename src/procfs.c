/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model. /proc/PID is opened once, and all is read through that descriptor: it stays bound to that one process,
 * so when the pid is given to another meanwhile, reads fail instead of mixing two processes. Before and after,
 * the start time in stat is compared: the first tells that it is the process meant, the second that
 * what was read in between is of a process that is still there. An exec in between may give the exe of one image
 * and the arguments of the next; a probe sees that exec, and its record replaces them.
 *
 * Everything in these files but numbers is chosen by the process: comm may hold parentheses and spaces, a file
 * may be called "x (deleted)", arguments may be overwritten or claim gigabytes (PR_SET_MM). So nothing is
 * trusted, and no more is read than a limit. Stats do not ask the file server (AT_STATX_DONT_SYNC): a dead NFS mount
 * must not stop the daemon.
 *
 * The buffers belong to struct procfs, grow to the largest that was needed, and are reused: at start this runs once
 * for every process of the machine.
 */
#include "procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/stat.h>

#include "hierarchy.h"

#define NS_PER_SEC 1000000000u
#define STAT_MAX 4096u		  /* some 52 numbers, and a comm of at most 64 bytes, escaped */
#define CGROUP_MAX (256u << 10)	  /* a path for each hierarchy */
#define LINK_SIZE_MAX (64u << 10) /* the kernel's buffer is a page (do_proc_readlink); pages have up to 64 KiB */
/* Arguments that are only counted. exec(2) takes 6 MiB at most (fs/exec.c, bprm_stack_limits); who has more has
 * made it up. */
#define ARGS_COUNTED_MAX (8u << 20)

#define DELETED " (deleted)"

struct room {
	char *data;
	size_t size;
};

struct procfs {
	int root;
	size_t args_limit;
	uint64_t ticks; /* of field 22, in a second */
	bool env_wanted;
	struct room stat, exe, args, env, cwd, cgroup;
};

static int room_grow(struct room *room, size_t size)
{
	char *data;

	if (size <= room->size)
		return 0;
	data = realloc(room->data, size);
	if (!data)
		return -ENOMEM;
	room->data = data;
	room->size = size;
	return 0;
}

/* Reads to the end of the file, but at most `limit` bytes (not 0). */
static int room_read(struct room *room, int fd, size_t limit, size_t *ret_size)
{
	size_t size = 0;

	while (size < limit) {
		size_t want = size ? 2 * size : 4096;
		ssize_t n;
		int r;

		r = room_grow(room, want < limit ? want : limit);
		if (r < 0)
			return r;
		want = (room->size < limit ? room->size : limit) - size;
		n = read(fd, room->data + size, want);
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		size += (size_t)n;
	}
	*ret_size = size;
	return 0;
}

static int room_read_file(struct room *room, int dir, const char *name, size_t limit, struct bytes *ret)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	size_t size;
	int r;

	if (fd < 0)
		return -errno;
	r = room_read(room, fd, limit, &size);
	if (r < 0)
		return r;
	*ret = (struct bytes){ room->data, size };
	return 0;
}

/* Where the link points; ended by a NUL that does not count. */
static int room_read_link(struct room *room, int dir, const char *name, struct bytes *ret)
{
	for (size_t size = 512; size <= LINK_SIZE_MAX; size *= 2) {
		ssize_t n;
		int r;

		r = room_grow(room, size);
		if (r < 0)
			return r;
		n = readlinkat(dir, name, room->data, room->size);
		if (n < 0)
			return -errno;
		if ((size_t)n < room->size) {
			room->data[n] = '\0';
			*ret = (struct bytes){ room->data, (size_t)n };
			return 0;
		}
	}
	return -ENAMETOOLONG;
}

static bool bytes_begin(struct bytes bytes, struct bytes with)
{
	return bytes.size >= with.size && memcmp(bytes.data, with.data, with.size) == 0;
}

static bool bytes_end(struct bytes bytes, struct bytes with)
{
	return bytes.size >= with.size && memcmp(bytes.data + bytes.size - with.size, with.data, with.size) == 0;
}

/* Takes what stands before the next `at` off *rest, and `at` with it. False when nothing is left. */
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

static bool stat_of(int dir, const char *path, int flags, struct statx *ret)
{
	return statx(dir, path, flags | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO | STATX_NLINK, ret) == 0;
}

static bool names(int dir, const char *path, const struct statx *that)
{
	struct statx st;

	return stat_of(dir, path, AT_SYMLINK_NOFOLLOW, &st) && st.stx_ino == that->stx_ino &&
	       st.stx_dev_major == that->stx_dev_major && st.stx_dev_minor == that->stx_dev_minor;
}

/*
 * Is the " (deleted)" at its end the kernel's mark (d_path(), fs/d_path.c), or is the file called that? st: of what
 * the link leads to; NULL: not known. A file without names is deleted. Else it may have another name, so one looks
 * where the link says: in the process's own root, since its mounts may be others than ours, and in ours, since
 * it may be in a chroot, which the link's text does not respect.
 */
static bool is_marked(int dir, struct bytes link, const struct statx *st)
{
	_cleanup_close_ int root = -1;

	if (!bytes_end(link, BYTES(DELETED)))
		return false;
	if (!st || st->stx_nlink == 0)
		return true;
	root = openat(dir, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return !(root >= 0 && names(root, link.data + 1, st)) && !names(AT_FDCWD, link.data, st);
}

/* An absolute path, without the mark. -ENOENT: there is none. */
static int read_path(struct room *room, int dir, const char *name, struct bytes *ret, struct statx *ret_st,
		     bool *ret_known, bool *ret_deleted)
{
	struct bytes link;
	int r;

	r = room_read_link(room, dir, name, &link);
	if (r < 0)
		return r;
	if (link.size == 0 || link.data[0] != '/')
		return -ENOENT;
	*ret_known = stat_of(dir, name, 0, ret_st);
	*ret_deleted = is_marked(dir, link, *ret_known ? ret_st : NULL);
	if (*ret_deleted)
		link.size -= sizeof(DELETED) - 1;
	*ret = link;
	return 0;
}

/* The device is the one that stat(2) shows. On btrfs and overlayfs that is a number made up for stat, not the
 * superblock's, which a probe sees. */
static int read_exe(struct procfs *procfs, int dir, struct image *image)
{
	struct statx st;
	bool known;
	int r;

	r = read_path(&procfs->exe, dir, "exe", &image->exe, &st, &known, &image->exe_deleted);
	if (r < 0 || !known)
		return r;
	image->exe_inode = st.stx_ino;
	image->exe_dev_major = st.stx_dev_major;
	image->exe_dev_minor = st.stx_dev_minor;
	/* A memfd never had a name (mm/memfd.c): "/memfd:" and what its maker called it. */
	image->exe_memfd = image->exe_deleted && st.stx_nlink == 0 && bytes_begin(image->exe, BYTES("/memfd:"));
	return 0;
}

static int read_cwd(struct procfs *procfs, int dir, struct image *image)
{
	struct statx st;
	bool known, deleted;

	return read_path(&procfs->cwd, dir, "cwd", &image->cwd, &st, &known, &deleted);
}

/* What has been read of a list of arguments. */
struct tally {
	size_t size, nuls;
	char last;
};

static void tally(struct tally *all, const char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		all->nuls += data[i] == '\0';
	all->size += size;
	if (size > 0)
		all->last = data[size - 1];
}

static void tally_rest(struct tally *all, int fd)
{
	char data[16384];
	ssize_t n;

	while (all->size < ARGS_COUNTED_MAX) {
		n = read(fd, data, sizeof(data));
		if (n <= 0)
			break;
		tally(all, data, (size_t)n);
	}
}

static int read_args(struct procfs *procfs, int dir, struct image *image)
{
	_cleanup_close_ int fd = openat(dir, "cmdline", O_RDONLY | O_CLOEXEC);
	struct tally all = { .size = 0 };
	struct bytes args;
	int r;

	if (fd < 0)
		return -errno;
	/* One byte too many tells that there are too many. */
	r = room_read(&procfs->args, fd, procfs->args_limit + 1, &args.size);
	if (r < 0)
		return r;
	/* A zombie, or one that gave its arguments away: it had some. */
	if (args.size == 0)
		return 0;
	tally(&all, procfs->args.data, args.size);
	if (args.size > procfs->args_limit)
		tally_rest(&all, fd);
	/* Who writes over its arguments may leave no NUL at the end (get_mm_cmdline(), fs/proc/base.c). */
	if (all.last != '\0') {
		r = room_grow(&procfs->args, args.size + 1);
		if (r < 0)
			return r;
		if (all.size == args.size)
			procfs->args.data[args.size++] = '\0';
		all.size++;
		all.nuls++;
	}
	args.data = procfs->args.data;
	image->args_truncated = all.size > procfs->args_limit;
	if (image->args_truncated)
		args.size = args_cut(args, procfs->args_limit);
	image->args = args;
	image->args_size = all.size;
	image->argc = all.nuls < UINT32_MAX ? (uint32_t)all.nuls : UINT32_MAX;
	return 0;
}

/* As it was at the exec, unless the process wrote over it (proc(5), environ). */
static int read_env(struct procfs *procfs, int dir, struct image *image)
{
	struct bytes block;
	int r;

	if (!procfs->env_wanted)
		return 0;
	r = room_read_file(&procfs->env, dir, "environ", procfs->args_limit, &block);
	if (r < 0)
		return r;
	image->env = block;
	return 0;
}

static int read_cgroup(struct procfs *procfs, int dir, struct image *image)
{
	struct bytes text;
	int r;

	r = room_read_file(&procfs->cgroup, dir, "cgroup", CGROUP_MAX, &text);
	if (r >= 0)
		image->cgroup = hierarchy_path(text);
	/* Where a path and its NUL are longer than PATH_MAX, kernels before 6.8 have no file, and newer ones show its beginning
	 * (proc_cgroup_show() in kernel/cgroup/cgroup.c, kernfs_path_from_node_locked() in fs/kernfs/dir.c). */
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
 * /proc/PID/stat; proc_pid_stat(5). The second field is "(comm)", and comm may hold anything, so fields are counted
 * from its last parenthesis.
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
 * As the kernel does it: nsec_to_clock_t(timens_add_boottime_ns(task->start_boottime)) (do_task_stat(),
 * fs/proc/array.c), a division without rounding. So the comparison is exact. (The offset of the reader's time
 * namespace is none: like for pids, the daemon is in the initial one.) In two steps, or it overflows in the sixth year
 * of uptime.
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

/* 0: dir is that of this process, which is there, in this state. -ESRCH: it is not. */
static int check(struct procfs *procfs, int dir, const struct process *process, struct stat_line *ret)
{
	struct bytes text;
	int r;

	r = room_read_file(&procfs->stat, dir, "stat", STAT_MAX, &text);
	if (r < 0)
		return gone(r);
	r = parse_stat(text, ret);
	if (r < 0)
		return r;
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
	free(procfs->stat.data);
	free(procfs->exe.data);
	free(procfs->args.data);
	free(procfs->env.data);
	free(procfs->cwd.data);
	free(procfs->cgroup.data);
	free(procfs);
	return NULL;
}

int procfs_read(struct procfs *procfs, struct process *process)
{
	typedef int read_part(struct procfs *, int, struct image *);
	static read_part *const parts[] = {
		read_exe, read_args, read_env, read_cwd, read_cgroup,
	};
	_cleanup_close_ int dir = -1;
	struct image image = { .argc = 0 };
	struct stat_line line;
	char name[16];
	int r;

	snprintf(name, sizeof(name), "%" PRIu32, process->tgid);
	dir = openat(procfs->root, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return gone(-errno);
	r = check(procfs, dir, process, &line);
	if (r < 0)
		return r;
	for (size_t i = 0; !process->kernel_thread && i < sizeof(parts) / sizeof(*parts); i++) {
		/* What can't be read is left unknown: not allowed, or no more there. */
		if (parts[i](procfs, dir, &image) == -ENOMEM)
			return -ENOMEM;
	}
	r = check(procfs, dir, process, &line);
	if (r < 0)
		return r;
	/* The kernel marks a removed cgroup; only the dead are in one (proc_cgroup_show(), kernel/cgroup/cgroup.c). */
	if ((line.state == 'Z' || line.state == 'X') && bytes_end(image.cgroup, BYTES(DELETED)))
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
	_cleanup_close_ int dir = -1;
	struct stat_line line;
	char name[16];

	snprintf(name, sizeof(name), "%" PRIu32, process->tgid);
	dir = openat(procfs->root, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || check(procfs, dir, process, &line) < 0)
		return false;
	/* The state is the leader's, which may have ended before the others. */
	return (line.state != 'Z' && line.state != 'X') || line.threads > 1;
}

/* The numbers behind "\nNAME:" in /proc/PID/status, in that base; how many of `most` there are. */
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
	_cleanup_close_ int dir = -1;
	uint64_t ppid[1], uid[2], gid[2], caps[1];
	struct bytes text;
	struct stat_line line;
	char name[16];
	int r;

	snprintf(name, sizeof(name), "%" PRIu32, process->tgid);
	dir = openat(procfs->root, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return gone(-errno);
	r = check(procfs, dir, process, &line);
	if (r == 0)
		r = room_read_file(&procfs->args, dir, "status", 65536, &text);
	if (r < 0)
		return gone(r);
	/* Field names are ours to trust: a comm stands in "Name:" with its line ends escaped (proc_task_name()). */
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
	process->ids_known = true;
	return 0;
}
