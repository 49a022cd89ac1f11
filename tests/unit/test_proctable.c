/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process table: what each function promises, one by one. */
#include <errno.h>
#include <malloc.h>
#include <signal.h>

#include "tables.h"
#include "tap.h"
#include "util/pool.h"

/* So that ASan's malloc fails as malloc does. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

TEST(new_table_is_empty)
{
	_cleanup_(proctable_cursor_free_p) struct proctable_cursor *cursor = cursor_new(table);

	CHECK_INT(proctable_count(table), 0);
	CHECK_INT(proctable_clock(table), 0);
	CHECK_INT(proctable_memory(table), 0);
	CHECK(!proctable_find(table, 1, 0));
	CHECK(!proctable_next(table, NULL));
	CHECK(!proctable_cursor_next(cursor));
	CHECK(!proctable_cursor_next(cursor));
	CHECK(!proctable_free(NULL));
	CHECK(!proctable_cursor_free(NULL));
}

TEST(processes_are_found_by_tgid_and_start)
{
	struct entry *e = add(table, some(7, 100));

	CHECK(proctable_find(table, 7, 0) == e);
	CHECK(proctable_find(table, 7, 100) == e);
	CHECK(!proctable_find(table, 7, 101));
	CHECK(!proctable_find(table, 8, 0));
	CHECK(!proctable_find(table, UINT32_MAX, 0));
	CHECK_INT(proctable_clock(table), 1);
	CHECK_INT(e->born, 1);
	CHECK_INT(e->announced, 0);
	CHECK(!e->seen);
	proctable_remove(table, e);
	CHECK(!proctable_find(table, 7, 0));
	CHECK_INT(proctable_count(table), 0);
	CHECK_INT(proctable_clock(table), 2);
	/* The pid is another process's now. */
	e = add(table, some(7, 200));
	CHECK(proctable_find(table, 7, 200) == e);
	CHECK_INT(e->born, 3);
}

TEST(known_process_is_not_changed)
{
	struct process p = some(7, 100);
	struct entry *e = add(table, p), *ret = NULL;

	p.uid = 5;
	CHECK_INT(proctable_fork(table, &ret, &p), PROCTABLE_E_KNOWN);
	CHECK_INT(proctable_add(table, &ret, &p), PROCTABLE_E_KNOWN);
	CHECK(!ret);
	CHECK(proctable_find(table, 7, 100) == e);
	CHECK_INT(e->process.uid, 0);
	CHECK_INT(proctable_clock(table), 1);
}

/* Runs the rest of the test in a child that must die of an ASSERT. */
static bool dies(void)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		fclose(stderr);
		return true;
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	return false;
}

TEST(misuse_fails_an_assertion)
{
	struct process stranger = some(7, 101), unknown = some(8, 1);
	struct entry *e;

	add(table, some(7, 100));
	if (dies()) {
		proctable_fork(table, &e, &stranger);
		_exit(0);
	}
	if (dies()) {
		proctable_add(table, &e, &stranger);
		_exit(0);
	}
	if (dies()) {
		proctable_exec(table, &e, &stranger);
		_exit(0);
	}
	if (dies()) {
		proctable_exec(table, &e, &unknown);
		_exit(0);
	}
	if (dies()) {
		cursor_new(table);
		proctable_free(table);
		_exit(0);
	}
}

