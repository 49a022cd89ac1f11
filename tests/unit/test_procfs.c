/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Twice: a tree of files that looks like /proc, for what the kernel does not write every day, and the real
 * /proc, with children made odd on purpose, for what it does write.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "kernel/procfs.h"
#include "tap.h"

#define LIMIT (2u << 20)
#define TICK_NS (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK))

static void check_bytes(struct bytes a, struct bytes b)
{
	if (!bytes_equal(a, b))
		printf("# \"%.*s\" (%zu) is not \"%.*s\" (%zu)\n", (int)a.size, a.data, a.size, (int)b.size, b.data,
		       b.size);
	CHECK(bytes_equal(a, b));
}

/* A folder of its own for each test, removed with all that is in it. */
static char tmp[64];

static void tmp_remove_at(int fd)
{
	DIR *dir = fdopendir(fd);

	for (struct dirent *e; dir && (e = readdir(dir));) {
		int sub;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		sub = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
		if (sub >= 0)
			tmp_remove_at(sub);
		unlinkat(dirfd(dir), e->d_name, sub >= 0 ? AT_REMOVEDIR : 0);
	}
	if (dir)
		closedir(dir);
}

static pid_t tmp_owner;

static void tmp_remove(void)
{
	if (getpid() != tmp_owner)
		return;
	tmp_remove_at(open(tmp, O_RDONLY | O_DIRECTORY));
	rmdir(tmp);
}

static void tmp_make(void)
{
	strcpy(tmp, "/tmp/test_procfs.XXXXXX");
	CHECK(mkdtemp(tmp));
	CHECK(chmod(tmp, 0755) == 0);
	tmp_owner = getpid();
	atexit(tmp_remove);
}

