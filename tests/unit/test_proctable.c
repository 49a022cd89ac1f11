/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process table: first what each function promises, one by one; then random operations, with several slow
 * cursors at once, against a model that is too simple to be wrong: an array, and a sorted copy of it for each
 * cursor.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>

#include "model/proctable.h"
#include "tap.h"
#include "util/pool.h"

#define UNLIMITED SIZE_MAX

/* So that ASan's malloc fails as malloc does. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static struct process some(uint32_t tgid, uint64_t start)
{
	return (struct process){ .tgid = tgid, .start = start, .start_time = start + 1000, .comm = BYTES("some") };
}

static struct process child_of(const struct process *parent, uint32_t tgid, uint64_t start)
{
	struct process p = some(tgid, start);

	p.ppid = parent->tgid;
	p.parent_start = parent->start;
	return p;
}

static struct process with_args(struct process p, struct bytes args)
{
	p.image.args = args;
	p.image.args_size = args.size;
	p.image.argc = 0;
	for (size_t i = 0; i < args.size; i++)
		p.image.argc += args.data[i] == '\0';
	return p;
}

/* `size` bytes of arguments, each of `each` bytes with its NUL. */
static struct bytes many_args(size_t size, size_t each)
{
	char *data = malloc(size);

	CHECK(data);
	memset(data, 'a', size);
	for (size_t i = each - 1; i < size; i += each)
		data[i] = '\0';
	data[size - 1] = '\0';
	return (struct bytes){ data, size };
}

static struct proctable *table_new(size_t memory)
{
	struct proctable *table = NULL;

	CHECK_INT(proctable_new(&table, memory), 0);
	return table;
}

static struct entry *add(struct proctable *table, struct process p)
{
	struct entry *e = NULL;

	CHECK_INT(proctable_add(table, &e, &p), 0);
	return e;
}

static struct entry *fork_(struct proctable *table, struct process p)
{
	struct entry *e = NULL;

	CHECK_INT(proctable_fork(table, &e, &p), 0);
	return e;
}

static struct entry *exec(struct proctable *table, struct process p)
{
	struct entry *e = NULL;

	CHECK_INT(proctable_exec(table, &e, &p), 0);
	return e;
}

static struct proctable_cursor *cursor_new(struct proctable *table)
{
	struct proctable_cursor *cursor = NULL;

	CHECK_INT(proctable_cursor_new(&cursor, table), 0);
	return cursor;
}

static void check_bytes(struct bytes a, struct bytes b)
{
	CHECK(bytes_equal(a, b));
}

TEST(new_table_is_empty)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
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
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
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
	/* The pid is somebody else's now. */
	e = add(table, some(7, 200));
	CHECK(proctable_find(table, 7, 200) == e);
	CHECK_INT(e->born, 3);
}

TEST(known_process_is_left_alone)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
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

TEST(misuse_is_asserted)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
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

TEST(everything_is_copied)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
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
	CHECK_INT(proctable_memory(table), 5);
	/* What is a piece of another part is not held twice. */
	CHECK(e->process.image.unit.data == e->process.image.cgroup.data + 3);
}

TEST(unknown_is_not_empty)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
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
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
	struct process p = some(7, 100);

	p.comm = p.parent_comm = BYTES("0123456789abcdefghijkl");
	check_bytes(add(table, p)->process.comm, BYTES("0123456789abcdef"));
	check_bytes(proctable_find(table, 7, 0)->process.parent_comm, BYTES("0123456789abcdef"));
}

TEST(fork_shares_the_image)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
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

TEST(fork_of_an_unknown_parent_has_no_image)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
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
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
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

TEST(exec_leaves_the_parents_image_alone)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
	struct process parent = with_args(some(7, 100), BYTES("sh\0")), p = child_of(&parent, 8, 101);
	struct entry *e = add(table, parent);

	fork_(table, p);
	exec(table, with_args(p, BYTES("ls\0-l\0")));
	check_bytes(e->process.image.args, BYTES("sh\0"));
	CHECK_INT(proctable_memory(table), 9);
}

