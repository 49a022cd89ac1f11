/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/budget.h"

#include <stddef.h>

static void count_shares(struct budget *budget, int change)
{
	budget->count += (unsigned)change;
	budget->free_steps = BUDGET_ALL_FREE_STEPS / (budget->count > 0 ? budget->count : 1);
	if (budget->free_steps > BUDGET_FREE_STEPS)
		budget->free_steps = BUDGET_FREE_STEPS;
}

/* One share more or less of that user. Returns how many others there are. */
static unsigned count_siblings(struct budget *budget, uid_t uid, int change)
{
	struct budget_share *share;
	unsigned count = 0;

	LIST_FOREACH (share, &budget->shares, next) {
		if (share->uid != uid)
			continue;
		share->siblings += (unsigned)change;
		count++;
	}
	return count;
}

/* The first turn is at hand from the beginning. */
static uint64_t given(const struct budget *budget)
{
	return budget->given + BUDGET_TURN_STEPS;
}

static uint64_t of_a_turn(const struct budget *budget, uint64_t steps)
{
	return steps >> budget->behind;
}

void budget_join(struct budget_share *share, struct budget *budget, uid_t uid)
{
	if (share->budget || !budget)
		return;
	share->budget = budget;
	share->uid = uid;
	share->siblings = count_siblings(budget, uid, 1) + 1;
	if (share->siblings == 1)
		budget->users++;
	/* A stream that left and joins again has what it had. */
	if (share->filled == 0)
		share->filled = given(budget) - of_a_turn(budget, BUDGET_TURN_STEPS);
	LIST_INSERT_HEAD(&budget->shares, share, next);
	count_shares(budget, 1);
}

void budget_leave(struct budget_share *share)
{
	struct budget *budget = share->budget;

	if (!budget)
		return;
	LIST_REMOVE(share, next);
	count_shares(budget, -1);
	if (count_siblings(budget, share->uid, -1) == 0)
		budget->users--;
	share->budget = NULL;
}

void budget_turn(struct budget *budget, bool behind)
{
	budget->behind = !behind ? 0 : budget->behind < BUDGET_BEHIND_MAX ? budget->behind + 1 : BUDGET_BEHIND_MAX;
	budget->given += of_a_turn(budget, BUDGET_TURN_STEPS);
	budget->turns++;
}

static int64_t parts(const struct budget_share *share)
{
	return (int64_t)share->budget->users * share->siblings;
}

int64_t budget_fill_free(struct budget_share *share)
{
	const struct budget *budget = share->budget;
	int64_t steps;

	if (share->free_filled != budget->turns + 1) {
		share->free_filled = budget->turns + 1;
		share->free_left = (int64_t)of_a_turn(budget, BUDGET_TURN_FREE_STEPS) / parts(share);
	}
	steps = (int64_t)of_a_turn(budget, (uint64_t)budget->free_steps);
	if (share->free_left > 0 && steps > BUDGET_LEAST_STEPS)
		return steps;
	return budget->free_steps < BUDGET_LEAST_STEPS ? budget->free_steps : BUDGET_LEAST_STEPS;
}

void budget_spend_free(struct budget_share *share, int64_t steps, uint64_t ns)
{
	int64_t most = steps * BUDGET_FREE_STEP_NS_MAX, cost = steps * BUDGET_FREE_STEP_COST + BUDGET_ASK_COST;

	if (!share->budget)
		return;
	if (ns > (uint64_t)most)
		ns = (uint64_t)most;
	share->free_left -= (int64_t)ns > cost ? (int64_t)ns : cost;
}

int64_t budget_left(struct budget_share *share)
{
	uint64_t all = given(share->budget), more = all - share->filled;

	if (more > BUDGET_STEPS)
		more = BUDGET_STEPS;
	share->left += (int64_t)more / parts(share);
	if (share->left > BUDGET_STEPS / parts(share))
		share->left = BUDGET_STEPS / parts(share);
	share->filled = all;
	return share->left;
}

void budget_spend(struct budget_share *share, int64_t steps, uint64_t ns)
{
	int64_t most = steps * BUDGET_STEP_NS_MAX;

	if (ns > (uint64_t)most)
		ns = (uint64_t)most;
	share->left -= (int64_t)ns > steps ? (int64_t)ns : steps;
}
