/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <malloc.h>

#include "tables.h"
#include "tap.h"
#include "util/pool.h"

TEST(snapshot_has_the_state_of_its_moment)
{
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

TEST(entry_of_a_cursor_stays_until_its_next)
{
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

TEST(freed_cursor_releases_all_versions)
{
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

/* Processes that exec again, with unread snapshots: what is retained is known, and one version serves all. */
TEST(retained_bytes_match_the_memory)
{
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
}

TEST(stuck_cursor_retains_only_what_was_alive)
{
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

TAP_MAIN