TEST(exec_may_be_given_the_entry_itself)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
	struct entry *e = add(table, with_args(some(7, 100), BYTES("sh\0-c\0")));

	CHECK_INT(proctable_exec(table, &e, &e->process), 0);
	check_bytes(e->process.image.args, BYTES("sh\0-c\0"));
	check_bytes(e->process.comm, BYTES("some"));
}

TEST(beyond_memory_args_are_cut_between_two)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(20000);
	struct bytes args = many_args(15000, 100);
	struct entry *first = add(table, with_args(some(1, 1), args)), *e;

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

TEST(one_argument_too_long_leaves_none)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(0);
	struct bytes args = many_args(PROCTABLE_ARGS_MAX + 1, PROCTABLE_ARGS_MAX + 1);
	struct entry *e = add(table, with_args(some(1, 1), args));

	CHECK(e->process.image.args.data);
	CHECK_INT(e->process.image.args.size, 0);
	CHECK(e->process.image.args_truncated);
	CHECK_INT(e->process.image.argc, 1);
	e = add(table, with_args(some(2, 1), (struct bytes){ args.data + 1, PROCTABLE_ARGS_MAX }));
	CHECK_INT(e->process.image.args.size, PROCTABLE_ARGS_MAX);
	CHECK(!e->process.image.args_truncated);
	free((char *)args.data);
}

TEST(exec_counts_the_memory_it_gives_back)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(20000);
	_cleanup_(proctable_cursor_free_p) struct proctable_cursor *cursor = NULL;
	struct bytes args = many_args(15000, 100);
	struct process p = with_args(some(1, 1), args), child = child_of(&p, 2, 2);

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

TEST(no_memory_changes_nothing)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
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

TEST(order_is_that_of_birth_however_they_came)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
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

TEST(a_walk_may_remove_what_it_has_passed)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
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

TEST(snapshot_is_of_its_moment)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
	_cleanup_(proctable_cursor_free_p) struct proctable_cursor *cursor = NULL;
	struct process p = with_args(some(1, 1), BYTES("one\0")), q = with_args(some(2, 2), BYTES("two\0"));
	const struct entry *e;

	add(table, p);
	add(table, q);
	CHECK_INT(proctable_last_snapshot(table), 0);
	cursor = cursor_new(table);
	CHECK_INT(proctable_cursor_clock(cursor), 2);
	exec(table, with_args(p, BYTES("new\0")));
	fork_(table, child_of(&p, 3, 3));
	proctable_remove(table, proctable_find(table, 2, 0));
	/* The same pid again: another process. */
	add(table, some(2, 4));
	CHECK_INT(proctable_retained(table), 2);

	e = proctable_cursor_next(cursor);
	CHECK_INT(e->process.tgid, 1);
	check_bytes(e->process.image.args, BYTES("one\0"));
	CHECK_INT(proctable_retained(table), 2);
	e = proctable_cursor_next(cursor);
	CHECK_INT(e->process.tgid, 2);
	CHECK_INT(e->process.start, 2);
	check_bytes(e->process.image.args, BYTES("two\0"));
	CHECK_INT(proctable_retained(table), 1);
	CHECK(!proctable_cursor_next(cursor));
	CHECK_INT(proctable_retained(table), 0);
	CHECK_INT(proctable_memory(table), 4);
	CHECK(!proctable_cursor_next(cursor));
	CHECK_INT(proctable_cursor_clock(cursor), 2);
	/* It stays known that there was one. */
	cursor = proctable_cursor_free(cursor);
	CHECK_INT(proctable_last_snapshot(table), 2);
	cursor = cursor_new(table);
	CHECK_INT(proctable_last_snapshot(table), 6);
}

