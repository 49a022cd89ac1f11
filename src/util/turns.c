/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/turns.h"

#include <time.h>

static uint64_t now_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void note(uint64_t *longest, uint64_t took)
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
	began = now_us(CLOCK_MONOTONIC);
	cpu_began = now_us(CLOCK_THREAD_CPUTIME_ID);
	r = sd_event_dispatch(event);
	note(&turns->max_cpu_us, now_us(CLOCK_THREAD_CPUTIME_ID) - cpu_began);
	note(&turns->max_us, now_us(CLOCK_MONOTONIC) - began);
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
