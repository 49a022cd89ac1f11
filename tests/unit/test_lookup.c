/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tree of files that looks like /proc, in which some are FIFOs: opening one waits for ever. */
#include "kernel/lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#include "tap.h"

#define TICK_NS (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK))
#define COUNT 12u /* processes of the tree, from pid 1 on */

static const char *const files[] = { "stat", "cmdline", "cgroup", "exe", "cwd", "environ" };

static char tmp[64];
static int root = -1;
static pid_t owner;
static struct lookup *lookup;
static struct lookup_query queries[LOOKUP_MAX];

static const char *path_of(unsigned pid, const char *file)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%u/%s", tmp, pid, file);
	return path;
}

static void clean(void)
{
	if (getpid() != owner)
		return;
	for (unsigned pid = 1; pid <= COUNT; pid++) {
		for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
			unlink(path_of(pid, files[i]));
		rmdir(path_of(pid, ""));
	}
	rmdir(tmp);
}

static void put(unsigned pid, const char *file, struct bytes content)
{
	_cleanup_close_ int fd = open(path_of(pid, file), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && write(fd, content.data, content.size) == (ssize_t)content.size);
}

static void put_fifo(unsigned pid, const char *file)
{
	unlink(path_of(pid, file));
	CHECK_INT(mkfifo(path_of(pid, file), 0600), 0);
}

/* Process n began n ticks after the boot. */
static void put_process(unsigned pid)
{
	char stat[256], args[32];
	int n = snprintf(args, sizeof(args), "number%c%u", '\0', pid);

	CHECK_INT(mkdir(path_of(pid, ""), 0700), 0);
	snprintf(stat, sizeof(stat), "%u (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %u 0\n", pid, pid);
	put(pid, "stat", bytes_of(stat));
	put(pid, "cmdline", (struct bytes){ args, (size_t)n + 1 });
	put(pid, "cgroup", BYTES("0::/group\n"));
	put(pid, "environ", BYTES("A=b\0"));
	CHECK_INT(symlink("/program", path_of(pid, "exe")), 0);
	CHECK_INT(symlink("/folder", path_of(pid, "cwd")), 0);
}

static void prepare(bool env)
{
	strcpy(tmp, "/tmp/test_lookup.XXXXXX");
	CHECK(mkdtemp(tmp));
	owner = getpid();
	atexit(clean);
	for (unsigned pid = 1; pid <= COUNT; pid++)
		put_process(pid);
	root = open(tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(root >= 0);
	CHECK_INT(lookup_new(&lookup, root, 1 << 20, env), 0);
	for (unsigned i = 0; i < COUNT; i++) {
		queries[i].process.tgid = i + 1;
		queries[i].process.start = (i + 1) * TICK_NS;
		queries[i].process.comm = BYTES("kept");
		queries[i].insist = true;
	}
}

static void end(void)
{
	lookup = lookup_free(lookup);
	close(root);
	root = -1;
}
TEARDOWN(end)

static void check_bytes(struct bytes a, struct bytes b)
{
	CHECK(bytes_equal(a, b));
}

static void check_answer(const struct lookup_answer *answer, unsigned pid, unsigned incomplete)
{
	char args[32];
	int n = snprintf(args, sizeof(args), "number%c%u", '\0', pid);
	const struct image *image = &answer->process.image;

	CHECK_INT(answer->result, 0);
	CHECK_INT(answer->process.tgid, pid);
	CHECK(answer->alive);
	check_bytes(answer->process.comm, BYTES("kept"));
	CHECK_INT(image->incomplete, incomplete);
	check_bytes(image->exe, BYTES("/program"));
	check_bytes(image->cwd, BYTES("/folder"));
	check_bytes(image->cgroup, BYTES("/group"));
	if (incomplete & INCOMPLETE_BIT(INCOMPLETE_ARGS))
		CHECK(!image->args.data);
	else
		check_bytes(image->args, (struct bytes){ args, (size_t)n + 1 });
}

/* Asks for the first n; what is missing of process i + 1. In seconds, how long it took. */
static double check_all(size_t n, const unsigned *incomplete)
{
	const struct lookup_answer *answers;
	struct timespec begin, now;
	size_t done = 0;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	CHECK_INT(lookup_ask(lookup, queries, n), 0);
	while (lookup_pending(lookup) > 0) {
		size_t some = lookup_wait(lookup, INT_MAX, &answers);

		for (size_t i = 0; i < some; i++, done++)
			check_answer(&answers[i], (unsigned)done + 1, incomplete ? incomplete[done] : 0);
	}
	CHECK_INT(done, n);
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) / 1e9;
}

TEST(free_accepts_null)
{
	CHECK(!lookup_free(NULL));
}

TEST(answers_come_in_the_order_of_the_queries)
{
	prepare(true);
	CHECK_INT(lookup_pending(lookup), 0);
	check_all(COUNT, NULL);
	check_all(1, NULL);
	lookup_rest(lookup);
	check_all(3, NULL);
}

TEST(each_kind_of_query_is_answered)
{
	const struct lookup_answer *answers;
	size_t n = 0;

	prepare(false);
	queries[0].listed = (struct record_running){ .exe_inode = 77, .exe_dev_major = 1, .exe_dev_minor = 2 };
	queries[1].kind = LOOKUP_ALIVE;
	put(3, "stat", BYTES("3 (x) Z 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 3 0\n"));
	queries[2].kind = LOOKUP_ALIVE;
	queries[3].process.start++;
	queries[4].process.start += TICK_NS;
	queries[5].kind = LOOKUP_HIDDEN; /* it has no status */
	CHECK_INT(lookup_ask(lookup, queries, 6), 0);
	while (n == 0)
		n = lookup_wait(lookup, INT_MAX, &answers);
	CHECK_INT(n, 6);
	check_answer(&answers[0], 1, 0);
	CHECK_INT(answers[0].process.image.exe_inode, 77);
	CHECK(answers[1].alive && !answers[1].process.image.exe.data);
	CHECK(!answers[2].alive);
	check_answer(&answers[3], 4, 0);
	CHECK_INT(answers[4].result, -ESRCH);
	CHECK(!answers[4].alive);
	CHECK_INT(answers[5].result, -ESRCH);
}

