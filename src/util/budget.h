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
 * BUDGET_ALL_FREE_STEPS. Most filters never need more. In one turn all these are BUDGET_TURN_FREE_STEPS, divided as the
 * budget is; a filter that has used its part may still take BUDGET_LEAST_STEPS, for keys that are no patterns.
 *
 * A turn that ends although records wait (behind) halves what the next one gives, and what each event may cost beyond
 * that, three times at most: hundreds of costly filters would else take most of each turn while a burst of events waits
 * for its own, and all streams with it.
 *
 * A step takes longer where a filter's tables are not in the cache, as those of many filters are not. So the time that
 * was taken counts, within limits: a filter is not charged for other programs that had the CPU.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#define BUDGET_STEPS 8000000
#define BUDGET_TURN_STEPS 4000000
#define BUDGET_FREE_STEPS 1024
#define BUDGET_ALL_FREE_STEPS 32768
#define BUDGET_TURN_FREE_STEPS 2000000
#define BUDGET_LEAST_STEPS 16
#define BUDGET_FREE_STEP_COST 4 /* tables of a filter are rarely in the cache when its turn comes */
#define BUDGET_ASK_COST 64
#define BUDGET_BEHIND_MAX 3
#define BUDGET_STEP_NS_MAX 8
#define BUDGET_FREE_STEP_NS_MAX 128 /* the first look at each pattern reads what is in no cache */

/* All zero: there are no shares. */
struct budget {
	LIST_HEAD(, budget_share) shares;
	unsigned count, users; /* of shares, and of users that have one */
	int64_t free_steps;    /* of one event for each filter */
	uint64_t turns;
	uint64_t given;	 /* in these turns, but for the first */
	unsigned behind; /* turns in a row */
};

struct budget_share {
	struct budget *budget; /* NULL: none */
	LIST_ENTRY(budget_share) next;
	uid_t uid;
	unsigned siblings; /* shares of the same user, this one among them */
	int64_t left;
	uint64_t filled; /* of what the budget has given, the part that is in `left` or was spent */
	int64_t free_left;
	uint64_t free_filled; /* in that turn */
};

/* Nothing, if it has a share. The budget is borrowed; NULL: no share. What has a share must not move in memory. */
void budget_join(struct budget_share *share, struct budget *budget, uid_t uid);
void budget_leave(struct budget_share *share);
/* The consumer begins another turn; behind: although the last one was too short for all records. */
void budget_turn(struct budget *budget, bool behind);
/* The steps that may be taken for an event without the share; all, where there is no budget. */
int64_t budget_fill_free(struct budget_share *share);
static inline int64_t budget_free(struct budget_share *share)
{
	return share->budget ? budget_fill_free(share) : INT64_MAX;
}
/* So many of them were taken, in that time; 0: it was not looked at. */
void budget_spend_free(struct budget_share *share, int64_t steps, uint64_t ns);
/* The steps that it may take now; not above zero: none. */
int64_t budget_left(struct budget_share *share);
/* So many were taken, in that time. */
void budget_spend(struct budget_share *share, int64_t steps, uint64_t ns);