TEST(what_a_cursor_gave_stays_until_its_next)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
	_cleanup_(proctable_cursor_free_p) struct proctable_cursor *cursor = NULL, *other = NULL;
	const struct entry *e;

	add(table, with_args(some(1, 1), BYTES("one\0")));
	add(table, some(2, 2));
	cursor = cursor_new(table);
	other = cursor_new(table);
	e = proctable_cursor_next(cursor);
	CHECK(proctable_cursor_next(other) == e);
	CHECK(proctable_cursor_next(other));
	proctable_remove(table, proctable_find(table, 1, 0));
	check_bytes(e->process.image.args, BYTES("one\0"));
	CHECK_INT(proctable_retained(table), 1);
	CHECK_INT(proctable_cursor_next(cursor)->process.tgid, 2);
	CHECK_INT(proctable_retained(table), 0);
	/* At its end it needs nothing, though it lives on. */
	CHECK(!proctable_cursor_next(cursor));
	CHECK(!proctable_cursor_next(other));
	proctable_remove(table, proctable_find(table, 2, 0));
	CHECK_INT(proctable_retained(table), 0);
}

TEST(a_cursor_given_up_gives_all_back)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
	struct proctable_cursor *fresh, *half, *other;

	for (uint32_t i = 1; i <= 10; i++)
		add(table, with_args(some(i, i), BYTES("x\0")));
	fresh = cursor_new(table);
	half = cursor_new(table);
	other = cursor_new(table);
	for (int i = 0; i < 5; i++)
		proctable_cursor_next(half);
	for (int i = 0; i < 8; i++)
		proctable_cursor_next(other);
	for (uint32_t i = 1; i <= 10; i++)
		proctable_remove(table, proctable_find(table, i, 0));
	CHECK_INT(proctable_retained(table), 10);
	proctable_cursor_free(fresh);
	CHECK_INT(proctable_retained(table), 6);
	proctable_cursor_free(half);
	CHECK_INT(proctable_retained(table), 3);
	CHECK_INT(proctable_memory(table), 6);
	proctable_cursor_free(other);
	CHECK_INT(proctable_retained(table), 0);
	CHECK_INT(proctable_memory(table), 0);
}

static size_t in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* Processes that exec again, with snapshots that nobody reads: what is retained is known, and one version serves all. */
TEST(retained_bytes_are_what_the_memory_is)
{
	struct proctable *table = table_new(UNLIMITED);
	struct proctable_cursor *cursors[20];
	size_t before, empty, one, live;

	for (uint32_t i = 1; i <= 500; i++)
		add(table, with_args(some(i, i), BYTES("some\0arguments\0of a process\0")));
	empty = proctable_bytes(table);
	pool_trim(0);
	before = in_use();
	for (size_t c = 0; c < 10; c++)
		cursors[c] = cursor_new(table);
	for (uint32_t i = 1; i <= 500; i++)
		exec(table, with_args(some(i, i), BYTES("some\0other arguments\0of a process\0")));
	CHECK_INT(proctable_retained(table), 500);
	one = proctable_retained_bytes(table);
	for (size_t c = 10; c < 20; c++)
		cursors[c] = cursor_new(table);
	CHECK_INT(proctable_retained_bytes(table), one);
	for (uint32_t i = 1; i <= 500; i++)
		exec(table, with_args(some(i, i), BYTES("some\0arguments\0of a process\0")));
	CHECK_INT(proctable_retained(table), 1000);
	pool_trim(0);
	if (!POOL_DISABLED && !getenv("VALGRIND")) { /* they have allocators of their own */
		size_t taken = in_use() - before;

		CHECK(proctable_bytes(table) - empty + 4096 >= taken);
		CHECK(proctable_retained_bytes(table) <= taken + 4096);
		CHECK(proctable_retained_bytes(table) >= taken / 10 * 9);
	}
	/* The snapshot that moved last is known; each has all to give. */
	CHECK_INT(proctable_cursor_remaining(cursors[0]), 500);
	proctable_cursor_next(cursors[0]);
	CHECK_INT(proctable_cursor_remaining(cursors[0]), 499);
	CHECK(proctable_cursor_moved(cursors[0]) > proctable_cursor_moved(cursors[19]));
	CHECK(proctable_cursor_moved(cursors[1]) < proctable_cursor_moved(cursors[19]));
	for (size_t c = 0; c < 20; c++)
		proctable_cursor_free(cursors[c]);
	CHECK_INT(proctable_retained_bytes(table), 0);
	live = proctable_bytes(table);
	CHECK_INT(live, empty);
	proctable_free(table);
}

