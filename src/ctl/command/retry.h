/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When to try again. All zero: at once. Times are in ms of CLOCK_MONOTONIC. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define RETRY_MIN_MS 50
/* What lasts so long was no failure to begin with. */
#define RETRY_LASTED_MS 5000

struct retry {
	uint64_t at, delay;
	uint64_t succeeded_at;
	unsigned reported; /* reasons of this outage that were reported, a bit for each */
};

static inline void retry_succeeded(struct retry *retry, uint64_t now)
{
	retry->succeeded_at = now;
	retry->reported = 0;
}

/* Each failure doubles the delay, up to max. Whether it is to be reported: the first one of an outage with this reason,
 * a bit. */
static inline bool retry_failed(struct retry *retry, uint64_t now, uint64_t max, unsigned reason)
{
	bool is_new = !(retry->reported & reason);

	if (retry->succeeded_at > 0 && now - retry->succeeded_at >= RETRY_LASTED_MS)
		retry->delay = 0;
	retry->succeeded_at = 0;
	retry->delay = retry->delay == 0 ? RETRY_MIN_MS : 2 * retry->delay > max ? max : 2 * retry->delay;
	retry->at = now + retry->delay;
	retry->reported |= reason;
	return is_new;
}
