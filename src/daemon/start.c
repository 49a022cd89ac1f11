/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The start, from top to bottom: daemon_start(). Probes are attached first, then what runs is read, then what happened
 * meanwhile is applied to that; then the outputs join, and each begins with the same table. Clients that connect before
 * that wait in the socket's backlog.
 *
 * Probes of a previous daemon stay attached until those of this one are (consumer.c).
 */
#include <string.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include "daemon/handover.h"
#include "daemon/stats.h"
#include "util/clock.h"
#include "util/log.h"

#define GRACE_US 20000 /* both sets of probes see all: calls that had begun before the second did have ended */

/* An ordinary value is drawn once from each boot's own id; it is no secret. */
#define BOOT_APPLICATION SD_ID128_MAKE(6d, 4e, 1f, 0b, 52, 3a, 47, 9c, 9a, 60, d3, 0c, 7b, 8e, 25, f4)

/* Logs a failure; returns the exit status. */
static int fail(const char *what, int error)
{
	log_error("%s: %s", what, strerror(-error));
	return DAEMON_FAILED;
}

static int read_boot_id(uint64_t *ret)
{
	sd_id128_t id;
	int r = sd_id128_get_boot_app_specific(BOOT_APPLICATION, &id);

	if (r < 0)
		return r;
	memcpy(ret, id.bytes, sizeof(*ret));
	return 0;
}

/* The pipeline and its consumer, which has no probes yet. */

static void on_turned(void *userdata)
{
	struct daemon *d = userdata;

	probe_update_layouts(d->probe);
	stats_notify(d);
}

static int on_failed(void *userdata, int error)
{
	struct daemon *d = userdata;

	return sd_event_exit(d->event, fail("reading the ring buffer", error));
}

static const struct consumer_ops consumer_ops = { .turned = on_turned, .failed = on_failed, .log = log_message };

static int make_empty_pipeline(struct daemon *d)
{
	struct checkpoint_counters *counters = d->checkpoint ? &checkpoint_page(d->checkpoint)->counters : NULL;
	struct pipeline_config config = {
		.boot = d->boot,
		.forks = d->settings->probes.forks,
		.kernel_threads = d->settings->probes.kernel_threads,
		.args_limit = d->settings->probes.args_limit,
		.table_memory = d->settings->probes.table_memory,
		.environment = d->environment,
		.redact = d->redact,
		.extras = local_names_source(d->names),
		.checkpoint = counters,
	};
	int r = stream_init(&config.stream);

	if (r < 0)
		return r;
	r = pipeline_new(&d->pipeline, &config);
	if (r < 0)
		return r;
	local_names_source(d->names)->table = pipeline_table(d->pipeline);
	return consumer_new(&d->consumer, d->event, d->pipeline, d->settings->probes.forks, counters, &consumer_ops, d);
}

/* CLEAN: with the table. */
static int make_pipeline(struct daemon *d, struct handover *from)
{
	const char *reason;
	int r = daemon_make_redact(&d->redact, d->settings);

	if (r < 0)
		return r;
	if (d->settings->probes.env) {
		r = environment_new(&d->environment, (const char *const *)d->settings->probes.env, &reason);
		if (r < 0)
			return r;
	}
	r = make_empty_pipeline(d);
	if (r < 0 || from->kind != HANDOVER_CLEAN)
		return r;
	r = handover_archive_state(from->state, d);
	if (r == 0)
		return 0;
	log_warning("the state of the previous daemon cannot be read: %s", strerror(-r));
	handover_reject_state(from);
	d->consumer = consumer_free(d->consumer);
	d->pipeline = pipeline_free(d->pipeline);
	return make_empty_pipeline(d);
}

/* Returns an exit status, with a message logged. */
static int start_probe(struct daemon *d)
{
	struct probe_reason reason = {};
	int r = probe_new(&d->probe, d->settings, &reason);

	if (r != 0) {
		log_error("%s", reason.text);
		return r == PROBE_E_UNSUPPORTED ? DAEMON_UNAVAILABLE
		       : r == PROBE_E_PRIVILEGE ? DAEMON_NOPERM
						: DAEMON_FAILED;
	}
	if (probe_is_fallback(d->probe))
		log_info("no usable kernel BTF; falling back to raw tracepoints (slightly slower)");
	if (strcmp(probe_errors_kind(d->probe), "none") == 0)
		log_warning("failed execs %s", probe_errors_description(d->probe));
	else if (d->settings->probes.errors != ERRORS_OFF)
		log_info("failed execs are seen %s", probe_errors_description(d->probe));
	return DAEMON_OK;
}

/* The table, unless it came from an archive. */

static int make_resync(struct daemon *d)
{
	const struct resync_config config = {
		.ring = probe_source(d->probe)->ring,
		.list_tasks = probe_list_tasks,
		.probe = d->probe,
		.pipeline = d->pipeline,
		.settings = d->settings,
	};
	int r = resync_new(&d->resync, &config);

	if (r < 0)
		return r;
	consumer_set_resync(d->consumer, d->resync);
	return 0;
}

static int load_table(struct daemon *d)
{
	int r = consumer_set_source(d->consumer, probe_source(d->probe));

	if (r < 0)
		return r;
	r = resync_load(d->resync, UINT64_MAX);
	if (r < 0)
		return r;
	/* What happened meanwhile changes the table; what comes later makes events. */
	r = consumer_settle(d->consumer);
	if (r < 0)
		return r;
	pipeline_go_live(d->pipeline);
	return 0;
}