TEST(all_values_are_copied)
{
	char buffer[] = "comm\0parent\0/exe\0/file\0a\0b\0\0/cwd\0/x/u.service/cid\0u.service\0cid\0X=1\0p\0q\0";
	struct process p = some(7, 100);
	struct entry *e;

	p.comm = (struct bytes){ buffer, 4 };
	p.parent_comm = (struct bytes){ buffer + 5, 6 };
	p.image.exe = (struct bytes){ buffer + 12, 4 };
	p.image.filename = (struct bytes){ buffer + 17, 5 };
	p = with_args(p, (struct bytes){ buffer + 23, 5 });
	p.image.cwd = (struct bytes){ buffer + 28, 4 };
	p.image.cgroup = (struct bytes){ buffer + 33, 16 };
	p.image.unit = (struct bytes){ buffer + 50, 9 };
	p.image.container_id = (struct bytes){ buffer + 60, 3 };
	p.image.env = (struct bytes){ buffer + 64, 4 };
	p.ancestors = (struct bytes){ buffer + 68, 4 };
	p.image.exe_inode = 99;
	p.image.secureexec = true;
	e = add(table, p);
	memset(buffer, 'Z', sizeof(buffer));
	check_bytes(e->process.comm, BYTES("comm"));
	check_bytes(e->process.parent_comm, BYTES("parent"));
	check_bytes(e->process.image.exe, BYTES("/exe"));
	check_bytes(e->process.image.filename, BYTES("/file"));
	check_bytes(e->process.image.args, BYTES("a\0b\0\0"));
	check_bytes(e->process.image.cwd, BYTES("/cwd"));
	check_bytes(e->process.image.cgroup, BYTES("/x/u.service/cid"));
	check_bytes(e->process.image.unit, BYTES("u.service"));
	check_bytes(e->process.image.container_id, BYTES("cid"));
	check_bytes(e->process.image.env, BYTES("X=1\0"));
	check_bytes(e->process.ancestors, BYTES("p\0q\0"));
	CHECK_INT(e->process.image.argc, 3);
	CHECK_INT(e->process.image.args_size, 5);
	CHECK_INT(e->process.image.exe_inode, 99);
	CHECK(e->process.image.secureexec);
	CHECK_INT(e->process.start_time, 1100);
	CHECK_INT(proctable_memory(table), 9);
	/* What is a piece of another part is not held twice. */
	CHECK(e->process.image.unit.data == e->process.image.cgroup.data + 3);
}

TEST(unknown_differs_from_empty)
{
	struct process p = some(7, 100);
	struct entry *e;

	p.image.args = BYTES("");
	p.image.filename = BYTES("");
	p.comm = BYTES("");
	e = add(table, p);
	CHECK(!e->process.image.exe.data);
	CHECK(!e->process.parent_comm.data);
	CHECK(e->process.image.args.data && e->process.image.args.size == 0);
	CHECK(e->process.image.filename.data && e->process.image.filename.size == 0);
	CHECK(e->process.comm.data && e->process.comm.size == 0);
	e = add(table, some(8, 100));
	CHECK(!e->process.image.args.data);
}

TEST(comm_is_bounded)
{
	struct process p = some(7, 100);

	p.comm = p.parent_comm = BYTES("0123456789abcdefghijkl");
	check_bytes(add(table, p)->process.comm, BYTES("0123456789abcdef"));
	check_bytes(proctable_find(table, 7, 0)->process.parent_comm, BYTES("0123456789abcdef"));
}

TEST(fork_shares_the_image)
{
	struct process parent = with_args(some(7, 100), BYTES("sh\0-c\0true\0")), p = child_of(&parent, 8, 101);
	struct entry *child, *e = add(table, parent);

	p.comm = BYTES("child");
	p.image.exe = BYTES("/not/this");
	child = fork_(table, p);
	CHECK(child->process.image.args.data == e->process.image.args.data);
	CHECK_INT(child->process.image.argc, 3);
	CHECK(!child->process.image.exe.data);
	check_bytes(child->process.comm, BYTES("child"));
	CHECK_INT(child->process.ppid, 7);
	CHECK_INT(proctable_memory(table), 11);
	proctable_remove(table, e);
	check_bytes(child->process.image.args, BYTES("sh\0-c\0true\0"));
	CHECK_INT(proctable_memory(table), 11);
	proctable_remove(table, child);
	CHECK_INT(proctable_memory(table), 0);
}

static void check_starter(const struct entry *entry, uint32_t pid, uint64_t start, uint64_t exec_time)
{
	CHECK_INT(entry->process.starter, pid);
	CHECK_INT(entry->process.starter_start, start);
	CHECK_INT(entry->process.starter_exec_time, exec_time);
}

