/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/budget.h"

#include <stddef.h>

#define TURNS_TO_FILL (BUDGET_STEPS / BUDGET_TURN_STEPS)

/* One share more or less of that user. Returns how many others there are. */
static unsigned count_siblings(struct budget *budget, uid_t uid, int change)
{
	struct budget_share *share;
	unsigned count = 0;

	LIST_FOREACH(share, &budget->shares, next)
	{
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
}

void budget_leave(struct budget_share *share)
{
	struct budget *budget = share->budget;

	if (!budget)
		return;
	LIST_REMOVE(share, next);
	if (count_siblings(budget, share->uid, -1) == 0)
		budget->users--;
	share->budget = NULL;
}

void budget_turn(struct budget *budget)
{
	budget->turns++;
}

int64_t *budget_steps(struct budget_share *share)
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
	return &share->left;
}