TEST(a_stuck_cursor_keeps_only_what_was_alive)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
	_cleanup_(proctable_cursor_free_p) struct proctable_cursor *stuck = NULL;
	struct process p = with_args(some(1, 1), BYTES("x\0"));

	add(table, p);
	add(table, some(2, 2));
	stuck = cursor_new(table);
	for (uint32_t i = 3; i < 10000; i++) {
		struct process child = child_of(&p, i, i);

		exec(table, p);
		fork_(table, child);
		proctable_remove(table, exec(table, with_args(child, BYTES("y\0"))));
	}
	CHECK_INT(proctable_retained(table), 1);
	CHECK_INT(proctable_memory(table), 4);
	proctable_remove(table, proctable_find(table, 2, 0));
	CHECK_INT(proctable_retained(table), 2);
}

TEST(ancestors_go_up_to_pid_1)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
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

TEST(ancestors_end_where_they_would_go_round)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
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

static void fill_ordinary(struct proctable *table, uint32_t n)
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

TEST(memory_is_moderate_and_given_back)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
	size_t before = heap(), one;

	fill_ordinary(table, 10000);
	one = (heap() - before) / 10000;
	printf("# a process with 200 bytes of arguments and paths of 60: %zu bytes\n", one);
	CHECK(one < 1000);
	for (uint32_t i = 1; i <= 10000; i++)
		proctable_remove(table, proctable_find(table, i, 0));
	/* Nothing stays but the smallest hash, and what malloc keeps in its caches. */
	printf("# of %zu bytes, %zu stay\n", one * 10000, heap() - before);
	CHECK(heap() < before + 65536);
}

/* The model. */

#define PIDS 300
#define CURSORS 6
#define LIMIT 60000

struct one {
	uint32_t tgid, ppid;
	uint64_t start, parent_start, start_time;
	uint64_t serial; /* of the version: its exec_id */
	uint64_t image;	 /* serial of the version that brought it; 0: none */
	size_t kept;	 /* bytes of its arguments */
};

struct slow {
	struct proctable_cursor *cursor;
	struct one *all;
	size_t n, given;
};

struct model {
	struct proctable *table;
	struct one live[PIDS];
	size_t n;
	struct slow slow[CURSORS];
	uint64_t serial, clock, start;
};

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % n;
}

/* What an image holds follows from its serial. */
static size_t model_args_size(uint64_t image)
{
	return image % 7 == 0 ? 4000 + image * 31 % 9000 : image % 5 == 0 ? 0 : image * 13 % 300 / 10 * 10;
}

static struct bytes model_args(uint64_t image)
{
	static char data[16384];
	size_t size = model_args_size(image);

	for (size_t i = 0; i < size; i++)
		data[i] = i % 10 == 9 || i == size - 1 ? '\0' : (char)('a' + (image + i) % 26);
	return (struct bytes){ data, size };
}

static size_t model_cut(size_t size)
{
	return size <= PROCTABLE_ARGS_MAX ? size : PROCTABLE_ARGS_MAX / 10 * 10;
}

