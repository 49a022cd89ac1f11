/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pipeline/epoch.h"

#include <stdlib.h>

#include "util/clock.h"

#define STEP_NS 1000000

/* Both clocks, read as close together as three tries get. */
int64_t epoch_read(void)
{
	uint64_t best = UINT64_MAX;
	int64_t epoch = 0;

	for (int i = 0; i < 3; i++) {
		uint64_t before = clock_ns(CLOCK_BOOTTIME), real = clock_ns(CLOCK_REALTIME);
		uint64_t after = clock_ns(CLOCK_BOOTTIME);

		if (after - before < best) {
			best = after - before;
			epoch = (int64_t)real - (int64_t)(before + (after - before) / 2);
		}
	}
	return epoch;
}

bool epoch_is_same(int64_t a, int64_t b)
{
	return llabs(a - b) < STEP_NS;
}

bool epoch_is_current(int64_t epoch)
{
	return epoch_is_same((int64_t)clock_ns(CLOCK_REALTIME) - (int64_t)clock_ns(CLOCK_BOOTTIME), epoch);
}
