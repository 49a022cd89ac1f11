/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One thread, one event loop: the consumer of the ring buffer first, then outputs, which never block. */
#include "daemon/daemon.h"

#include <malloc.h>
#include <string.h>
#include <sys/prctl.h>

#include "daemon/handover.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/notify.h"

#define STOP_MS 500 /* for outputs to write what is queued, at the end */

/* handover: for a next daemon. */
static void finish_streams(struct daemon *d, bool handover)
{
	notify_send("STOPPING=1");
	/* What happened until now makes events. */
	consumer_drain(d->consumer);
	/* It is a sink, and looks at the table. */
	d->resync = resync_free(d->resync);
	if (handover)
		handover_save(d);
	/* What is held is sent too. */
	pipeline_stop_searches(d->pipeline);
	if (d->server)
		server_drain(d->server, STOP_MS);
	if (d->stdout_output)
		stdout_output_drain(d->stdout_output, STOP_MS);
}

/* Also after a start that failed halfway. */
static void daemon_clear(struct daemon *d)
{
	daemon_end_reload(d);
	d->resync = resync_free(d->resync);
	d->server = server_free(d->server);
	d->journal = journal_free(d->journal, STOP_MS);
	d->stdout_output = stdout_output_free(d->stdout_output);
	d->watchdog = watchdog_free(d->watchdog);
	d->consumer = consumer_free(d->consumer);
	/* After its sinks, whose subscribers look at its table. */
	d->pipeline = pipeline_free(d->pipeline);
	d->redact = redact_free(d->redact);
	d->environment = environment_free(d->environment);
	d->names = local_names_free(d->names);
	d->probe = probe_free(d->probe);
	if (!notify_flush(STOP_MS))
		log_warning("the service manager has not read %zu messages", notify_waiting());
	notify_unwatch();
	sd_event_unref(d->event);
	d->checkpoint = checkpoint_free(d->checkpoint);
	if (d->settings != d->boot_settings)
		settings_free(d->settings);
	d->settings = d->boot_settings = settings_free(d->boot_settings);
}

/* Where huge pages are on for all, the kernel makes one of a few pages that are left, which takes memory that was given
 * back again (mm/khugepaged.c, max_ptes_none). If this fails, it is only more memory. */
static void limit_memory(void)
{
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	/* A large line goes back at once. By itself malloc(3) would take the next ones from the heap, whose end it then
	 * keeps twice the size of the largest (M_MMAP_THRESHOLD in mallopt(3)). */
	mallopt(M_MMAP_THRESHOLD, 256 << 10);
	mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

/* Returns an exit status. */
static int run_loop(struct daemon *d)
{
	size_t processes = proctable_count(pipeline_table(d->pipeline));
	int r;

	/* What loading took (the kernel's type information, above all) is not needed any more. */
	malloc_trim(0);
	log_info("watching %zu processes; ready after %llu ms", processes,
		 (unsigned long long)(clock_us(CLOCK_MONOTONIC) - d->started_us) / 1000);
	notify_send("READY=1\nSTATUS=%zu processes", processes);
	r = turns_run(d->event, &d->turns);
	if (r >= 0)
		return r;
	log_error("event loop: %s", strerror(-r));
	return DAEMON_FAILED;
}

int daemon_run(const struct daemon_options *options)
{
	struct daemon d = { .options = options };
	int status;

	limit_memory();
	status = daemon_start(&d);
	if (status == DAEMON_OK) {
		daemon_drop_privileges();
		status = run_loop(&d);
		finish_streams(&d, status == DAEMON_OK);
	}
	daemon_clear(&d);
	return status;
}
