/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A watchdog in a real loop, over a path that the test moves. */
#include "daemon/watchdog.h"

#include <errno.h>

#include "tap.h"

#define PERIOD_US 20000

static struct watchdog_path path;
static unsigned looks, pushes, feeds;
static int push_result;
static bool push_helps;

static void look(void *userdata, struct watchdog_path *ret)
{
	CHECK(userdata == &path);
	*ret = path;
	looks++;
}

static int push(void *userdata)
{
	CHECK(userdata == &path);
	pushes++;
	if (push_helps)
		path = (struct watchdog_path){ .taken = path.taken + 1 };
	return push_result;
}

static void feed(void *userdata)
{
	CHECK(userdata == &path);
	feeds++;
}

static const struct watchdog_ops ops = { look, push, feed };

static sd_event *event;
static struct watchdog *watchdog;

static void begin(void)
{
	CHECK(sd_event_new(&event) >= 0);
	CHECK_INT(watchdog_new(&watchdog, event, PERIOD_US, &ops, &path), 0);
}
SETUP(begin)

/* One look more, and what stood at it. */
static void turn(void)
{
	unsigned before = looks;

	while (looks == before)
		CHECK(sd_event_run(event, UINT64_MAX) >= 0);
}

static void end(void)
{
	watchdog = watchdog_free(watchdog);
	event = sd_event_unref(event);
}
TEARDOWN(end)

TEST(watchdog_is_off_without_a_period)
{
	struct watchdog *none = (struct watchdog *)&path;

	CHECK_INT(watchdog_new(&none, event, 0, &ops, &path), 0);
	CHECK(none == NULL);
	CHECK(watchdog_free(NULL) == NULL);
}

TEST(watchdog_is_fed_while_idle)
{
	for (unsigned i = 1; i <= 5; i++) {
		turn();
		CHECK_INT(feeds, i);
	}
	CHECK_INT(pushes, 0);
}

TEST(watchdog_is_fed_while_records_are_read)
{
	for (unsigned i = 1; i <= 5; i++) {
		path = (struct watchdog_path){ .taken = i, .waiting = 4096 };
		turn();
		CHECK_INT(feeds, i);
	}
	CHECK_INT(pushes, 0);
}

TEST(watchdog_drains_the_ring_before_it_is_fed)
{
	push_helps = true;
	path.waiting = 100;
	turn();
	CHECK_INT(feeds, 1); /* it may have come just now */
	turn();
	CHECK_INT(pushes, 1);
	CHECK_INT(feeds, 2);
	CHECK_INT(path.waiting, 0);
	turn();
	CHECK_INT(pushes, 1);
	CHECK_INT(feeds, 3);
}

TEST(stuck_ring_leaves_the_watchdog_unfed)
{
	path.waiting = 100;
	turn();
	CHECK_INT(feeds, 1);
	for (unsigned i = 1; i <= 5; i++) {
		path.waiting += 100; /* more comes, nothing goes */
		turn();
		CHECK_INT(feeds, 1);
		CHECK_INT(pushes, i);
	}
	path.taken++;
	turn();
	CHECK_INT(feeds, 2);
}

TEST(read_error_ends_the_watchdog)
{
	push_result = -EIO;
	path.waiting = 100;
	turn();
	turn();
	CHECK_INT(pushes, 1);
	CHECK_INT(feeds, 1);
	CHECK_INT(sd_event_run(event, 10 * PERIOD_US), 0);
	CHECK_INT(feeds, 1);
}

TAP_MAIN