TEST(starter_is_the_program_that_a_process_came_from)
{
	struct process program = some(7, 100), p;
	struct entry *shell, *subshell, *child;

	program.execed = true;
	program.exec_time = 55;
	shell = add(table, program);
	check_starter(shell, 0, 0, 0);
	subshell = fork_(table, child_of(&program, 8, 101));
	check_starter(subshell, 7, 100, 55);
	program.exec_time = 66;
	proctable_remove(table, exec(table, program));
	/* The subshell came from what the shell ran then, and so does what it forks, although the shell has ended. */
	p = child_of(&subshell->process, 9, 102);
	child = fork_(table, p);
	proctable_remove(table, subshell);
	p.execed = true;
	p.exec_time = 77;
	child = exec(table, p);
	check_starter(child, 7, 100, 55);
	check_starter(fork_(table, child_of(&p, 10, 103)), 9, 102, 77);
	/* Of one whose own start was lost it is not known. */
	check_starter(fork_(table, child_of(&program, 11, 104)), 0, 0, 0);
}

TEST(fork_of_an_unknown_parent_has_no_image)
{
	struct process parent = with_args(some(7, 100), BYTES("sh\0")), p;

	add(table, parent);
	p = child_of(&parent, 8, 101);
	p.ppid = 6;
	CHECK(!fork_(table, p)->process.image.args.data);
	/* Its parent's pid is another's now. */
	p = child_of(&parent, 9, 101);
	p.parent_start = 99;
	CHECK(!fork_(table, p)->process.image.args.data);
	/* Nobody's parent is younger than he is. */
	p = child_of(&parent, 10, 50);
	CHECK(!fork_(table, p)->process.image.args.data);
	p = some(11, 200);
	CHECK(!fork_(table, p)->process.image.args.data);
}

TEST(exec_makes_a_new_version)
{
	struct process p = with_args(some(7, 100), BYTES("old\0"));
	struct entry *e = add(table, p);

	add(table, some(8, 101));
	e->announced = 77;
	e->seen = true;
	p = with_args(p, BYTES("new\0arg\0"));
	p.start_time = 5;
	p.uid = 3;
	p.comm = BYTES("new");
	e = exec(table, p);
	CHECK(proctable_find(table, 7, 100) == e);
	check_bytes(e->process.image.args, BYTES("new\0arg\0"));
	check_bytes(e->process.comm, BYTES("new"));
	CHECK_INT(e->process.uid, 3);
	CHECK_INT(e->process.start_time, 1100);
	CHECK_INT(e->born, 1);
	CHECK_INT(e->announced, 77);
	CHECK(e->seen);
	CHECK_INT(proctable_clock(table), 3);
	CHECK_INT(proctable_count(table), 2);
	CHECK_INT(proctable_memory(table), 8);
	CHECK_INT(proctable_retained(table), 0);
	/* It keeps its place. */
	CHECK(proctable_next(table, NULL) == e);
}

TEST(exec_does_not_change_the_image_of_the_parent)
{
	struct process parent = with_args(some(7, 100), BYTES("sh\0")), p = child_of(&parent, 8, 101);
	struct entry *e = add(table, parent);

	fork_(table, p);
	exec(table, with_args(p, BYTES("ls\0-l\0")));
	check_bytes(e->process.image.args, BYTES("sh\0"));
	CHECK_INT(proctable_memory(table), 9);
}

TEST(exec_accepts_the_entry_itself)
{
	struct entry *e = add(table, with_args(some(7, 100), BYTES("sh\0-c\0")));

	CHECK_INT(proctable_exec(table, &e, &e->process), 0);
	check_bytes(e->process.image.args, BYTES("sh\0-c\0"));
	check_bytes(e->process.comm, BYTES("some"));
}