static const char *in_tmp(const char *name)
{
	static char path[4][4200];
	static unsigned i;
	char *p = path[i++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", tmp, name);
	return p;
}

static void put(const char *name, struct bytes content)
{
	_cleanup_close_ int fd = open(in_tmp(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	CHECK(fd >= 0);
	CHECK(write(fd, content.data, content.size) == (ssize_t)content.size);
}

/* The tree. */

#define STAT_OF(comm, start)                                                     \
	"42 (" comm ") S 1 42 42 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0 " start \
	" 1000 100 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"

static void tree(struct bytes stat)
{
	tmp_make();
	CHECK(mkdir(in_tmp("42"), 0755) == 0);
	put("42/stat", stat);
}

static struct process meant(uint64_t ticks)
{
	return (struct process){ .tgid = 42, .start = ticks * TICK_NS };
}

static struct procfs *kept; /* what it points to lives as long */

static int read_at(const char *root, size_t limit, struct process *process)
{
	static int fd = -1;

	procfs_free(kept);
	kept = NULL;
	if (fd >= 0)
		close(fd);
	fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_INT(procfs_new(&kept, fd, limit), 0);
	return procfs_read(kept, process, NULL, 0);
}

static int read_tree(struct process *process)
{
	return read_at(tmp, LIMIT, process);
}

static void check_stat(struct bytes stat, uint64_t ticks, int expected)
{
	struct process p = meant(ticks);

	put("42/stat", stat);
	CHECK_INT(read_tree(&p), expected);
}

TEST(free_accepts_null)
{
	CHECK(!procfs_free(NULL));
}

TEST(start_is_counted_from_the_last_parenthesis)
{
	tree(BYTES(""));
	check_stat(BYTES(STAT_OF("sh", "1234567")), 1234567, 0);
	check_stat(BYTES(STAT_OF("", "1234567")), 1234567, 0);
	check_stat(BYTES(STAT_OF("a) R 1 (", "77")), 77, 0);
	check_stat(BYTES(STAT_OF(")))) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 99 ", "77")), 77, 0);
	check_stat(BYTES(STAT_OF("a\0b\xff\n", "77")), 77, 0);
	check_stat(BYTES(STAT_OF("sh", "0")), 0, 0);
	/* 18446744073709551615 ns and no tick more. */
	check_stat(BYTES(STAT_OF("sh", "1844674407370")), 1844674407370, 0);
}

TEST(other_start_time_is_another_process)
{
	struct process p = meant(500);

	tree(BYTES(STAT_OF("sh", "500")));
	CHECK_INT(read_tree(&p), 0);
	p.start += TICK_NS - 1;
	CHECK_INT(read_tree(&p), 0);
	p.start += 1;
	CHECK_INT(read_tree(&p), -ESRCH);
	p.start = 500 * TICK_NS - 1;
	CHECK_INT(read_tree(&p), -ESRCH);
	p.start = 0;
	CHECK_INT(read_tree(&p), -ESRCH);
	p = meant(500);
	p.tgid = 43;
	CHECK_INT(read_tree(&p), -ESRCH);
	p.tgid = UINT32_MAX;
	CHECK_INT(read_tree(&p), -ESRCH);
}

TEST(malformed_stat_is_refused)
{
	static const char *const wrong[] = {
		"",
		"\n",
		"42",
		"42 (sh",
		"42 (sh)",
		"42 (sh) ",
		"42 (sh) S",
		"42 (sh) S 1 2 3",
		")",
		") ",
		"42 (sh) S 1 42 42 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0",
		"42 (sh) S 1 42 42 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0 ",
		"42 (sh) S 1 42 42 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0 x 1",
		"42 (sh) S 1 42 42 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0 -5 1",
		"42 (sh) S 1 42 42 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0 5x 1",
		"42 (sh) S 1 42 42 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0  5 1",
		"42 (sh) S 1 42 42 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0 18446744073709551616 1",
		"42 (sh) S 1 42 42 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0 99999999999999999999999 1",
	};

	tree(BYTES(""));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		check_stat(bytes_of(wrong[i]), 5, -EBADMSG);
		check_stat(bytes_of(wrong[i]), 0, -EBADMSG);
	}
}

TEST(failure_does_not_change_the_process)
{
	struct process p = meant(6);

	tree(BYTES(STAT_OF("sh", "5")));
	p.image.exe = BYTES("/mine");
	CHECK_INT(read_tree(&p), -ESRCH);
	check_bytes(p.image.exe, BYTES("/mine"));
}

TEST(missing_files_are_unknown)
{
	struct process p = meant(5);

	tree(BYTES(STAT_OF("sh", "5")));
	p.image.exe = BYTES("/old");
	p.image.secureexec = true;
	CHECK_INT(read_tree(&p), 0);
	CHECK(!p.image.exe.data && !p.image.args.data && !p.image.cwd.data && !p.image.cgroup.data);
	CHECK(!p.image.secureexec);
	CHECK_INT(p.image.argc, 0);
}

static struct process read_args(struct bytes cmdline, size_t limit)
{
	struct process p = meant(5);

	put("42/cmdline", cmdline);
	CHECK_INT(read_at(tmp, limit, &p), 0);
	return p;
}

static void check_args(struct bytes cmdline, size_t limit, struct bytes args, uint32_t argc, uint64_t size)
{
	struct process p = read_args(cmdline, limit);

	check_bytes(p.image.args, args);
	CHECK_INT(p.image.argc, argc);
	CHECK_INT(p.image.args_size, size);
	CHECK_INT(p.image.args_truncated, args.size < size);
}

TEST(args_are_all_of_cmdline)
{
	tree(BYTES(STAT_OF("sh", "5")));
	check_args(BYTES("ls\0-l\0"), LIMIT, BYTES("ls\0-l\0"), 2, 6);
	check_args(BYTES("\0"), LIMIT, BYTES("\0"), 1, 1);
	check_args(BYTES("\0\0\0"), LIMIT, BYTES("\0\0\0"), 3, 3);
	check_args(BYTES("a\0\0\xff\xfe\n\0"), LIMIT, BYTES("a\0\0\xff\xfe\n\0"), 3, 7);
	/* Overwritten: no NUL at the end. */
	check_args(BYTES("nginx: worker"), LIMIT, BYTES("nginx: worker\0"), 1, 14);
	check_args(BYTES("a\0b"), LIMIT, BYTES("a\0b\0"), 2, 4);
	CHECK(!read_args(BYTES(""), LIMIT).image.args.data);
}

TEST(args_above_the_limit_end_between_two)
{
	tree(BYTES(STAT_OF("sh", "5")));
	check_args(BYTES("abc\0def\0ghi\0"), 12, BYTES("abc\0def\0ghi\0"), 3, 12);
	check_args(BYTES("abc\0def\0ghi\0"), 11, BYTES("abc\0def\0"), 3, 12);
	check_args(BYTES("abc\0def\0ghi\0"), 8, BYTES("abc\0def\0"), 3, 12);
	check_args(BYTES("abc\0def\0ghi\0"), 7, BYTES("abc\0"), 3, 12);
	check_args(BYTES("abc\0def\0ghi\0"), 3, BYTES(""), 3, 12);
	check_args(BYTES("abc\0def\0ghi\0"), 0, BYTES(""), 3, 12);
	/* The NUL that is added counts. */
	check_args(BYTES("abc\0def"), 8, BYTES("abc\0def\0"), 2, 8);
	check_args(BYTES("abc\0def"), 7, BYTES("abc\0"), 2, 8);
	check_args(BYTES("abc\0def"), 6, BYTES("abc\0"), 2, 8);
	check_args(BYTES("abc\0def"), 4, BYTES("abc\0"), 2, 8);
	check_args(BYTES("abc\0def"), 1, BYTES(""), 2, 8);
	check_args(BYTES("abc"), SIZE_MAX, BYTES("abc\0"), 1, 4);
}

TEST(args_above_the_limit_are_counted_whole)
{
	size_t size = 3000000;
	char *data = malloc(size);
	struct process p;

	tree(BYTES(STAT_OF("sh", "5")));
	CHECK(data);
	memset(data, 'x', size);
	for (size_t i = 99; i < size; i += 100)
		data[i] = '\0';
	p = read_args((struct bytes){ data, size }, 100050);
	CHECK_INT(p.image.args.size, 100000);
	CHECK_INT(p.image.argc, 30000);
	CHECK_INT(p.image.args_size, 3000000);
	CHECK(p.image.args_truncated);
	check_bytes(p.image.args, (struct bytes){ data, 100000 });
	p = read_args((struct bytes){ data, size }, LIMIT * 2);
	check_bytes(p.image.args, (struct bytes){ data, size });
	CHECK(!p.image.args_truncated);
	/* A file without end is not read for ever. */
	p = read_args(BYTES(""), LIMIT);
	CHECK(truncate(in_tmp("42/cmdline"), (off_t)1 << 32) == 0);
	p = meant(5);
	CHECK_INT(read_tree(&p), 0);
	CHECK_INT(p.image.args.size, LIMIT);
	CHECK(p.image.args_size >= (8u << 20) && p.image.args_size < (9u << 20));
	free(data);
}

static void check_cgroup(const char *text, const char *expected)
{
	struct process p = meant(5);

	put("42/cgroup", bytes_of(text));
	CHECK_INT(read_tree(&p), 0);
	check_bytes(p.image.cgroup, bytes_of(expected));
}

TEST(cgroup_is_that_of_v2_or_systemd)
{
	tree(BYTES(STAT_OF("sh", "5")));
	check_cgroup("0::/system.slice/ssh.service\n", "/system.slice/ssh.service");
	check_cgroup("0::/\n", "/");
	check_cgroup("0::/no/newline", "/no/newline");
	check_cgroup("0::/with:colon::s\n", "/with:colon::s");
	check_cgroup("12:cpu,cpuacct:/docker/1\n3:pids:/docker/2\n0::/v2\n", "/v2");
	check_cgroup("9:cpu:/a\n1:name=systemd:/user.slice\n0::/v2\n", "/v2");
	check_cgroup("0::/\n1:name=systemd:/user.slice\n", "/user.slice");
	check_cgroup("9:cpu:/a\n1:name=systemd:/user.slice\n0::/\n", "/user.slice");
	check_cgroup("1:name=systemd:/\n0::/\n", "/");
	check_cgroup("1:name=systemd:/only\n", "/only");
	check_cgroup("1:name=systemdish:/x\n2:xname=systemd:/y\n0::/v2\n", "/v2");
	check_cgroup("4:name=other:/x\n", NULL);
	check_cgroup("7::/not-v2\n", NULL);
	check_cgroup("0::relative\n", NULL);
	check_cgroup("0::\n", NULL);
	check_cgroup("0:\n0\n\n:\n::\n:::\n", NULL);
	check_cgroup("", NULL);
}

TEST(removed_cgroup_has_only_zombies)
{
	tree(BYTES(STAT_OF("sh", "5")));
	check_cgroup("0::/a (deleted)\n", "/a (deleted)");
	put("42/stat", BYTES("42 (x) Z 1 42 42 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0 5 0\n"));
	check_cgroup("0::/a (deleted)\n", "/a");
	check_cgroup("0::/a (deleted) (deleted)\n", "/a (deleted)");
	check_cgroup("0::/a\n", "/a");
}

/* Ends, or becomes another, just when its cgroup is being read. */
static void check_vanishing(struct bytes stat)
{
	struct process p = meant(5);
	pid_t pid;

	CHECK(mkfifo(in_tmp("42/cgroup"), 0600) == 0);
	put("42/stat", BYTES(STAT_OF("sh", "5")));
	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		int fd = open(in_tmp("42/cgroup"), O_WRONLY);

		if (stat.data)
			put("42/stat", stat);
		else
			unlink(in_tmp("42/stat"));
		close(fd);
		_exit(0);
	}
	CHECK_INT(read_tree(&p), -ESRCH);
	CHECK(!p.image.args.data);
	CHECK(waitpid(pid, NULL, 0) == pid);
	CHECK(unlink(in_tmp("42/cgroup")) == 0);
}

TEST(process_that_vanished_meanwhile_is_not_returned)
{
	tree(BYTES(STAT_OF("sh", "5")));
	put("42/cmdline", BYTES("sh\0"));
	check_vanishing(BYTES(STAT_OF("sh", "6")));
	check_vanishing(BYTES_NONE);
}

TEST(path_is_absolute_or_unknown)
{
	struct process p = meant(5);
	char longest[4096];

	tree(BYTES(STAT_OF("sh", "5")));
	CHECK(symlink("socket:[1]", in_tmp("42/exe")) == 0);
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[4095] = '\0';
	CHECK(symlink(longest, in_tmp("42/cwd")) == 0);
	CHECK_INT(read_tree(&p), 0);
	CHECK(!p.image.exe.data);
	check_bytes(p.image.cwd, bytes_of(longest));
}

/* The real /proc. */

static bool real_or_gone(pid_t pid, struct process *ret)
{
	char path[32], text[4096], *s;
	_cleanup_close_ int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	s = strrchr(text, ')');
	CHECK(s);
	for (int i = 2; i < 22; i++)
		s = strchr(s, ' ') + 1;
	*ret = (struct process){ .tgid = (uint32_t)pid, .start = strtoull(s, NULL, 10) * TICK_NS };
	return true;
}

static struct process real(pid_t pid)
{
	struct process p;

	CHECK(real_or_gone(pid, &p));
	return p;
}

static struct process read_real(pid_t pid, size_t limit)
{
	struct process p = real(pid);

	CHECK_INT(read_at("/proc", limit, &p), 0);
	return p;
}

/* A child that writes a byte once it is ready, and is ended with the test. */
struct child {
	pid_t pid;
	int output;
};

static void child_ready(void)
{
	CHECK(write(1, "!", 1) == 1);
	for (;;)
		pause();
}

static struct child child_begin(void)
{
	struct child child;
	int fds[2];

	fflush(stdout);
	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	child.pid = fork();
	CHECK(child.pid >= 0);
	if (child.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], 1);
	}
	close(fds[1]);
	child.output = fds[0];
	return child;
}

