/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/watchdog.h"

#include <errno.h>
#include <stdlib.h>

struct watchdog {
	sd_event_source *timer;
	uint64_t usec;
	struct watchdog_ops ops;
	void *userdata;
	struct watchdog_path last;
};

static bool is_stuck(const struct watchdog_path *last, const struct watchdog_path *now)
{
	return last->waiting > 0 && now->waiting > 0 && now->taken == last->taken;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct watchdog *watchdog = userdata;
	struct watchdog_path now;
	int r;

	watchdog->ops.look(watchdog->userdata, &now);
	if (is_stuck(&watchdog->last, &now)) {
		r = watchdog->ops.push(watchdog->userdata);
		if (r < 0)
			return r;
		watchdog->ops.look(watchdog->userdata, &now);
	}
	if (!is_stuck(&watchdog->last, &now))
		watchdog->ops.feed(watchdog->userdata);
	watchdog->last = now;
	r = sd_event_source_set_time_relative(source, watchdog->usec / 2);
	return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int watchdog_new(struct watchdog **ret, sd_event *event, uint64_t usec, const struct watchdog_ops *ops, void *userdata)
{
	_cleanup_(watchdog_free_p) struct watchdog *watchdog = NULL;
	int r;

	if (usec == 0) {
		*ret = NULL;
		return 0;
	}
	watchdog = calloc(1, sizeof(*watchdog));
	if (!watchdog)
		return -ENOMEM;
	watchdog->usec = usec;
	watchdog->ops = *ops;
	watchdog->userdata = userdata;
	/* May come together with other timers, to spare a wake-up. */
	r = sd_event_add_time_relative(event, &watchdog->timer, CLOCK_MONOTONIC, 0, usec / 8, on_timer, watchdog);
	if (r >= 0)
		r = sd_event_source_set_priority(watchdog->timer, SD_EVENT_PRIORITY_IMPORTANT);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(watchdog);
	return 0;
}

struct watchdog *watchdog_free(struct watchdog *watchdog)
{
	if (!watchdog)
		return NULL;
	sd_event_source_disable_unref(watchdog->timer);
	free(watchdog);
	return NULL;
}
