/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the filters of many streams may cost, in steps of the size of a nanosecond (glob.h), whatever the patterns and
 * the events are. It is divided among the users whose streams have filters with patterns, and a user's part among that
 * user's streams. So a stream that asks for too much loses events itself, and no other does, and more connections give
 * a user nothing more.
 *
 * A share is filled by turns of the consumer, not by the clock: where other programs have the CPU, the clock would
 * leave all that the daemon gets of it to the filters. In one turn all filters together take BUDGET_STEPS at most, and
 * in turn after turn BUDGET_TURN_STEPS each. A new share has what one turn gives, since connections may come and go
 * faster than shares are filled.
 *
 * An event may cost each filter BUDGET_FREE_STEPS beyond that, about what it costs to send it, and all filters together
 * BUDGET_ALL_FREE_STEPS. Most filters never need more.
 *
 * A step takes longer where a filter's tables are not in the cache, as those of many filters are not. So the time that
 * was taken counts, within limits: a filter does not answer for other programs that had the CPU.
 */
#ifndef EXECSNOOP_BUDGET_H
#define EXECSNOOP_BUDGET_H

#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#define BUDGET_STEPS 12000000
#define BUDGET_TURN_STEPS 4000000
#define BUDGET_FREE_STEPS 1024
#define BUDGET_ALL_FREE_STEPS 32768
#define BUDGET_STEP_NS_MAX 8

/* All zero: there are no shares. */
struct budget {
	LIST_HEAD(, budget_share) shares;
	unsigned count, users; /* of shares, and of users that have one */
	int64_t free_steps;    /* of one event for each filter */
	uint64_t turns;
};

struct budget_share {
	struct budget *budget; /* NULL: none */
	LIST_ENTRY(budget_share) next;
	uid_t uid;
	unsigned siblings; /* shares of the same user, this one among them */
	int64_t left;
	uint64_t filled; /* in that turn */
};

/* Nothing, if it has a share. The budget is borrowed; NULL: no share. What has a share must not move in memory. */
void budget_join(struct budget_share *share, struct budget *budget, uid_t uid);
void budget_leave(struct budget_share *share);
/* The consumer begins another turn. */
void budget_turn(struct budget *budget);
/* The steps that it may take now; not above zero: none. */
int64_t budget_left(struct budget_share *share);
/* So many were taken, in that time. */
void budget_spend(struct budget_share *share, int64_t steps, uint64_t ns);

#endif