TEST(args_above_the_memory_limit_end_between_two)
{
	struct bytes args = many_args(15000, 100);
	struct entry *first = add(table, with_args(some(1, 1), args)), *e;

	proctable_set_memory(table, 20000);
	CHECK_INT(first->process.image.args.size, 15000);
	CHECK(!first->process.image.args_truncated);
	e = add(table, with_args(some(2, 2), args));
	CHECK_INT(e->process.image.args.size, 4000);
	CHECK(e->process.image.args_truncated);
	CHECK_INT(e->process.image.argc, 150);
	CHECK_INT(e->process.image.args_size, 15000);
	CHECK_INT(proctable_memory(table), 19000);
	/* What is small is held whole, always. */
	e = add(table, with_args(some(3, 3), (struct bytes){ args.data, 4000 }));
	CHECK_INT(e->process.image.args.size, 4000);
	CHECK(!e->process.image.args_truncated);
	CHECK_INT(proctable_memory(table), 23000);
	/* Given back, it can be had again. */
	proctable_remove(table, first);
	CHECK_INT(proctable_memory(table), 8000);
	e = add(table, with_args(some(4, 4), (struct bytes){ args.data, 12000 }));
	CHECK(!e->process.image.args_truncated);
	CHECK_INT(proctable_memory(table), 20000);
	e = add(table, with_args(some(5, 5), (struct bytes){ args.data, 4100 }));
	CHECK(e->process.image.args_truncated);
	proctable_set_memory(table, 40000);
	e = add(table, with_args(some(6, 6), args));
	CHECK(!e->process.image.args_truncated);
	proctable_set_memory(table, 0);
	e = add(table, with_args(some(7, 7), args));
	CHECK(e->process.image.args_truncated);
	free((char *)args.data);
}

/* Any program may have two megabytes of them, as of arguments. */
TEST(variables_above_the_memory_limit_end_between_two)
{
	struct bytes list = many_args(15000, 100);
	struct process p = some(1, 1);
	struct entry *e;

	proctable_set_memory(table, 20000);
	p.image.env = list;
	e = add(table, p);
	CHECK_INT(e->process.image.env.size, 15000);
	CHECK_INT(e->process.image.incomplete, 0);
	CHECK_INT(proctable_memory(table), 15000);
	/* Of both lists, each keeps its part. */
	p = with_args(some(2, 2), list);
	p.image.env = list;
	e = add(table, p);
	CHECK_INT(e->process.image.env.size, 4000);
	CHECK_INT(e->process.image.incomplete, INCOMPLETE_BIT(INCOMPLETE_ENV));
	CHECK_INT(e->process.image.args.size, 4000);
	CHECK(e->process.image.args_truncated);
	CHECK_INT(proctable_memory(table), 23000);
	proctable_remove(table, e);
	proctable_remove(table, proctable_find(table, 1, 0));
	CHECK_INT(proctable_memory(table), 0);
	free((char *)list.data);
}

TEST(one_argument_above_the_limit_leaves_none)
{
	struct bytes args = many_args(PROCTABLE_ARGS_MAX + 1, PROCTABLE_ARGS_MAX + 1);
	struct entry *e;

	proctable_set_memory(table, 0);
	e = add(table, with_args(some(1, 1), args));
	CHECK(e->process.image.args.data);
	CHECK_INT(e->process.image.args.size, 0);
	CHECK(e->process.image.args_truncated);
	CHECK_INT(e->process.image.argc, 1);
	e = add(table, with_args(some(2, 1), (struct bytes){ args.data + 1, PROCTABLE_ARGS_MAX }));
	CHECK_INT(e->process.image.args.size, PROCTABLE_ARGS_MAX);
	CHECK(!e->process.image.args_truncated);
	free((char *)args.data);
}

TEST(exec_accounts_for_the_memory_it_frees)
{
	_cleanup_(proctable_cursor_free_p) struct proctable_cursor *cursor = NULL;
	struct bytes args = many_args(15000, 100);
	struct process p = with_args(some(1, 1), args), child = child_of(&p, 2, 2);

	proctable_set_memory(table, 20000);
	add(table, p);
	CHECK(!exec(table, p)->process.image.args_truncated);
	/* Not while another has the old image too. What a cursor alone keeps is not of this account. */
	fork_(table, child);
	CHECK(exec(table, p)->process.image.args_truncated);
	proctable_remove(table, proctable_find(table, 2, 0));
	CHECK(!exec(table, p)->process.image.args_truncated);
	cursor = cursor_new(table);
	CHECK(!exec(table, p)->process.image.args_truncated);
	CHECK_INT(proctable_memory(table), 30000);
	CHECK(proctable_retained_bytes(table) > 15000 && proctable_retained_bytes(table) < 17000);
	free((char *)args.data);
}

