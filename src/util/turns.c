/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/turns.h"

#include "util/clock.h"

static void keep_longest(uint64_t *longest, uint64_t took)
{
	if (took > *longest)
		*longest = took;
}

static int turn(sd_event *event, struct turns *turns)
{
	uint64_t began, cpu_began;
	int r = sd_event_prepare(event);

	if (r == 0)
		r = sd_event_wait(event, UINT64_MAX);
	if (r <= 0)
		return r;
	began = clock_us(CLOCK_MONOTONIC);
	cpu_began = clock_us(CLOCK_THREAD_CPUTIME_ID);
	r = sd_event_dispatch(event);
	keep_longest(&turns->max_cpu_us, clock_us(CLOCK_THREAD_CPUTIME_ID) - cpu_began);
	keep_longest(&turns->max_us, clock_us(CLOCK_MONOTONIC) - began);
	return r;
}

int turns_run(sd_event *event, struct turns *turns)
{
	int r = 0, code = 0;

	while (r >= 0 && sd_event_get_state(event) != SD_EVENT_FINISHED)
		r = turn(event, turns);
	if (r >= 0)
		r = sd_event_get_exit_code(event, &code);
	return r < 0 ? r : code;
}
