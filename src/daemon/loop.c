/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The event loop, with its signals and the watchdog. */
#include <errno.h>
#include <signal.h>
#include <systemd/sd-daemon.h>

#include "daemon/daemon_internal.h"
#include "daemon/stats.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/notify.h"

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct daemon *d = userdata;

	return sd_event_exit(d->event, DAEMON_OK);
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	daemon_reload(userdata);
	return 0;
}

static int on_stats(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	stats_log(userdata);
	return 0;
}

static int watch_signals(struct daemon *d)
{
	static const struct {
		int number;
		sd_event_signal_handler_t handler;
	} signals[] = {
		{ SIGTERM, on_stop },
		{ SIGINT, on_stop },
		{ SIGHUP, on_reload },
		{ SIGUSR1, on_stats },
	};
	sigset_t set;
	int r = 0;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i].number);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; r >= 0 && i < sizeof(signals) / sizeof(signals[0]); i++)
		r = sd_event_add_signal(d->event, NULL, signals[i].number, signals[i].handler, d);
	return r;
}

int daemon_make_loop(struct daemon *d)
{
	int r = sd_event_default(&d->event);

	if (r < 0)
		return r;
	r = watch_signals(d);
	return r < 0 ? r : notify_watch(d->event, log_message, d);
}

/* The watchdog. */

static void watchdog_look(void *userdata, struct watchdog_path *ret)
{
	struct daemon *d = userdata;
	struct pipeline_stats stats;

	pipeline_stats(d->pipeline, &stats);
	*ret = (struct watchdog_path){ .taken = stats.records,
				       .waiting = record_source_waiting(probe_source(d->probe)) };
}

static int watchdog_push(void *userdata)
{
	struct daemon *d = userdata;

	log_warning(
		"records wait in the ring buffer, but none was read for half of the watchdog interval; reading now");
	return consumer_turn(d->consumer);
}

static void watchdog_feed(void *userdata)
{
	notify_send("WATCHDOG=1");
}

int daemon_start_watchdog(struct daemon *d)
{
	static const struct watchdog_ops ops = { watchdog_look, watchdog_push, watchdog_feed };
	uint64_t usec = 0;
	int r = sd_watchdog_enabled(1, &usec);

	return r < 0 ? r : watchdog_new(&d->watchdog, d->event, r > 0 ? usec : 0, &ops, d);
}
