/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * systemd's watchdog (sd_watchdog_enabled(3)), fed by progress of the data path and not by the loop's being alive:
 * twice in a period it looks whether what waits in the ring buffer is read. What waited at the last look and was not
 * read since is read now; if that does not help either, the watchdog is not fed, and systemd kills and restarts the
 * daemon.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "util/cleanup.h"

struct watchdog;

struct watchdog_path {
	uint64_t taken;	  /* records read since the start */
	uint64_t waiting; /* bytes that wait to be read */
};

struct watchdog_ops {
	void (*look)(void *userdata, struct watchdog_path *ret);
	/* Something waits and was not read for half a period: reads it. 0 or -errno, which ends the feeding. */
	int (*push)(void *userdata);
	/* WATCHDOG=1 for systemd. */
	void (*feed)(void *userdata);
};

/* usec: the period; 0: no watchdog, and *ret is NULL. Takes part in the loop from now on, before sources of ordinary
 * priority. 0 or -errno. */
int watchdog_new(struct watchdog **ret, sd_event *event, uint64_t usec, const struct watchdog_ops *ops, void *userdata);
struct watchdog *watchdog_free(struct watchdog *watchdog);
DEFINE_CLEANUP(struct watchdog *, watchdog_free);