TEST(failed_allocation_changes_nothing)
{
	struct process p = with_args(some(7, 100), BYTES("old\0")), huge = p;
	struct entry *e = add(table, p), *ret = NULL;

	huge.image.exe.data = "";
	huge.image.exe.size = (size_t)1 << 60;
	CHECK_INT(proctable_exec(table, &ret, &huge), -ENOMEM);
	huge.tgid = 8;
	CHECK_INT(proctable_add(table, &ret, &huge), -ENOMEM);
	CHECK(!ret);
	CHECK(proctable_find(table, 7, 100) == e);
	CHECK(!proctable_find(table, 8, 0));
	CHECK_INT(proctable_clock(table), 1);
	CHECK_INT(proctable_count(table), 1);
	CHECK_INT(proctable_memory(table), 4);
	check_bytes(e->process.image.args, BYTES("old\0"));
}

TEST(entries_are_in_order_of_birth)
{
	const struct entry *last = NULL;
	unsigned n = 0;

	/* As after a wrap of the pids, many times over; 7919 is prime, so every start comes twice. */
	for (uint32_t i = 0; i < 60000; i++)
		add(table, some(i + 1, 1 + (uint64_t)i * 7919 % 30000));
	/* An exec and an exit while the list is in no order. */
	exec(table, some(30000, 1 + (uint64_t)29999 * 7919 % 30000));
	proctable_remove(table, proctable_find(table, 1234, 0));
	for (struct entry *e = proctable_next(table, NULL); e; e = proctable_next(table, e)) {
		if (last)
			CHECK(last->process.start < e->process.start ||
			      (last->process.start == e->process.start && last->process.tgid < e->process.tgid));
		last = e;
		n++;
	}
	CHECK_INT(n, 59999);
	/* One that came late finds its place, also with a cursor under way. */
	for (int with_cursor = 0; with_cursor < 2; with_cursor++) {
		_cleanup_(proctable_cursor_free_p) struct proctable_cursor *cursor = NULL;
		struct entry *e;

		if (with_cursor)
			cursor = cursor_new(table);
		e = add(table, some(100000 + (uint32_t)with_cursor, 1));
		CHECK(proctable_next(table, proctable_next(table, proctable_next(table, NULL))) ==
		      (with_cursor ? proctable_find(table, 100000, 0) : e));
	}
}

TEST(walk_may_remove_passed_entries)
{
	_cleanup_(proctable_cursor_free_p) struct proctable_cursor *cursor = NULL;
	struct entry *next;

	for (uint32_t i = 1; i <= 100; i++)
		add(table, some(i, i))->seen = i % 3 == 0;
	cursor = cursor_new(table);
	for (struct entry *e = proctable_next(table, NULL); e; e = next) {
		next = proctable_next(table, e);
		if (!e->seen)
			proctable_remove(table, e);
	}
	CHECK_INT(proctable_count(table), 33);
	CHECK_INT(proctable_retained(table), 67);
	/* What is kept for the cursor is no part of the walk. */
	CHECK_INT(proctable_next(table, NULL)->process.tgid, 3);
	CHECK_INT(proctable_next(table, proctable_find(table, 3, 0))->process.tgid, 6);
}

