/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pipeline/dedup.h"

#include "tap.h"

enum { EXEC = 1, EXIT, ERROR };

static struct dedup_key failed(uint64_t time)
{
	return (struct dedup_key){
		.kind = ERROR, .tgid = 7, .tid = 8, .start = 1000, .number = 2, .by_time = true, .time = time
	};
}

TEST(exec_matches_by_process_and_exec_id)
{
	_cleanup_(dedup_free_p) struct dedup *dedup = NULL;

	CHECK_INT(dedup_new(&dedup), 0);
	/* More than its first capacity. */
	for (uint32_t i = 1; i <= 5000; i++)
		CHECK_INT(dedup_add(dedup,
				    &(struct dedup_key){ .kind = EXEC, .tgid = i, .start = 1000 + i, .number = i }),
			  0);
	for (uint32_t i = 1; i <= 5000; i++) {
		CHECK(dedup_match(dedup, &(struct dedup_key){
						 .kind = EXEC, .tgid = i, .start = 1000 + i, .number = i, .time = i }));
		CHECK(!dedup_match(dedup,
				   &(struct dedup_key){ .kind = EXIT, .tgid = i, .start = 1000 + i, .number = i }));
		CHECK(!dedup_match(dedup,
				   &(struct dedup_key){ .kind = EXEC, .tgid = i, .start = 1001 + i, .number = i }));
		CHECK(!dedup_match(dedup,
				   &(struct dedup_key){ .kind = EXEC, .tgid = i, .start = 1000 + i, .number = i + 1 }));
	}
}

TEST(failed_exec_matches_once_by_thread_and_time)
{
	_cleanup_(dedup_free_p) struct dedup *dedup = NULL;
	struct dedup_key key = failed(50 * DEDUP_APART_NS - 10), other;

	CHECK_INT(dedup_new(&dedup), 0);
	CHECK_INT(dedup_add(dedup, &key), 0);
	other = failed(key.time + DEDUP_APART_NS + 1);
	CHECK(!dedup_match(dedup, &other));
	other = failed(key.time - DEDUP_APART_NS - 1);
	CHECK(!dedup_match(dedup, &other));
	other = failed(key.time + 20); /* in the next span of time */
	other.tid = 9;
	CHECK(!dedup_match(dedup, &other));
	other.tid = 8;
	CHECK(dedup_match(dedup, &other));
	CHECK(!dedup_match(dedup, &other));
}

/* A PATH search: the same thread fails again and again, each only once in each ring. */
TEST(equal_failed_execs_match_one_by_one)
{
	_cleanup_(dedup_free_p) struct dedup *dedup = NULL;
	struct dedup_key key;

	CHECK_INT(dedup_new(&dedup), 0);
	for (uint64_t i = 0; i < 3000; i++) {
		key = failed(1000000000 + i * 10000);
		CHECK_INT(dedup_add(dedup, &key), 0);
	}
	for (uint64_t i = 0; i < 3000; i++) {
		key = failed(1000000000 + i * 10000 + 300);
		CHECK(dedup_match(dedup, &key));
	}
	key = failed(1000000000 + 3000 * 10000 + 300);
	CHECK(!dedup_match(dedup, &key));
}

TAP_MAIN