static struct process model_process(const struct one *one, char text[static 128])
{
	int n = snprintf(text, 16, "c%" PRIu64, one->serial), m = snprintf(text + 16, 64, "/bin/%" PRIu64, one->image);
	struct process p = {
		.tgid = one->tgid,
		.start = one->start,
		.ppid = one->ppid,
		.parent_start = one->parent_start,
		.start_time = one->start_time,
		.exec_id = one->serial,
		.comm = { text, (size_t)n },
	};

	if (one->image) {
		p.image.exe = (struct bytes){ text + 16, (size_t)m };
		p = with_args(p, model_args(one->image));
	}
	return p;
}

static void model_check(const struct one *one, const struct entry *e)
{
	struct process p;
	char text[128];

	CHECK(e);
	p = model_process(one, text);
	CHECK_INT(e->process.tgid, p.tgid);
	CHECK_INT(e->process.start, p.start);
	CHECK_INT(e->process.start_time, p.start_time);
	CHECK_INT(e->process.exec_id, p.exec_id);
	CHECK_INT(e->process.ppid, p.ppid);
	check_bytes(e->process.comm, p.comm);
	check_bytes(e->process.image.exe, p.image.exe);
	CHECK_INT(e->process.image.argc, p.image.argc);
	CHECK_INT(e->process.image.args_size, p.image.args_size);
	CHECK_INT(e->process.image.args_truncated, one->image && one->kept < p.image.args.size);
	if (one->image)
		p.image.args.size = one->kept;
	check_bytes(e->process.image.args, p.image.args);
}

static int one_compare(const void *a, const void *b)
{
	const struct one *p = a, *q = b;

	if (p->start != q->start)
		return p->start < q->start ? -1 : 1;
	return p->tgid < q->tgid ? -1 : p->tgid > q->tgid;
}

/* Calls for every version that must be there, live ones first, some perhaps more than once; without the live
 * one numbered `without`, unless a cursor needs it. */
static size_t model_versions(const struct model *m, size_t without, const struct one *ret[static PIDS * (CURSORS + 1)])
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++) {
		if (i != without)
			ret[n++] = &m->live[i];
	}
	for (size_t c = 0; c < CURSORS; c++) {
		const struct slow *slow = &m->slow[c];

		for (size_t i = slow->given ? slow->given - 1 : 0; slow->cursor && i < slow->n; i++)
			ret[n++] = &slow->all[i];
	}
	return n;
}

static size_t model_memory(const struct model *m, size_t without)
{
	const struct one *all[PIDS * (CURSORS + 1)];
	size_t n = model_versions(m, without, all), sum = 0;

	for (size_t i = 0; i < n; i++) {
		bool again = false;

		for (size_t j = 0; j < i && !again; j++)
			again = all[j]->image == all[i]->image;
		if (!again && all[i]->image)
			sum += all[i]->kept;
	}
	return sum;
}

static size_t model_retained(const struct model *m)
{
	const struct one *all[PIDS * (CURSORS + 1)];
	size_t n = model_versions(m, SIZE_MAX, all), sum = 0;

	for (size_t i = 0; i < n; i++) {
		bool again = false;

		for (size_t j = 0; j < i && !again; j++)
			again = all[j]->serial == all[i]->serial;
		sum += !again;
	}
	return sum - m->n;
}

/* Of live processes alone, which is what the limit is about. */
static size_t model_live_memory(const struct model *m, size_t without)
{
	size_t sum = 0;

	for (size_t i = 0; i < m->n; i++) {
		bool again = i == without;

		for (size_t j = 0; j < i && !again; j++)
			again = j != without && m->live[j].image == m->live[i].image;
		if (!again && m->live[i].image)
			sum += m->live[i].kept;
	}
	return sum;
}

static size_t model_kept(const struct model *m, uint64_t image, size_t leaving)
{
	size_t size = model_args_size(image);

	return size <= PROCTABLE_ARGS_MAX || model_live_memory(m, leaving) + size <= LIMIT ? size : model_cut(size);
}

