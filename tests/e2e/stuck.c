/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes that are stuck for ever, as any user can make them: they sit on a file system whose server does not answer.
 *
 *	stuck DEVICE FOLDER NAME HOW [ARG...]
 *
 * In a user namespace, mounts a file system by FUSE (DEVICE: /dev/fuse, which it must be able to open) on FOLDER, which
 *has two files: this program, called NAME, and "data". Runs NAME there, with those arguments, and serves it until it is
 *stuck:
 *
 *	lock	it holds its mmap_lock for writing: mmap(2) in place of a mapping that has a dirty page of "data"
 *	sit	it only waits, in that folder
 *
 * Then it says the pid of that process, and answers nothing any more. When it is killed the mount is gone, and all that
 *wait for it go on.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define STUCK "EXECSNOOP_STUCK" /* in the environment: how; then this is that process */

enum { ROOT = FUSE_ROOT_ID, PROGRAM, DATA };

static const char *name;
static int program, device;

static void die(const char *what)
{
	perror(what);
	exit(99);
}

static void be_stuck(const char *how)
{
	int data = open("data", O_RDWR);
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, data, 0);

	if (data < 0 || page == MAP_FAILED)
		die("data");
	if (strcmp(how, "lock") == 0) {
		page[0] = 'x';
		/* fuse_vma_close() writes it, and waits for the server. */
		mmap(page, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		_exit(98);
	}
	/* Something that the server sees; it comes back when the server is killed. */
	if (pwrite(data, "x", 1, 0) == 1)
		fputs("that was answered\n", stderr);
	_exit(98);
}

/* The server. */

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

static void mount_it(const char *path, const char *folder)
{
	char text[64];
	unsigned uid = getuid(), gid = getgid();

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		die("unshare");
	put("/proc/self/setgroups", "deny");
	snprintf(text, sizeof(text), "%u %u 1", uid, uid);
	put("/proc/self/uid_map", text);
	snprintf(text, sizeof(text), "%u %u 1", gid, gid);
	put("/proc/self/gid_map", text);
	device = open(path, O_RDWR | O_CLOEXEC);
	if (device < 0)
		die(path);
	snprintf(text, sizeof(text), "fd=%d,rootmode=40000,user_id=%u,group_id=%u", device, uid, gid);
	if (mount("stuck", folder, "fuse", MS_NOSUID | MS_NODEV, text) < 0)
		die("mount");
}

static void answer(const struct fuse_in_header *in, int error, const void *data, size_t size)
{
	char all[1 << 18];
	struct fuse_out_header out = { .len = (unsigned)(sizeof(out) + size), .error = error, .unique = in->unique };

	memcpy(all, &out, sizeof(out));
	if (size > 0)
		memcpy(all + sizeof(out), data, size);
	if (write(device, all, out.len) < 0 && errno != ENOENT)
		die("answer");
}

static struct fuse_attr attr_of(unsigned long node)
{
	struct fuse_attr attr = {
		.ino = node,
		.mode = S_IFREG | 0777,
		.nlink = 1,
		.uid = getuid(),
		.gid = getgid(),
		.size = 4096,
		.blksize = 4096,
	};
	struct stat st;

	if (node == ROOT)
		attr.mode = S_IFDIR | 0777;
	if (node == PROGRAM && fstat(program, &st) == 0)
		attr.size = (unsigned long)st.st_size;
	return attr;
}

static void look_up(const struct fuse_in_header *in, const char *what)
{
	struct fuse_entry_out out = { .attr_valid = 1, .entry_valid = 1 };

	out.nodeid = strcmp(what, name) == 0 ? PROGRAM : strcmp(what, "data") == 0 ? DATA : 0;
	out.attr = attr_of(out.nodeid);
	answer(in, out.nodeid ? 0 : -ENOENT, &out, out.nodeid ? sizeof(out) : 0);
}

static void read_some(const struct fuse_in_header *in, const struct fuse_read_in *what)
{
	static char data[1 << 17];
	ssize_t n = what->size < sizeof(data) ? what->size : sizeof(data);

	memset(data, 0, sizeof(data));
	if (in->nodeid == PROGRAM)
		n = pread(program, data, (size_t)n, (off_t)what->offset);
	answer(in, 0, data, n < 0 ? 0 : (size_t)n);
}

/* False: that is the one which is never answered. */
static bool serve(const struct fuse_in_header *in, const void *what)
{
	struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 65536, .max_readahead = 65536
	};
	struct fuse_attr_out attr = { .attr_valid = 1, .attr = attr_of(in->nodeid) };
	struct fuse_open_out opened = { .fh = 0 };

	switch (in->opcode) {
	case FUSE_INIT:
		answer(in, 0, &init, sizeof(init));
		break;
	case FUSE_LOOKUP:
		look_up(in, what);
		break;
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		answer(in, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		answer(in, 0, &opened, sizeof(opened));
		break;
	case FUSE_READ:
		read_some(in, what);
		break;
	case FUSE_WRITE:
		return false;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_ACCESS:
		answer(in, 0, NULL, 0);
		break;
	default:
		answer(in, -ENOSYS, NULL, 0);
	}
	return true;
}

static pid_t run(const char *folder, const char *how, char **args)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(device);
	setenv(STUCK, how, 1);
	if (chdir(folder) < 0)
		die(folder);
	args[0] = (char *)name;
	execv(name, args);
	die(name);
	return 0;
}

int main(int argc, char **argv)
{
	static char request[1 << 18];
	const char *how = getenv(STUCK);
	pid_t pid;

	if (how)
		be_stuck(how);
	if (argc < 5) {
		fprintf(stderr, "usage: %s DEVICE FOLDER NAME HOW [ARG...]\n", argv[0]);
		return 2;
	}
	name = argv[3];
	program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	mount_it(argv[1], argv[2]);
	pid = run(argv[2], argv[4], argv + 4);
	for (;;) {
		ssize_t n = read(device, request, sizeof(request));

		if (n < 0 && (errno == EINTR || errno == ENOENT))
			continue;
		if (n < (ssize_t)sizeof(struct fuse_in_header))
			die("request");
		if (!serve((const void *)request, request + sizeof(struct fuse_in_header)))
			break;
	}
	printf("%d\n", (int)pid);
	fflush(stdout);
	for (;;)
		pause();
}
