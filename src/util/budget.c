/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/budget.h"

#include <stddef.h>

#include "util/clock.h"

void budget_join(struct budget_share *share, struct budget *budget)
{
	if (share->budget || !budget)
		return;
	share->budget = budget;
	budget->shares++;
	/* One that left and comes again has what it had. */
	if (share->filled_ns == 0)
		*share = (struct budget_share){ budget, BUDGET_STEPS, clock_ns(CLOCK_MONOTONIC) };
}

void budget_leave(struct budget_share *share)
{
	if (share->budget)
		share->budget->shares--;
	share->budget = NULL;
}

int64_t *budget_steps(struct budget_share *share)
{
	int64_t whole = BUDGET_STEPS / share->budget->shares;
	uint64_t now = clock_ns(CLOCK_MONOTONIC), passed = now - share->filled_ns;

	/* Much longer than it takes to fill up. */
	if (passed > 1000000000)
		passed = 1000000000;
	share->left += (int64_t)(passed / BUDGET_NS_PER_STEP / share->budget->shares);
	if (share->left > whole)
		share->left = whole;
	share->filled_ns = now;
	return &share->left;
}