TEST(ancestors_go_up_to_pid_1)
{
	struct process init = some(1, 1), shell, p;
	char ret[64];

	init.comm = BYTES("init");
	add(table, init);
	shell = child_of(&init, 5, 5);
	shell.comm = BYTES("sh");
	shell.parent_comm = BYTES("init-as-it-was");
	add(table, shell);
	p = child_of(&shell, 6, 6);
	p.parent_comm = BYTES("sh-now");
	CHECK_INT(proctable_ancestors(table, &p, ret, sizeof(ret)), 12);
	CHECK(memcmp(ret, "sh-now\0init\0", 12) == 0);
	p.parent_comm = BYTES_NONE;
	CHECK_INT(proctable_ancestors(table, &p, ret, sizeof(ret)), 8);
	CHECK(memcmp(ret, "sh\0init\0", 8) == 0);
	/* As many as there is room for, each whole. */
	CHECK_INT(proctable_ancestors(table, &p, ret, 8), 8);
	CHECK_INT(proctable_ancestors(table, &p, ret, 7), 3);
	CHECK_INT(proctable_ancestors(table, &p, ret, 3), 3);
	CHECK_INT(proctable_ancestors(table, &p, ret, 2), 0);
	CHECK_INT(proctable_ancestors(table, &p, ret, 0), 0);
	/* Beyond what is in, what the child knew. */
	proctable_remove(table, proctable_find(table, 1, 0));
	CHECK_INT(proctable_ancestors(table, &p, ret, sizeof(ret)), 18);
	CHECK(memcmp(ret, "sh\0init-as-it-was\0", 18) == 0);
	CHECK_INT(proctable_ancestors(table, &init, ret, sizeof(ret)), 0);
	/* A pid that is another's now is no parent. */
	p.parent_start = 4;
	CHECK_INT(proctable_ancestors(table, &p, ret, sizeof(ret)), 0);
}

TEST(ancestors_end_at_a_loop)
{
	struct process a = some(5, 5), b = some(6, 5);
	char ret[64];

	a.ppid = 6;
	b.ppid = 5;
	add(table, a);
	add(table, b);
	CHECK_INT(proctable_ancestors(table, &a, ret, sizeof(ret)), 60);
}

static size_t heap(void)
{
	struct mallinfo2 info;

	pool_trim(0);
	info = mallinfo2(); /* 0 under ASan and valgrind */
	return info.uordblks + info.hblkhd;
}

static void fill_ordinary(uint32_t n)
{
	struct bytes args = many_args(200, 20);
	char exe[64], cwd[64], cgroup[80];
	struct process p;

	for (uint32_t i = 1; i <= n; i++) {
		p = with_args(some(i, i), args);
		p.comm = BYTES("postgres");
		p.parent_comm = BYTES("postgres");
		snprintf(exe, sizeof(exe), "/usr/lib/postgresql/%08u/bin/another/folder/and/file/name", i);
		snprintf(cwd, sizeof(cwd), "/var/lib/postgresql/%08u/main/another/folder/and/folder/", i);
		snprintf(cgroup, sizeof(cgroup), "/system.slice/system-postgresql.slice/postgresql@%08u.service", i);
		p.image.exe = p.image.filename = bytes_of(exe);
		p.image.cwd = bytes_of(cwd);
		p.image.cgroup = bytes_of(cgroup);
		p.image.unit = bytes_of(strrchr(cgroup, '/') + 1);
		p.ancestors = BYTES("postgres\0systemd\0");
		add(table, p);
	}
	free((char *)args.data);
}

TEST(memory_stays_within_its_bound_and_is_freed)
{
	size_t before = heap(), one;

	fill_ordinary(10000);
	one = (heap() - before) / 10000;
	printf("# a process with 200 bytes of arguments and paths of 60: %zu bytes\n", one);
	CHECK(one < 1100);
	for (uint32_t i = 1; i <= 10000; i++)
		proctable_remove(table, proctable_find(table, i, 0));
	/* Nothing stays but the smallest hash, and what malloc keeps in its caches. */
	printf("# of %zu bytes, %zu stay\n", one * 10000, heap() - before);
	CHECK(heap() < before + 65536);
}

static unsigned changed;

/* "secret" becomes "***masked***". userdata: how many images there is time for; NULL: for all. */
static enum image_change change(void *userdata, struct image *image)
{
	unsigned *time = userdata;

	if (time && *time == 0)
		return IMAGE_LATER;
	if (time)
		(*time)--;
	changed++;
	if (!image->args.data || !memmem(image->args.data, image->args.size, "secret", 6))
		return IMAGE_SAME;
	image->args = BYTES("x\0***masked***\0");
	image->env = BYTES("A=***\0");
	return IMAGE_CHANGED;
}

static bool change_some(unsigned time)
{
	return proctable_change_images(table, change, &time);
}

static void change_all(void)
{
	proctable_begin_changes(table);
	CHECK(proctable_change_images(table, change, NULL));
}

