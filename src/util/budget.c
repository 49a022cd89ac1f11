/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/budget.h"

#include <stddef.h>

#define TURNS_TO_FILL (BUDGET_STEPS / BUDGET_TURN_STEPS)

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
		share->filled = budget->turns;
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

void budget_turn(struct budget *budget)
{
	budget->turns++;
}

int64_t budget_left(struct budget_share *share)
{
	const struct budget *budget = share->budget;
	int64_t parts = (int64_t)budget->users * share->siblings;
	/* The turn at hand is one more. */
	uint64_t turns = budget->turns + 1 - share->filled;

	if (turns > TURNS_TO_FILL)
		turns = TURNS_TO_FILL;
	share->left += (int64_t)turns * BUDGET_TURN_STEPS / parts;
	if (share->left > BUDGET_STEPS / parts)
		share->left = BUDGET_STEPS / parts;
	share->filled = budget->turns + 1;
	return share->left;
}

void budget_spend(struct budget_share *share, int64_t steps, uint64_t ns)
{
	int64_t most = steps * BUDGET_STEP_NS_MAX;

	if (ns > (uint64_t)most)
		ns = (uint64_t)most;
	share->left -= (int64_t)ns > steps ? (int64_t)ns : steps;
}