static void child_wait(const struct child *child)
{
	char c;

	CHECK(read(child->output, &c, 1) == 1 && c == '!');
}

static void child_end(const struct child *child)
{
	kill(child->pid, SIGKILL);
	CHECK(waitpid(child->pid, NULL, 0) == child->pid);
	close(child->output);
}

/* A shell that says that it runs, then waits for ever. */
#define SCRIPT "printf !; while :; do kill -STOP $$; done"

static char *const no_env[] = { NULL };
static char *const script[] = { (char *)"sh", (char *)"-c", (char *)SCRIPT, NULL };

static struct child child_exec(const char *path, char *const *args)
{
	struct child child = child_begin();

	if (child.pid == 0) {
		execve(path, args, no_env);
		_exit(127);
	}
	child_wait(&child);
	return child;
}

static void copy_sh(int to)
{
	_cleanup_close_ int from = open("/bin/sh", O_RDONLY | O_CLOEXEC);
	char data[65536];
	ssize_t n;

	CHECK(from >= 0);
	while ((n = read(from, data, sizeof(data))) > 0)
		CHECK(write(to, data, (size_t)n) == n);
	CHECK(n == 0);
}

static void put_sh(const char *name)
{
	_cleanup_close_ int fd = open(in_tmp(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

	CHECK(fd >= 0);
	copy_sh(fd);
}

TEST(own_process_is_read)
{
	struct process p = read_real(getpid(), LIMIT);
	struct stat st, named;
	char exe[4096], cwd[4096];

	/* Not compared with readlink: valgrind makes that up. */
	CHECK(p.image.exe.size < sizeof(exe));
	memcpy(exe, p.image.exe.data, p.image.exe.size);
	exe[p.image.exe.size] = '\0';
	CHECK(stat("/proc/self/exe", &st) == 0 && stat(exe, &named) == 0);
	CHECK(st.st_ino == named.st_ino && st.st_dev == named.st_dev);
	CHECK(getcwd(cwd, sizeof(cwd)));
	check_bytes(p.image.cwd, bytes_of(cwd));
	CHECK_INT(p.image.exe_inode, st.st_ino);
	CHECK_INT(p.image.exe_dev_major, major(st.st_dev));
	CHECK_INT(p.image.exe_dev_minor, minor(st.st_dev));
	CHECK(p.image.exe_ctime_known);
	CHECK_INT(p.image.exe_ctime, st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec);
	CHECK(!p.image.exe_deleted && !p.image.exe_memfd);
	CHECK(p.image.argc >= 1);
	CHECK(p.image.cgroup.size >= 1 && p.image.cgroup.data[0] == '/');
	CHECK(!p.image.args_truncated);
}

TEST(all_processes_are_read_with_the_same_buffers)
{
	_cleanup_(procfs_free_p) struct procfs *procfs = NULL;
	DIR *dir = opendir("/proc");
	bool me = false;

	CHECK(dir);
	CHECK_INT(procfs_new(&procfs, dirfd(dir), LIMIT), 0);
	for (struct dirent *e; (e = readdir(dir));) {
		struct process p;
		int r;

		if (e->d_name[0] < '1' || e->d_name[0] > '9' || !real_or_gone(atoi(e->d_name), &p))
			continue;
		r = procfs_read(procfs, &p, NULL, 0);
		/* Others come and go meanwhile. */
		CHECK(r == 0 || r == -ESRCH);
		if (p.tgid == (uint32_t)getpid()) {
			CHECK(p.image.exe.size > 1 && p.image.argc > 0);
			me = true;
		}
	}
	CHECK(me);
	closedir(dir);
}

TEST(odd_comm_does_not_confuse_the_parser)
{
	static const char *const comms[] = { "a) R 1 (", ")", "", "\n) Z 1\n", "((((((((((((((", ") S 1 1 1 1 1 1" };

	for (size_t i = 0; i < sizeof(comms) / sizeof(*comms); i++) {
		struct child child = child_begin();
		struct process p;

		if (child.pid == 0) {
			prctl(PR_SET_NAME, comms[i]);
			child_ready();
		}
		child_wait(&child);
		p = read_real(child.pid, LIMIT);
		CHECK(p.image.exe.size > 1);
		p.start += TICK_NS;
		CHECK_INT(read_at("/proc", LIMIT, &p), -ESRCH);
		child_end(&child);
		p.start -= TICK_NS;
		CHECK_INT(read_at("/proc", LIMIT, &p), -ESRCH);
	}
}

TEST(args_are_complete)
{
	static char big[1 << 17];
	char *args[64] = { (char *)"sh", (char *)"-c", (char *)SCRIPT, (char *)"", (char *)"\xff\xfe\x80", (char *)"" };
	struct child child;
	struct process p;
	size_t at = 0, size = 0;
	uint32_t argc = 6;

	memset(big, 'b', sizeof(big) - 1);
	for (; argc < 15; argc++)
		args[argc] = big;
	for (uint32_t i = 0; i < argc; i++)
		size += strlen(args[i]) + 1;
	CHECK(size > 1 << 20);
	child = child_exec("/bin/sh", args);
	p = read_real(child.pid, LIMIT);
	CHECK_INT(p.image.argc, argc);
	CHECK_INT(p.image.args_size, size);
	CHECK_INT(p.image.args.size, size);
	CHECK(!p.image.args_truncated);
	for (uint32_t i = 0; i < argc; i++) {
		CHECK(strcmp(p.image.args.data + at, args[i]) == 0);
		at += strlen(args[i]) + 1;
	}
	/* The same with less room. */
	p = read_real(child.pid, 300000);
	CHECK_INT(p.image.argc, argc);
	CHECK_INT(p.image.args_size, size);
	CHECK(p.image.args_truncated);
	CHECK(p.image.args.size <= 300000 && p.image.args.size > 300000 - sizeof(big));
	CHECK(p.image.args.data[p.image.args.size - 1] == '\0');
	child_end(&child);
}

TEST(overwritten_args_are_returned_as_they_are)
{
	struct child child = child_begin();
	struct process p;

	if (child.pid == 0) {
		unsigned long from = 0, to = 0;
		char text[4096] = "", *s;
		_cleanup_close_ int fd = open("/proc/self/stat", O_RDONLY), mem = -1;

		CHECK(read(fd, text, sizeof(text) - 1) > 0);
		s = strrchr(text, ')');
		for (int i = 2; i < 49; i++) {
			s = strchr(s, ' ') + 1;
			if (i + 1 == 48)
				from = strtoul(s, NULL, 10);
			if (i + 1 == 49)
				to = strtoul(s, NULL, 10);
		}
		CHECK(from && to > from);
		/* Beyond the end, into the environment, as setproctitle does. */
		mem = open("/proc/self/mem", O_WRONLY);
		for (; from < to; from++)
			CHECK(pwrite(mem, "T", 1, (off_t)from) == 1);
		CHECK(pwrite(mem, "itle", 5, (off_t)to) == 5);
		child_ready();
	}
	child_wait(&child);
	p = read_real(child.pid, LIMIT);
	CHECK_INT(p.image.argc, 1);
	CHECK(p.image.args.size > 6);
	CHECK_INT(p.image.args.size, p.image.args_size);
	CHECK(memcmp(p.image.args.data + p.image.args.size - 6, "Title", 6) == 0);
	child_end(&child);
}

/* What the kernel's list said of it. */
static struct process read_listed(pid_t pid, struct record_running listed)
{
	struct process p = meant(5);

	if (pid)
		p = real(pid);
	read_at(pid ? "/proc" : tmp, LIMIT, &p);
	CHECK_INT(procfs_read(kept, &p, &listed, 0), 0);
	return p;
}

/* The name has that many bytes in the list, which says that it is deleted, or not. */
static void check_mark(const char *link, unsigned name, bool deleted, const char *path, bool is_deleted)
{
	struct record_running listed = {
		.exe_name = name,
		.cwd_name = name,
		.flags = deleted ? RUNNING_F_EXE_DELETED | RUNNING_F_CWD_DELETED : 0,
		.exe_inode = 7,
		.exe_ctime = RECORD_NO_TIME,
	};
	struct process p;

	unlink(in_tmp("42/exe"));
	unlink(in_tmp("42/cwd"));
	CHECK(symlink(link, in_tmp("42/exe")) == 0);
	CHECK(symlink(link, in_tmp("42/cwd")) == 0);
	p = read_listed(0, listed);
	check_bytes(p.image.exe, bytes_of(path));
	check_bytes(p.image.cwd, bytes_of(path));
	CHECK_INT(p.image.exe_deleted, is_deleted);
	CHECK(!p.image.exe_memfd);
	CHECK_INT(p.image.exe_inode, 7);
	CHECK(!p.image.exe_ctime_known && !p.image.exe_upper);
	listed.exe_ctime = 5;
	listed.flags |= RUNNING_F_EXE_UPPER;
	p = read_listed(0, listed);
	CHECK(p.image.exe_ctime_known && p.image.exe_upper && p.image.exe_ctime == 5);
}

TEST(deleted_mark_follows_the_task_list)
{
	tree(BYTES(STAT_OF("sh", "5")));
	check_mark("/a/x", 1, false, "/a/x", false);
	check_mark("/a/x (deleted)", 1, true, "/a/x", true);
	check_mark("/a/x (deleted)", 11, false, "/a/x (deleted)", false);
	check_mark("/a/x (deleted) (deleted)", 11, true, "/a/x (deleted)", true);
	/* Deleted after the list was read. */
	check_mark("/a/x (deleted)", 1, false, "/a/x", true);
	check_mark("/a/x (deleted) (deleted)", 11, false, "/a/x (deleted)", true);
	/* A mount point, whose name the list has not, or it has another name since. */
	check_mark("/a/x (deleted)", 0, false, "/a/x (deleted)", false);
	check_mark("/a/x (deleted)", 0, true, "/a/x", true);
	check_mark("/a/x (deleted)", 5, true, "/a/x", true);
	check_mark("/ (deleted)", 10, true, "/ (deleted)", false);
	check_mark("/ (deleted)", 0, true, "/", true);
	check_mark("/", 0, false, "/", false);
}

TEST(unlinked_file_is_deleted_without_the_task_list)
{
	static const char *const names[] = { "sh", "sh (deleted)" };

	tmp_make();
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct child child;
		struct process p;
		struct stat st;

		put_sh(names[i]);
		CHECK(stat(in_tmp(names[i]), &st) == 0);
		child = child_exec(in_tmp(names[i]), script);
		p = read_real(child.pid, LIMIT);
		check_bytes(p.image.exe, bytes_of(in_tmp(names[i])));
		CHECK(!p.image.exe_deleted);
		CHECK(unlink(in_tmp(names[i])) == 0);
		p = read_real(child.pid, LIMIT);
		check_bytes(p.image.exe, bytes_of(in_tmp(names[i])));
		CHECK(p.image.exe_deleted && !p.image.exe_memfd);
		CHECK_INT(p.image.exe_inode, st.st_ino);
		child_end(&child);
	}
}

TEST(left_out_parts_are_marked)
{
	struct process p = meant(5);
	uint32_t part = 99;

	tree(BYTES(STAT_OF("sh", "5")));
	put("42/cmdline", BYTES("sh\0"));
	put("42/cgroup", BYTES("0::/a\n"));
	CHECK_INT(read_tree(&p), 0);
	CHECK_INT(p.image.incomplete, 0);
	procfs_show_part(kept, &part);
	CHECK_INT(procfs_read(kept, &p, NULL, PROCFS_WAITING), 0);
	CHECK_INT(part, PROCFS_MAX);
	CHECK(!p.image.args.data);
	check_bytes(p.image.cgroup, BYTES("/a"));
	CHECK_INT(p.image.incomplete, INCOMPLETE_BIT(INCOMPLETE_ARGS));
	procfs_want_env(kept, true);
	CHECK_INT(procfs_read(kept, &p, NULL, PROCFS_WAITING), 0);
	CHECK_INT(p.image.incomplete, INCOMPLETE_BIT(INCOMPLETE_ARGS) | INCOMPLETE_BIT(INCOMPLETE_ENV));
	p.kernel_thread = true;
	CHECK_INT(procfs_read(kept, &p, NULL, PROCFS_WAITING), 0);
	CHECK_INT(p.image.incomplete, 0);
}

TEST(memfd_exe_is_marked)
{
	_cleanup_close_ int fd = memfd_create("in memory (deleted)", 0);
	struct child child;
	struct process p;
	char path[32];

	CHECK(fd >= 0);
	copy_sh(fd);
	child = child_begin();
	if (child.pid == 0) {
		/* As fexecve does it without execveat, which valgrind does not know. */
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		execve(path, script, no_env);
		_exit(127);
	}
	child_wait(&child);
	p = read_real(child.pid, LIMIT);
	check_bytes(p.image.exe, BYTES("/memfd:in memory (deleted)"));
	CHECK(p.image.exe_memfd && p.image.exe_deleted);
	CHECK(p.image.exe_inode != 0);
	check_bytes(p.image.args, BYTES("sh\0-c\0" SCRIPT "\0"));
	child_end(&child);
}

static struct child child_in(const char *dir)
{
	struct child child = child_begin();

	if (child.pid == 0) {
		CHECK(chdir(dir) == 0);
		child_ready();
	}
	child_wait(&child);
	return child;
}

TEST(deleted_cwd_has_no_mark)
{
	static const char *const names[] = { "dir", "dir (deleted)" };

	tmp_make();
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct child child;
		struct process p;

		CHECK(mkdir(in_tmp(names[i]), 0755) == 0);
		child = child_in(in_tmp(names[i]));
		p = read_real(child.pid, LIMIT);
		check_bytes(p.image.cwd, bytes_of(in_tmp(names[i])));
		CHECK(rmdir(in_tmp(names[i])) == 0);
		p = read_real(child.pid, LIMIT);
		check_bytes(p.image.cwd, bytes_of(in_tmp(names[i])));
		child_end(&child);
	}
}