/* The last time at which a stream began with a snapshot. */
static uint64_t last_snapshot(const struct checkpoint_page *previous)
{
	uint64_t last = previous->journal.joined && previous->journal.had_snapshot ? previous->journal.joined_ns : 0;

	for (size_t i = 0; i < CHECKPOINT_SUBSCRIBERS; i++) {
		const struct checkpoint_subscriber *subscriber = &previous->subscribers[i];

		if (subscriber->slot != 0 && subscriber->stream.had_snapshot && subscriber->stream.joined_ns > last)
			last = subscriber->stream.joined_ns;
	}
	return last;
}

/*
 * What the table was at a crash: the processes that were there before the first record that waits, as they are now; the
 * records make the rest of it, and its events. Processes that ended in between are not known any more: their ends are
 * reported as lost.
 */
static int rebuild_table(struct daemon *d, const struct handover *from)
{
	const struct checkpoint_counters *counters = &from->previous->counters;
	int r;

	consumer_resume(d->consumer, counters);
	r = resync_load(d->resync, from->backlog_ns);
	if (r < 0)
		return r;
	pipeline_resume(d->pipeline, counters, last_snapshot(from->previous));
	pipeline_replay(d->pipeline);
	return 0;
}

/* Then what waits in the previous daemon's ring can make events. */
static int start_outputs(struct daemon *d, struct handover *from)
{
	int r = daemon_start_outputs(d, from);

	if (r < 0)
		return r;
	/* Versions of processes that no restored snapshot needs. */
	proctable_settle(pipeline_table(d->pipeline));
	/* From their first event on, it is our checkpoint that has the state of the outputs. */
	if (d->checkpoint)
		handover_commit_checkpoint(from, d->checkpoint);
	return from->source ? consumer_set_previous(d->consumer, from->source) : 0;
}

/* Reads the previous daemon's ring for the last time, then ours. */
static int take_over(struct daemon *d, const struct handover *from)
{
	int r;

	usleep(GRACE_US);
	r = consumer_set_source(d->consumer, probe_source(d->probe));
	pipeline_go_live(d->pipeline);
	return r;
}

static void commit(struct daemon *d, struct handover *from)
{
	size_t unknown = fdstore_discard(from->store);

	if (unknown > 0)
		log_info("closed %zu unknown file descriptors from the fd store", unknown);
	if (d->server)
		server_set_drain_budget(d->server, 0);
	if (d->checkpoint)
		handover_commit_probes(from, d->checkpoint, d->probe);
}

/* Probes, table, outputs; the event loop and the configuration are there. Returns an exit status, with a message
 * logged. */
static int start_streams(struct daemon *d, struct handover *from)
{
	int status, r = make_pipeline(d, from);

	if (r < 0)
		return fail("pipeline", r);
	if (from->kind == HANDOVER_CRASHED)
		log_notice("the previous daemon did not shut down cleanly; resuming after event %llu",
			   (unsigned long long)from->previous->counters.seq);
	/*
	 * The one difference in the order. An archived table is complete as it is, so the outputs continue at once, and
	 * the old ring is drained early: it could fill in the time that loading probes takes (170 ms). Any other table
	 * is read from the kernel, and is complete only if the probes were attached before.
	 */
	if (from->kind == HANDOVER_CLEAN) {
		r = start_outputs(d, from);
		if (r < 0)
			return DAEMON_FAILED;
		r = consumer_settle(d->consumer);
		if (r < 0)
			return fail("taking over from the previous daemon", r);
	}
	status = start_probe(d);
	if (status != DAEMON_OK)
		return status;
	r = make_resync(d);
	if (r < 0)
		return fail("reading the running processes", r);
	if (from->kind != HANDOVER_CLEAN) {
		r = from->kind == HANDOVER_CRASHED ? rebuild_table(d, from) : load_table(d);
		if (r < 0)
			return fail("reading the running processes", r);
		r = start_outputs(d, from);
		if (r < 0)
			return DAEMON_FAILED;
	}
	if (from->source) {
		r = take_over(d, from);
		if (r < 0)
			return fail("taking over from the previous daemon", r);
	}
	commit(d, from);
	return DAEMON_OK;
}

int daemon_start(struct daemon *d)
{
	_cleanup_(handover_close) struct handover from = {};
	int status, r;

	d->started_us = clock_us(CLOCK_MONOTONIC);
	/* Before anything else can have a descriptor where those are that were passed. */
	r = fdstore_new(&from.store);
	if (r < 0)
		return fail("taking over the descriptors that systemd passed", r);
	if (daemon_load_settings(&d->settings, d->options, log_message, NULL) < 0)
		return DAEMON_CONFIG;
	if (!d->options->to_stdout)
		settings_find_group(d->settings);
	d->boot_settings = d->settings;
	daemon_set_log_level(d->options, d->settings);
	r = read_boot_id(&d->boot);
	if (r < 0)
		return fail("reading the boot id", r);
	r = daemon_make_loop(d);
	if (r < 0)
		return fail("event loop", r);
	r = local_names_new(&d->names, d->event);
	if (r < 0)
		return fail("event loop", r);
	/* systemd sets it where the unit has a store (since version 254; for older ones the unit file does). */
	if (!d->options->to_stdout && getenv("FDSTORE")) {
		r = handover_open(&from, &d->checkpoint, d->boot);
		if (r < 0)
			return fail("checkpoint", r);
	}
	status = start_streams(d, &from);
	if (status != DAEMON_OK)
		return status;
	r = consumer_watch(d->consumer);
	if (r < 0)
		return fail("event loop", r);
	r = daemon_start_watchdog(d);
	return r < 0 ? fail("watchdog", r) : DAEMON_OK;
}
