/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "twins.h"

#include "tap.h"

enum { EXEC = 1, EXIT, ERROR };

static struct twin failed(uint64_t time)
{
	return (struct twin){
		.kind = ERROR, .tgid = 7, .tid = 8, .start = 1000, .which = 2, .by_time = true, .time = time
	};
}

TEST(who_has_an_identity_is_known_by_it)
{
	_cleanup_(twins_free_p) struct twins *twins = NULL;

	CHECK_INT(twins_new(&twins), 0);
	/* More than it has room for at first. */
	for (uint32_t i = 1; i <= 5000; i++)
		CHECK_INT(twins_note(twins, &(struct twin){ .kind = EXEC, .tgid = i, .start = 1000 + i, .which = i }),
			  0);
	for (uint32_t i = 1; i <= 5000; i++) {
		CHECK(twins_find(twins,
				 &(struct twin){ .kind = EXEC, .tgid = i, .start = 1000 + i, .which = i, .time = i }));
		CHECK(!twins_find(twins, &(struct twin){ .kind = EXIT, .tgid = i, .start = 1000 + i, .which = i }));
		CHECK(!twins_find(twins, &(struct twin){ .kind = EXEC, .tgid = i, .start = 1001 + i, .which = i }));
		CHECK(!twins_find(twins, &(struct twin){ .kind = EXEC, .tgid = i, .start = 1000 + i, .which = i + 1 }));
	}
}

TEST(a_failed_exec_is_the_twin_of_one_other_at_nearly_its_time)
{
	_cleanup_(twins_free_p) struct twins *twins = NULL;
	struct twin twin = failed(50 * TWINS_APART_NS - 10), other;

	CHECK_INT(twins_new(&twins), 0);
	CHECK_INT(twins_note(twins, &twin), 0);
	other = failed(twin.time + TWINS_APART_NS + 1);
	CHECK(!twins_find(twins, &other));
	other = failed(twin.time - TWINS_APART_NS - 1);
	CHECK(!twins_find(twins, &other));
	other = failed(twin.time + 20); /* in the next span of time */
	other.tid = 9;
	CHECK(!twins_find(twins, &other));
	other.tid = 8;
	CHECK(twins_find(twins, &other));
	CHECK(!twins_find(twins, &other));
}

/* A PATH search: the same thread fails again and again, each only once in each ring. */
TEST(of_many_alike_each_finds_its_own)
{
	_cleanup_(twins_free_p) struct twins *twins = NULL;
	struct twin twin;

	CHECK_INT(twins_new(&twins), 0);
	for (uint64_t i = 0; i < 3000; i++) {
		twin = failed(1000000000 + i * 10000);
		CHECK_INT(twins_note(twins, &twin), 0);
	}
	for (uint64_t i = 0; i < 3000; i++) {
		twin = failed(1000000000 + i * 10000 + 300);
		CHECK(twins_find(twins, &twin));
	}
	twin = failed(1000000000 + 3000 * 10000 + 300);
	CHECK(!twins_find(twins, &twin));
}

TAP_MAIN
