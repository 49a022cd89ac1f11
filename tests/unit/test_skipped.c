/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pipeline/skipped.h"

#include "tap.h"

static struct skipped skipped;
static uint64_t reported, now_us;

static void begin(bool forks)
{
	skipped = (struct skipped){ .forks = forks };
	reported = 0;
	now_us = 1000000;
}

/* A look at the counters a second later. Returns all that was reported until then. */
static uint64_t look(uint64_t events, uint64_t forks)
{
	now_us += 1000000;
	reported += skipped_look(&skipped, (struct loss_count){ events, forks }, now_us);
	return reported;
}

static uint64_t look_twice(uint64_t events, uint64_t forks)
{
	look(events, forks);
	return look(events, forks);
}

TEST(skipped_run_is_reported_once)
{
	begin(false);
	CHECK_INT(look_twice(0, 0), 0);
	CHECK_INT(look_twice(3, 0), 3);
	CHECK_INT(look_twice(3, 0), 3);
	CHECK_INT(look_twice(4, 0), 4);
}

TEST(recovered_run_is_not_reported)
{
	begin(true);
	CHECK_INT(look(0, 0), 0);
	CHECK_INT(look(2, 1), 0);
	CHECK_INT(look(0, 0), 0);
	/* Two others, each for a short time. */
	CHECK_INT(look(1, 0), 0);
	CHECK_INT(look(0, 1), 0);
	CHECK_INT(look(0, 0), 0);
	/* One of three remains. */
	CHECK_INT(look(3, 0), 0);
	CHECK_INT(look(1, 0), 1);
	CHECK_INT(look(1, 0), 1);
}

TEST(run_recovered_after_its_report_balances_the_next)
{
	begin(true);
	CHECK_INT(look_twice(2, 2), 4);
	/* A backup program saw one of each. */
	CHECK_INT(look_twice(1, 1), 4);
	/* One more of each: as many as were reported. */
	CHECK_INT(look_twice(2, 2), 4);
	CHECK_INT(look_twice(3, 2), 5);
	CHECK_INT(look_twice(3, 3), 6);
}

TEST(skipped_forks_are_lost_events_only_where_forks_are_events)
{
	begin(false);
	CHECK_INT(look_twice(0, 5), 0);
	CHECK_INT(look_twice(1, 6), 1);
	begin(true);
	CHECK_INT(look_twice(1, 6), 7);
}

TEST(runs_skipped_before_a_reset_are_not_reported)
{
	begin(true);
	skipped_reset(&skipped, (struct loss_count){ 7, 8 });
	CHECK_INT(look_twice(7, 8), 0);
	CHECK_INT(look_twice(8, 9), 2);
}

TEST(last_check_reports_without_confirmation)
{
	begin(false);
	CHECK_INT(look(2, 0), 0);
	CHECK_INT(skipped_last_look(&skipped, (struct loss_count){ 3, 1 }), 3);
	CHECK_INT(skipped_last_look(&skipped, (struct loss_count){ 3, 1 }), 0);
}

TEST(checks_are_apart_while_a_run_is_unconfirmed)
{
	begin(false);
	CHECK(skipped_is_look_due(&skipped, now_us, false));
	look(0, 0);
	CHECK(!skipped_is_look_due(&skipped, now_us + 1000, false));
	CHECK(skipped_is_look_due(&skipped, now_us + 1000, true));
	CHECK(skipped_is_look_due(&skipped, now_us + 100000, false));
	look(2, 0);
	CHECK(skipped_is_pending(&skipped));
	CHECK(!skipped_is_look_due(&skipped, now_us + 1000, true));
	CHECK(skipped_is_look_due(&skipped, now_us + 100000, true));
	look(2, 0);
	CHECK(!skipped_is_pending(&skipped));
}

TAP_MAIN