TEST(zombie_is_a_process)
{
	struct child child = child_begin();
	struct process p;
	siginfo_t info;

	if (child.pid == 0)
		_exit(3);
	CHECK(waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT) == 0);
	p = read_real(child.pid, LIMIT);
	CHECK(!p.image.exe.data && !p.image.args.data && !p.image.cwd.data);
	CHECK(p.image.cgroup.size >= 1);
	p = real(child.pid);
	CHECK(waitpid(child.pid, NULL, 0) == child.pid);
	CHECK_INT(read_at("/proc", LIMIT, &p), -ESRCH);
}

TEST(kernel_thread_has_no_image)
{
	struct process p = real(getpid());

	p.kernel_thread = true;
	p.image.exe = BYTES("/x");
	CHECK_INT(read_at("/proc", LIMIT, &p), 0);
	CHECK(!p.image.exe.data && !p.image.args.data && !p.image.cwd.data && !p.image.cgroup.data);
	p.start += TICK_NS;
	CHECK_INT(read_at("/proc", LIMIT, &p), -ESRCH);
	/* One that was not reported as one: there is nothing to find. (Pid 2, unless this is a container.) */
	if (access("/proc/2/status", R_OK) == 0 && readlink("/proc/2/exe", (char[1]){ 0 }, 1) < 0 && errno == ENOENT) {
		p = read_real(2, LIMIT);
		CHECK(!p.image.exe.data && !p.image.args.data);
	}
}

