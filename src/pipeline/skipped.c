/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pipeline/skipped.h"

#define LOOK_PAUSE_US 100000 /* longer than a backup program takes to make up for a run */

void skipped_reset(struct skipped *skipped, struct loss_count reported)
{
	*skipped = (struct skipped){ .forks = skipped->forks, .reported = reported };
}

bool skipped_is_pending(const struct skipped *skipped)
{
	return skipped->seen.events > skipped->reported.events || skipped->seen.forks > skipped->reported.forks;
}

bool skipped_is_look_due(const struct skipped *skipped, uint64_t now_us, bool idle)
{
	bool is_soon = skipped->seen_us != 0 && now_us - skipped->seen_us < LOOK_PAUSE_US;

	return !is_soon || (idle && !skipped_is_pending(skipped));
}

/* By how much `count` exceeds *reported, which becomes the greater of both. */
static uint64_t take_excess(uint64_t *reported, uint64_t count)
{
	uint64_t excess = count > *reported ? count - *reported : 0;

	*reported += excess;
	return excess;
}

uint64_t skipped_last_look(struct skipped *skipped, struct loss_count count)
{
	uint64_t events = take_excess(&skipped->reported.events, count.events);
	uint64_t forks = take_excess(&skipped->reported.forks, count.forks);

	return events + (skipped->forks ? forks : 0);
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t skipped_look(struct skipped *skipped, struct loss_count count, uint64_t now_us)
{
	struct loss_count confirmed = {
		.events = lesser(count.events, skipped->seen.events),
		.forks = lesser(count.forks, skipped->seen.forks),
	};
	uint64_t lost = skipped_last_look(skipped, confirmed);

	skipped->seen = count;
	skipped->seen_us = now_us;
	return lost;
}
