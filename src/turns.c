/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "turns.h"

#include <time.h>

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int turn(sd_event *event, uint64_t *longest_us)
{
	uint64_t began, took;
	int r = sd_event_prepare(event);

	if (r == 0)
		r = sd_event_wait(event, UINT64_MAX);
	if (r <= 0)
		return r;
	began = now_us();
	r = sd_event_dispatch(event);
	took = now_us() - began;
	if (took > *longest_us)
		*longest_us = took;
	return r;
}

int turns_run(sd_event *event, uint64_t *longest_us)
{
	int r = 0, code = 0;

	while (r >= 0 && sd_event_get_state(event) != SD_EVENT_FINISHED)
		r = turn(event, longest_us);
	if (r >= 0)
		r = sd_event_get_exit_code(event, &code);
	return r < 0 ? r : code;
}