static uint32_t model_free_pid(const struct model *m)
{
	uint32_t pid;
	bool used;

	do {
		pid = 1 + random_below(2 * PIDS);
		used = false;
		for (size_t i = 0; i < m->n; i++)
			used |= m->live[i].tgid == pid;
	} while (used);
	return pid;
}

static void model_fork(struct model *m)
{
	const struct one *parent = m->n ? &m->live[random_below((uint32_t)m->n)] : NULL;
	struct one one = { .serial = ++m->serial, .tgid = model_free_pid(m) };
	struct process p;
	struct entry *e;
	char text[128];

	/* Some begin in the same nanosecond, none in that of its parent. */
	if (random_below(4) || (parent && parent->start == m->start))
		m->start += 1 + random_below(3);
	one.start = m->start;
	one.start_time = one.start * 3;
	if (parent) {
		one.ppid = parent->tgid;
		one.parent_start = parent->start;
		one.image = parent->image;
		one.kept = parent->kept;
	}
	p = model_process(&one, text);
	p.image = (struct image){ .argc = 12345 };
	CHECK_INT(proctable_fork(m->table, &e, &p), 0);
	m->live[m->n++] = one;
	CHECK_INT(e->born, ++m->clock);
	model_check(&one, e);
}

static void model_add(struct model *m)
{
	struct one one = { .serial = ++m->serial, .tgid = model_free_pid(m) };
	struct entry *e;
	struct process p;
	char text[128];

	/* Anywhere in the past. */
	one.start = 1 + random_below((uint32_t)m->start);
	one.image = one.serial;
	one.kept = model_kept(m, one.image, SIZE_MAX);
	p = model_process(&one, text);
	CHECK_INT(proctable_add(m->table, &e, &p), 0);
	m->live[m->n++] = one;
	m->clock++;
	model_check(&one, e);
}

static void model_exec(struct model *m, size_t i)
{
	struct one one = m->live[i];
	struct entry *e = proctable_find(m->table, one.tgid, one.start);
	uint64_t born = e->born;
	struct process p;
	char text[128];

	one.serial = ++m->serial;
	one.image = one.serial;
	one.kept = model_kept(m, one.image, i);
	p = model_process(&one, text);
	p.start_time = 0;
	CHECK_INT(proctable_exec(m->table, &e, &p), 0);
	CHECK_INT(e->born, born);
	m->live[i] = one;
	m->clock++;
	model_check(&one, e);
}

static void model_exit(struct model *m, size_t i)
{
	proctable_remove(m->table, proctable_find(m->table, m->live[i].tgid, 0));
	m->live[i] = m->live[--m->n];
	m->clock++;
}

static void model_close(struct slow *slow)
{
	proctable_cursor_free(slow->cursor);
	free(slow->all);
	*slow = (struct slow){ .cursor = NULL };
}

static void model_read(struct model *m, struct slow *slow)
{
	const struct entry *e;

	if (!slow->cursor) {
		slow->cursor = cursor_new(m->table);
		CHECK_INT(proctable_cursor_clock(slow->cursor), m->clock);
		slow->all = malloc(sizeof(m->live));
		CHECK(slow->all);
		slow->n = m->n;
		memcpy(slow->all, m->live, sizeof(m->live));
		qsort(slow->all, slow->n, sizeof(*slow->all), one_compare);
		return;
	}
	e = proctable_cursor_next(slow->cursor);
	if (slow->given < slow->n) {
		const struct one *one = &slow->all[slow->given++];

		model_check(one, e);
		/* No parent comes after its child. */
		for (size_t i = slow->given; i < slow->n; i++)
			CHECK(slow->all[i].tgid != one->ppid || slow->all[i].start != one->parent_start);
	} else {
		CHECK(!e);
		model_close(slow);
	}
}

