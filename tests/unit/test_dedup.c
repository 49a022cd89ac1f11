/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pipeline/dedup.h"

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
	_cleanup_(dedup_free_p) struct dedup *dedup = NULL;

	CHECK_INT(dedup_new(&dedup), 0);
	/* More than it has room for at first. */
	for (uint32_t i = 1; i <= 5000; i++)
		CHECK_INT(dedup_note(dedup, &(struct twin){ .kind = EXEC, .tgid = i, .start = 1000 + i, .which = i }),
			  0);
	for (uint32_t i = 1; i <= 5000; i++) {
		CHECK(dedup_find(dedup,
				 &(struct twin){ .kind = EXEC, .tgid = i, .start = 1000 + i, .which = i, .time = i }));
		CHECK(!dedup_find(dedup, &(struct twin){ .kind = EXIT, .tgid = i, .start = 1000 + i, .which = i }));
		CHECK(!dedup_find(dedup, &(struct twin){ .kind = EXEC, .tgid = i, .start = 1001 + i, .which = i }));
		CHECK(!dedup_find(dedup, &(struct twin){ .kind = EXEC, .tgid = i, .start = 1000 + i, .which = i + 1 }));
	}
}

TEST(a_failed_exec_is_the_twin_of_one_other_at_nearly_its_time)
{
	_cleanup_(dedup_free_p) struct dedup *dedup = NULL;
	struct twin twin = failed(50 * DEDUP_APART_NS - 10), other;

	CHECK_INT(dedup_new(&dedup), 0);
	CHECK_INT(dedup_note(dedup, &twin), 0);
	other = failed(twin.time + DEDUP_APART_NS + 1);
	CHECK(!dedup_find(dedup, &other));
	other = failed(twin.time - DEDUP_APART_NS - 1);
	CHECK(!dedup_find(dedup, &other));
	other = failed(twin.time + 20); /* in the next span of time */
	other.tid = 9;
	CHECK(!dedup_find(dedup, &other));
	other.tid = 8;
	CHECK(dedup_find(dedup, &other));
	CHECK(!dedup_find(dedup, &other));
}

/* A PATH search: the same thread fails again and again, each only once in each ring. */
TEST(of_many_alike_each_finds_its_own)
{
	_cleanup_(dedup_free_p) struct dedup *dedup = NULL;
	struct twin twin;

	CHECK_INT(dedup_new(&dedup), 0);
	for (uint64_t i = 0; i < 3000; i++) {
		twin = failed(1000000000 + i * 10000);
		CHECK_INT(dedup_note(dedup, &twin), 0);
	}
	for (uint64_t i = 0; i < 3000; i++) {
		twin = failed(1000000000 + i * 10000 + 300);
		CHECK(dedup_find(dedup, &twin));
	}
	twin = failed(1000000000 + 3000 * 10000 + 300);
	CHECK(!dedup_find(dedup, &twin));
}

TAP_MAIN