/* Of those that share it, of what is kept for a snapshot, and of no other. */
TEST(changed_image_is_changed_for_all_its_processes)
{
	_cleanup_(proctable_cursor_free_p) struct proctable_cursor *cursor = NULL;
	struct process parent = with_args(some(1, 10), BYTES("x\0secret\0"));
	struct process other = with_args(some(2, 20), BYTES("x\0plain\0"));
	const struct entry *seen;
	struct entry *child, *e;

	parent.image.env = BYTES("A=secret\0");
	parent.image.exe = parent.image.filename = BYTES("/bin/x");
	add(table, parent);
	add(table, other);
	child = fork_(table, child_of(&parent, 3, 30));
	add(table, some(4, 40)); /* of which nothing is known */
	cursor = cursor_new(table);
	/* The parent execs: its old version stays for the snapshot. */
	exec(table, with_args(some(1, 10), BYTES("x\0new\0")));
	change_all();
	CHECK_INT(changed, 3);
	check_bytes(child->process.image.args, BYTES("x\0***masked***\0"));
	check_bytes(child->process.image.env, BYTES("A=***\0"));
	check_bytes(child->process.image.exe, BYTES("/bin/x"));
	check_bytes(child->process.image.filename, BYTES("/bin/x"));
	check_bytes(proctable_find(table, 1, 0)->process.image.args, BYTES("x\0new\0"));
	check_bytes(proctable_find(table, 2, 0)->process.image.args, BYTES("x\0plain\0"));
	seen = proctable_cursor_next(cursor);
	CHECK_INT(seen->process.tgid, 1);
	check_bytes(seen->process.image.args, BYTES("x\0***masked***\0"));
	while (proctable_cursor_next(cursor))
		;
	CHECK_INT(proctable_memory(table), 15 + 6 + 6 + 8);
	/* Again: they are numbered afresh. */
	change_all();
	CHECK_INT(changed, 6);
	while ((e = proctable_next(table, NULL)))
		proctable_remove(table, e);
	CHECK_INT(proctable_memory(table), 0);
}

/* Between two portions processes fork, exec and end. */
TEST(images_are_changed_in_portions)
{
	struct process parent = with_args(some(1, 10), BYTES("x\0secret\0"));
	struct entry *child, *e;

	add(table, parent);
	for (unsigned tgid = 2; tgid < 10; tgid++)
		add(table, with_args(some(tgid, tgid * 10), BYTES("x\0secret\0")));
	proctable_begin_changes(table);
	CHECK(!change_some(0));
	CHECK(!change_some(2));
	check_bytes(proctable_find(table, 2, 0)->process.image.args, BYTES("x\0***masked***\0"));
	check_bytes(proctable_find(table, 3, 0)->process.image.args, BYTES("x\0secret\0"));
	/* Of one that was changed, of one that was not; and what is new is as it is. */
	fork_(table, child_of(&parent, 20, 200));
	child = fork_(table, child_of(&proctable_find(table, 9, 0)->process, 21, 210));
	check_bytes(child->process.image.args, BYTES("x\0secret\0"));
	exec(table, with_args(some(3, 30), BYTES("x\0new secret\0")));
	proctable_remove(table, proctable_find(table, 4, 0));
	CHECK(!change_some(1));
	CHECK(!change_some(3));
	CHECK(change_some(2));
	CHECK_INT(changed, 7);
	CHECK(change_some(0));
	check_bytes(child->process.image.args, BYTES("x\0***masked***\0"));
	for (e = proctable_next(table, NULL); e; e = proctable_next(table, e))
		check_bytes(e->process.image.args,
			    e->process.tgid == 3 ? BYTES("x\0new secret\0") : BYTES("x\0***masked***\0"));
	/* Other rules, before the last ones have come to all. */
	proctable_begin_changes(table);
	CHECK(!change_some(1));
	change_all();
	CHECK_INT(changed, 7 + 1 + 8);
	while ((e = proctable_next(table, NULL)))
		proctable_remove(table, e);
	CHECK_INT(proctable_memory(table), 0);
}

TAP_MAIN