static void model_check_all(const struct model *m)
{
	struct one sorted[PIDS];
	struct entry *e = NULL;

	CHECK_INT(proctable_count(m->table), m->n);
	CHECK_INT(proctable_clock(m->table), m->clock);
	CHECK_INT(proctable_memory(m->table), model_memory(m, SIZE_MAX));
	CHECK_INT(proctable_retained(m->table), model_retained(m));
	CHECK((proctable_retained_bytes(m->table) > 0) == (proctable_retained(m->table) > 0));
	CHECK(proctable_retained_bytes(m->table) <= proctable_bytes(m->table));
	memcpy(sorted, m->live, sizeof(sorted));
	qsort(sorted, m->n, sizeof(*sorted), one_compare);
	for (size_t i = 0; i < m->n; i++) {
		e = proctable_next(m->table, e);
		model_check(&sorted[i], e);
		CHECK(proctable_find(m->table, sorted[i].tgid, sorted[i].start) == e);
	}
	CHECK(!proctable_next(m->table, e));
}

/* population: how many processes it swings around. */
static void model_run(uint64_t seed, unsigned steps, size_t population)
{
	struct model m = { .table = table_new(LIMIT), .start = 1 };

	random_state = seed;
	for (unsigned step = 0; step < steps; step++) {
		uint32_t what = random_below(100);

		/* Once in a while, all cursors end, so that the list may fall out of order. */
		if (random_below(1000) == 0) {
			for (size_t c = 0; c < CURSORS; c++)
				model_close(&m.slow[c]);
			while (m.n < population)
				model_add(&m);
		}
		if (what < 25 && m.n < PIDS && m.n < 2 * population)
			model_fork(&m);
		else if (what < 28 && m.n < PIDS)
			model_add(&m);
		else if (what < 45 && m.n > 0)
			model_exec(&m, random_below((uint32_t)m.n));
		else if (what < 45 + (m.n > population ? 30 : 20) && m.n > 0)
			model_exit(&m, random_below((uint32_t)m.n));
		else if (what == 99)
			model_close(&m.slow[random_below(CURSORS)]);
		else
			model_read(&m, &m.slow[random_below(CURSORS)]);
		if (step % 64 == 0)
			model_check_all(&m);
	}
	for (size_t c = 0; c < CURSORS; c++)
		model_close(&m.slow[c]);
	CHECK_INT(proctable_retained(m.table), 0);
	model_check_all(&m);
	while (m.n)
		model_exit(&m, 0);
	CHECK_INT(proctable_memory(m.table), 0);
	proctable_free(m.table);
}

TEST(it_agrees_with_the_model)
{
	for (uint64_t seed = 1; seed <= 4; seed++)
		model_run(seed, 20000, 80);
}

TEST(it_agrees_with_the_model_when_nearly_empty)
{
	for (uint64_t seed = 1; seed <= 10; seed++)
		model_run(seed, 5000, 2);
}

TEST(it_agrees_with_the_model_when_large)
{
	model_run(1, 20000, 280);
}

static unsigned changed;

/* "secret" becomes "***masked***". */
static bool change(void *userdata, struct image *image)
{
	changed++;
	if (!image->args.data || !memmem(image->args.data, image->args.size, "secret", 6))
		return false;
	image->args = BYTES("x\0***masked***\0");
	image->env = BYTES("A=***\0");
	return true;
}

/* Of those who share it, of what is kept for a snapshot, and of nobody else. */
TEST(changed_images_are_changed_for_all_who_have_them)
{
	_cleanup_(proctable_free_p) struct proctable *table = table_new(UNLIMITED);
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
	proctable_change_images(table, change, NULL);
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
	CHECK_INT(proctable_memory(table), 15 + 6 + 8);
	/* Again: they are numbered afresh. */
	proctable_change_images(table, change, NULL);
	CHECK_INT(changed, 6);
	while ((e = proctable_next(table, NULL)))
		proctable_remove(table, e);
	CHECK_INT(proctable_memory(table), 0);
}

TAP_MAIN
