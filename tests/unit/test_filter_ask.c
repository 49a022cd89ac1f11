/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Filters that are asked in more than one step. */
#include "model/filter.h"

#include <time.h>

#include "tap.h"

/* CLOCK_MONOTONIC is so much later at each look; put in by the linker (--wrap). */
static long look_ns;
__typeof__(clock_gettime) __real_clock_gettime, __wrap_clock_gettime;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	static long ns;

	if (clock != CLOCK_MONOTONIC || look_ns == 0)
		return __real_clock_gettime(clock, ts);
	ns += look_ns;
	*ts = (struct timespec){ ns / 1000000000, ns % 1000000000 };
	return 0;
}

static struct filter *filter_of_args(const char *pattern)
{
	struct filter *filter;
	const char *reason = "";

	CHECK_INT(filter_new(&filter), 0);
	CHECK_INT(filter_add(filter, FILTER_ARGS, bytes_of(pattern), &reason), 0);
	return filter;
}

/* The time that it takes counts before it has taken all of its steps. */
TEST(slow_filter_takes_fewer_steps)
{
	static char args[1000000];
	_cleanup_(filter_free_p) struct filter *filter = filter_of_args("*x?*");
	struct process process = { .image.args = { args, sizeof(args) } };
	struct event event = { .type = EVENT_STARTED, .process = &process };

	memset(args, 'a', sizeof(args) - 1);
	for (int slow = 0; slow < 2; slow++) {
		struct budget budget = {};
		struct budget_share share = {};

		budget_join(&share, &budget, 0);
		look_ns = slow ? 1000000 : 1;
		CHECK_INT(filter_ask(filter, &event, &share), slow ? FILTER_MORE : FILTER_NO);
		budget_leave(&share);
	}
}

/* In small steps too, the end of a long argument is looked for once. */
TEST(steps_of_a_long_argument_do_not_add_up)
{
	static char args[1000000];
	_cleanup_(filter_free_p) struct filter *filter = filter_of_args("*x?*");
	struct process process = { .image.args = { args, sizeof(args) } };
	struct event event = { .type = EVENT_STARTED, .process = &process };
	struct filter_place place = { 0 };
	enum filter_result r = FILTER_MORE;
	int64_t taken = 0;

	memset(args, 'a', sizeof(args) - 1);
	while (r == FILTER_MORE) {
		int64_t steps = 1000;

		r = filter_try(filter, &event, &place, &steps);
		taken += 1000 - steps;
	}
	CHECK_INT(r, FILTER_NO);
	CHECK(taken < 2 * (int64_t)sizeof(args));
}

/* A reload masks the arguments of a process that a snapshot is at. */
TEST(arguments_that_change_are_searched_from_the_beginning)
{
	static const char *const patterns[] = { "*aax*", "*[x]*" };
	static char args[500];

	memset(args, 'a', sizeof(args) - 1);
	for (size_t i = 0; i < 2; i++) {
		_cleanup_(filter_free_p) struct filter *filter = filter_of_args(patterns[i]);
		struct process process = { .image.args = { args, sizeof(args) } };
		struct event event = { .type = EVENT_STARTED, .process = &process };
		struct filter_place place = { 0 };
		enum filter_result r = FILTER_MORE;
		int64_t steps = 300;

		CHECK_INT(filter_try(filter, &event, &place, &steps), FILTER_MORE);
		process.image.args = BYTES("aax");
		for (unsigned calls = 0; calls < 10 && r == FILTER_MORE; calls++) {
			steps = 100;
			r = filter_try(filter, &event, &place, &steps);
		}
		CHECK_INT(r, FILTER_YES);
	}
}

TAP_MAIN