TEST(blocked_processes_are_left_out_and_counted)
{
	const unsigned args = INCOMPLETE_BIT(INCOMPLETE_ARGS), env = INCOMPLETE_BIT(INCOMPLETE_ENV);
	const unsigned incomplete[COUNT] = { 0, args, 0, args, env, 0, 0, 0, 0, 0, 0, args | env };

	prepare(true);
	put_fifo(2, "cmdline");
	put_fifo(4, "cmdline");
	put_fifo(5, "environ");
	put_fifo(12, "cmdline");
	put_fifo(12, "environ");
	check_all(COUNT, incomplete);
	/* Those that can be read again are. */
	unlink(path_of(4, "cmdline"));
	put(4, "cmdline", BYTES("number\0004\0"));
	lookup_rest(lookup);
	check_all(4, (const unsigned[]){ 0, args, 0, 0 });
}

TEST(blocked_processes_take_a_bounded_time)
{
	unsigned incomplete[COUNT];
	double took;

	prepare(false);
	for (unsigned i = 0; i < COUNT; i++) {
		put_fifo(i + 1, "cmdline");
		incomplete[i] = INCOMPLETE_BIT(INCOMPLETE_ARGS);
		queries[i].listed.flags = i % 2 ? RUNNING_F_MM_LOCKED : 0;
	}
	took = 0;
	for (int i = 0; i < 8; i++)
		took += check_all(COUNT, incomplete);
	/* Beyond TOTAL_MS nothing is asked for that may wait: 96 times PATIENCE_MS would be 4.8 s. */
	printf("# %.3f s\n", took);
	CHECK(getenv("VALGRIND") || took < 3);
}

TEST(processes_with_a_locked_mmap_are_read_on_demand)
{
	const unsigned args = INCOMPLETE_BIT(INCOMPLETE_ARGS);

	prepare(false);
	queries[0].listed.flags = queries[1].listed.flags = RUNNING_F_MM_LOCKED;
	queries[1].insist = false;
	check_all(3, (const unsigned[]){ 0, args, 0 });
	queries[1].insist = true;
	check_all(3, NULL);
}

TEST(reads_that_never_block_may_block)
{
	const struct lookup_answer *answers;
	size_t n = 0;

	prepare(false);
	put_fifo(2, "stat");
	put_fifo(3, "cgroup");
	CHECK_INT(lookup_ask(lookup, queries, 4), 0);
	while (n < 4) {
		size_t some = lookup_wait(lookup, INT_MAX, &answers);

		for (size_t i = 0; i < some; i++, n++) {
			if (n == 0 || n == 3)
				check_answer(&answers[i], (unsigned)n + 1, 0);
			else if (n == 1)
				CHECK(answers[i].result < 0 && !answers[i].alive);
			else
				CHECK_INT(answers[i].process.image.incomplete, INCOMPLETE_BIT(INCOMPLETE_CGROUP));
		}
	}
}

static pid_t only_child(void)
{
	char path[64];
	_cleanup_fclose_ FILE *f = NULL;
	int pid = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	f = fopen(path, "re");
	return f && fscanf(f, "%d", &pid) == 1 ? pid : 0;
}

TEST(killed_child_is_replaced)
{
	pid_t child;

	prepare(false);
	check_all(COUNT, NULL);
	child = only_child();
	if (child == 0) {
		printf("# not done: no CONFIG_PROC_CHILDREN\n");
		return;
	}
	CHECK_INT(kill(child, SIGKILL), 0);
	while (kill(child, 0) == 0 && waitpid(child, NULL, WNOHANG) == 0)
		usleep(1000);
	check_all(COUNT, NULL);
}

/* One that was killed may take a while to die, and is not waited for (DYING_WAIT_MS). */
static void check_no_child(void)
{
	tap_limit(10);
	while (waitpid(-1, NULL, 0) > 0)
		;
	CHECK_INT(errno, ECHILD);
	alarm(0);
}

TEST(free_leaves_no_child)
{
	prepare(false);
	put_fifo(1, "cmdline");
	check_all(2, (const unsigned[]){ INCOMPLETE_BIT(INCOMPLETE_ARGS), 0 });
	lookup_rest(lookup);
	check_no_child();
	check_all(2, (const unsigned[]){ INCOMPLETE_BIT(INCOMPLETE_ARGS), 0 });
	end();
	check_no_child();
}

TEST(queries_larger_than_the_board_are_answered)
{
	static char big[900000];
	const struct lookup_answer *answers;
	size_t done = 0;

	prepare(false);
	memset(big, 'x', sizeof(big) - 1);
	for (unsigned pid = 1; pid <= COUNT; pid++) {
		big[0] = (char)('a' + pid);
		put(pid, "cmdline", (struct bytes){ big, sizeof(big) });
	}
	CHECK_INT(lookup_ask(lookup, queries, COUNT), 0);
	while (done < COUNT) {
		size_t some = lookup_wait(lookup, INT_MAX, &answers);

		for (size_t i = 0; i < some; i++, done++) {
			big[0] = (char)('a' + done + 1);
			check_bytes(answers[i].process.image.args, (struct bytes){ big, sizeof(big) });
		}
	}
	CHECK_INT(lookup_pending(lookup), 0);
}

TAP_MAIN