TEST(parts_without_permission_are_unknown)
{
	struct process p;

	if (geteuid() != 0) {
		printf("# not done: not root\n");
		return;
	}
	p = real(getppid());
	CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
	CHECK_INT(read_at("/proc", LIMIT, &p), 0);
	CHECK(!p.image.exe.data && !p.image.cwd.data && p.image.exe_inode == 0);
	CHECK(p.image.args.size > 0);
	CHECK(p.image.cgroup.size > 0);
}

TEST(ids_of_a_process_are_read)
{
	struct process p = real(getpid());
	struct procfs *procfs;

	CHECK_INT(procfs_new(&procfs, open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC), 4096), 0);
	CHECK_INT(procfs_identify(procfs, &p), 0);
	CHECK_INT(p.ppid, getppid());
	CHECK_INT(p.uid, getuid());
	CHECK_INT(p.gid, getgid());
	CHECK_INT(p.euid, geteuid());
	CHECK_INT(p.egid, getegid());
	CHECK_INT(p.sid, getsid(0));
	CHECK_INT(p.pgid, getpgid(0));
	CHECK(p.ids_known && p.net_ns != 0);
	p.start += 1000000000;
	CHECK_INT(procfs_identify(procfs, &p), -ESRCH);
	procfs_free(procfs);
}

TAP_MAIN
