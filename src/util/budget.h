/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the filters of many streams may cost, in steps of the size of a nanosecond (glob.h), whatever the patterns and the
 * events are. Each stream whose filter has patterns has a share of it, which fills up again with time. So all filters
 * together hold up the loop for BUDGET_STEPS at most, and take half of its time, and a stream that asks for too much loses
 * events itself, and no other does.
 *
 * An event may cost BUDGET_FREE_STEPS beyond that: about what it costs to send it. Most filters never need more.
 */
#ifndef EXECSNOOP_BUDGET_H
#define EXECSNOOP_BUDGET_H

#include <stdint.h>

#define BUDGET_STEPS 12000000
#define BUDGET_NS_PER_STEP 2 /* of the time in which a share fills up */
#define BUDGET_FREE_STEPS 1024

/* All zero: there are no shares. */
struct budget {
	unsigned shares;
};

struct budget_share {
	struct budget *budget; /* NULL: none */
	int64_t left;
	uint64_t filled_ns; /* CLOCK_MONOTONIC */
};

/* A full one, if it never had one; nothing, if it has one. The budget is borrowed; NULL: no share. */
void budget_join(struct budget_share *share, struct budget *budget);
void budget_leave(struct budget_share *share);
/* The steps that it may take now: what was taken is to be taken off. */
int64_t *budget_steps(struct budget_share *share);

#endif
