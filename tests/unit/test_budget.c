/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/budget.h"

#include "tap.h"

#define STREAMS 64

static struct budget budget;
static struct budget_share share, other, shares[STREAMS];

/* Takes all that the share has; returns how much that was. */
static int64_t take_all(struct budget_share *from)
{
	int64_t left = budget_left(from);

	budget_spend(from, left, 0);
	return left;
}

/* Connections that come and go in each turn. */
static int64_t take_with_new_shares(unsigned count)
{
	struct budget_share fresh[STREAMS] = {};
	int64_t taken = 0;

	CHECK(count <= STREAMS);
	for (unsigned i = 0; i < count; i++)
		budget_join(&fresh[i], &budget, 1000);
	for (unsigned i = 0; i < count; i++)
		taken += take_all(&fresh[i]);
	for (unsigned i = 0; i < count; i++)
		budget_leave(&fresh[i]);
	return taken;
}

TEST(one_stream_has_the_whole_budget)
{
	budget_join(&share, &budget, 0);
	CHECK_INT(take_all(&share), BUDGET_TURN_STEPS);
	CHECK_INT(take_all(&share), 0);
	budget_turn(&budget, false);
	CHECK_INT(take_all(&share), BUDGET_TURN_STEPS);
	for (int i = 0; i < 100; i++)
		budget_turn(&budget, false);
	CHECK_INT(take_all(&share), BUDGET_STEPS);
}

TEST(all_streams_share_one_budget)
{
	int64_t taken = 0;

	for (unsigned i = 0; i < STREAMS; i++)
		budget_join(&shares[i], &budget, i % 7);
	for (int i = 0; i < 100; i++)
		budget_turn(&budget, false);
	for (unsigned i = 0; i < STREAMS; i++)
		taken += take_all(&shares[i]);
	CHECK(taken <= BUDGET_STEPS && taken > BUDGET_STEPS - STREAMS);
	budget_turn(&budget, false);
	taken = 0;
	for (unsigned i = 0; i < STREAMS; i++)
		taken += take_all(&shares[i]);
	CHECK(taken <= BUDGET_TURN_STEPS && taken > BUDGET_TURN_STEPS - STREAMS);
}

TEST(new_connections_give_a_user_no_larger_share)
{
	budget_join(&other, &budget, 0);
	for (int turn = 0; turn < 1000; turn++) {
		CHECK(take_with_new_shares(STREAMS) <= BUDGET_TURN_STEPS / 2);
		/* And the other user loses nothing by them. */
		CHECK(take_all(&other) >= BUDGET_TURN_STEPS / 2);
		budget_turn(&budget, false);
	}
}

TEST(new_filter_gives_no_second_share)
{
	budget_join(&share, &budget, 0);
	budget_turn(&budget, false);
	CHECK(take_all(&share) > 0);
	for (int i = 0; i < 10; i++) {
		budget_leave(&share);
		budget_join(&share, &budget, 0);
		CHECK_INT(take_all(&share), 0);
	}
}

TEST(share_grows_when_others_leave)
{
	budget_join(&shares[0], &budget, 1);
	budget_join(&shares[1], &budget, 1);
	budget_join(&shares[2], &budget, 2);
	for (int i = 0; i < 10; i++)
		budget_turn(&budget, false);
	CHECK_INT(take_all(&shares[0]), BUDGET_STEPS / 4);
	CHECK_INT(take_all(&shares[2]), BUDGET_STEPS / 2);
	budget_leave(&shares[1]);
	budget_leave(&shares[1]);
	budget_leave(&shares[2]);
	budget_turn(&budget, false);
	CHECK_INT(take_all(&shares[0]), BUDGET_TURN_STEPS);
}

TEST(free_steps_of_a_turn_are_bounded_and_divided_among_users)
{
	int64_t all = 0, others = 0, steps;

	for (unsigned i = 0; i < STREAMS; i++)
		budget_join(&shares[i], &budget, 1000);
	budget_join(&other, &budget, 0);
	for (unsigned event = 0; event < 1000; event++) {
		for (unsigned i = 0; i < STREAMS; i++) {
			steps = budget_free(&shares[i]);
			CHECK(steps >= BUDGET_LEAST_STEPS);
			budget_spend_free(&shares[i], steps, 0);
			all += steps > BUDGET_LEAST_STEPS ? steps : 0;
		}
		steps = budget_free(&other);
		budget_spend_free(&other, 100, 0);
		others += steps > BUDGET_LEAST_STEPS;
	}
	CHECK(all > 0 && all <= BUDGET_TURN_FREE_STEPS / 2);
	/* A filter that costs little has its answers. */
	CHECK_INT(others, 1000);
	budget_turn(&budget, false);
	CHECK(budget_free(&shares[0]) > BUDGET_LEAST_STEPS);
}

TEST(filters_get_less_while_records_wait)
{
	unsigned events = 0;

	budget_join(&share, &budget, 0);
	take_all(&share);
	for (unsigned turn = 1; turn < 10; turn++) {
		budget_turn(&budget, true);
		CHECK_INT(take_all(&share), BUDGET_TURN_STEPS >> (turn < BUDGET_BEHIND_MAX ? turn : BUDGET_BEHIND_MAX));
	}
	for (; budget_free(&share) > BUDGET_LEAST_STEPS; events++)
		budget_spend_free(&share, budget_free(&share), 0);
	CHECK(events <= BUDGET_TURN_FREE_STEPS / (BUDGET_FREE_STEPS * BUDGET_FREE_STEP_COST) + 1);
	budget_turn(&budget, false);
	CHECK_INT(take_all(&share), BUDGET_TURN_STEPS);
}

TEST(time_is_charged_where_it_exceeds_the_steps)
{
	int64_t left;

	budget_join(&share, &budget, 0);
	left = budget_left(&share);
	budget_spend(&share, 1000, 3000);
	CHECK_INT(budget_left(&share), left - 3000);
	/* Other programs had the CPU. */
	budget_spend(&share, 1000, 1000000000);
	CHECK_INT(budget_left(&share), left - 3000 - 1000 * BUDGET_STEP_NS_MAX);
}

/* The tables of hundreds of filters are in no cache, so a few steps of each may take most of a turn. */
TEST(time_of_free_steps_is_charged)
{
	unsigned events = 0;

	budget_join(&share, &budget, 0);
	for (; budget_free(&share) > BUDGET_LEAST_STEPS; events++)
		budget_spend_free(&share, 200, 20000);
	CHECK_INT(events, BUDGET_TURN_FREE_STEPS / 20000);
	/* While records wait, an event has fewer of them, too. */
	budget_turn(&budget, true);
	CHECK_INT(budget_free(&share), BUDGET_FREE_STEPS / 2);
	budget_turn(&budget, false);
	CHECK_INT(budget_free(&share), BUDGET_FREE_STEPS);
}

TEST(cost_of_an_event_is_bounded_for_all_filters)
{
	for (unsigned i = 0; i < STREAMS; i++) {
		budget_join(&shares[i], &budget, i);
		CHECK(budget.free_steps > 0 && budget.free_steps <= BUDGET_FREE_STEPS);
		CHECK((i + 1) * budget.free_steps <= BUDGET_ALL_FREE_STEPS);
	}
	for (unsigned i = 0; i < STREAMS; i++)
		budget_leave(&shares[i]);
	CHECK_INT(budget.users, 0);
	CHECK_INT(budget.count, 0);
}

TAP_MAIN
