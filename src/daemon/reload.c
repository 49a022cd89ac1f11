/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration: read at the start, and again while the daemon runs. Then all of it takes effect or nothing, but
 * for what takes a restart.
 *
 * A reload may take long, and the loop does not wait for it: a thread reads the configuration, and what grows with the
 * number of processes and subscribers is done in portions. READY=1 is its end. What asks for another one is served
 * after it.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "daemon/daemon_internal.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/notify.h"

#define PORTION_US 5000	  /* of CPU time */
#define PAUSE_US 5000	  /* between two portions, for others */
#define SLOW_US 2000000	  /* of reading the configuration */
#define END_MS 100	  /* at the end of the daemon */
#define JOURNAL_US 500000 /* for a journal that is switched off, to take what is queued */

int daemon_load_settings(struct settings **ret, const struct daemon_options *options, settings_complain complain,
			 void *userdata)
{
	return settings_load(ret, options->config ? options->config : CONFIG_FILE, options->config != NULL, complain,
			     userdata);
}

void daemon_set_log_level(const struct daemon_options *options, const struct settings *settings)
{
	log_set_level(options->verbose ? LOG_DEBUG : settings->log.level);
}

int daemon_make_redact(struct redact **ret, const struct settings *settings)
{
	return redact_new(ret, (const char *const *)settings->redact.options,
			  (const char *const *)settings->redact.pattern);
}

static void warn_unchanged(void *userdata, const char *section, const char *name, const char *in_force,
			   const char *asked)
{
	const struct daemon *d = userdata;

	if (!d->options->to_stdout || strcmp(section, "socket") != 0)
		log_warning("[%s] %s: the change from \"%s\" to \"%s\" takes effect after a restart", section, name,
			    in_force, asked);
}

/* On, off, or as it is with what is new. */
static int reload_journal(struct daemon *d, struct filter **filter)
{
	const struct settings *settings = d->settings;

	if (d->options->to_stdout)
		return 0;
	if (settings->journal.enabled && !d->journal)
		return daemon_start_journal(d, NULL);
	if (!settings->journal.enabled && d->journal) {
		pipeline_remove_sink(d->pipeline, journal_sink(d->journal));
		journal_stop(d->journal);
		d->reload.stopped = TAKE_PTR(d->journal);
		d->reload.stop_ends_us = clock_us(CLOCK_MONOTONIC) + JOURNAL_US;
	}
	if (d->journal) {
		journal_configure(d->journal, settings->journal.output.fields,
				  settings->journal.output.path_search == PATH_SEARCH_FOLD, TAKE_PTR(*filter));
		journal_set_limits(d->journal, settings->journal.queue, settings->journal.args_limit);
	}
	return 0;
}

/* 0; -errno: nothing has changed, and the reason was logged. */
static int apply(struct daemon *d, struct loaded_settings *loaded)
{
	_cleanup_(redact_free_p) struct redact *old_redact = NULL;
	struct settings *settings = loaded->settings;
	int r = 0;

	if (d->stdout_output &&
	    !settings_output_equal(&d->settings->stdout_output.output, &settings->stdout_output.output))
		r = stdout_output_configure(d->stdout_output, settings);
	if (r < 0) {
		log_error("standard output: %s", strerror(-r));
		return r;
	}
	if (d->server) {
		r = server_reload(d->server, settings);
		if (r < 0)
			return r;
	}
	/* Now it is in force. */
	daemon_set_log_level(d->options, settings);
	settings_compare(d->boot_settings, settings, warn_unchanged, d);
	old_redact = d->redact;
	d->redact = TAKE_PTR(loaded->redact);
	pipeline_set_redact(d->pipeline, d->redact);
	proctable_set_memory(pipeline_table(d->pipeline), settings->probes.table_memory);
	/* That of the start stays: of what takes a restart, it is what is in force. */
	if (d->settings != d->boot_settings)
		settings_free(d->settings);
	d->settings = TAKE_PTR(loaded->settings);
	local_names_reload(d->names);
	r = reload_journal(d, &loaded->journal_filter);
	if (r < 0)
		log_error("the journal cannot be enabled: %s", strerror(-r));
	return 0;
}

static void begin(struct daemon *d);

/* Of this one: what the service manager waits for may be the next one. */
static void end(struct daemon *d)
{
	d->reload.under_way = false;
	if (!d->reload.again) {
		notify_send("READY=1");
		return;
	}
	d->reload.again = false;
	begin(d);
}

static void fail(struct daemon *d)
{
	log_error("configuration not reloaded; the previous one remains in effect");
	end(d);
}

static void free_stopped_journal(struct daemon *d)
{
	struct journal_stats stats;

	journal_stats(d->reload.stopped, &stats);
	if (stats.queue > 0)
		log_warning("the journal was switched off before it took %zu bytes of entries", stats.queue);
	d->reload.stopped = journal_free(d->reload.stopped, 0);
	if (d->checkpoint)
		checkpoint_page(d->checkpoint)->journal = (struct checkpoint_stream){};
}

/* A stopped journald takes nothing. */
static bool journal_has_stopped(struct daemon *d)
{
	if (!d->reload.stopped)
		return true;
	if (!journal_has_ended(d->reload.stopped) && clock_us(CLOCK_MONOTONIC) < d->reload.stop_ends_us)
		return false;
	free_stopped_journal(d);
	return true;
}

/* In portions, and with nothing that is to be masked. */
static bool journal_has_begun(struct daemon *d, bool masked)
{
	return masked && (!d->journal || journal_write_snapshot(d->journal, PORTION_US));
}

static int on_portion(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct daemon *d = userdata;
	bool masked = pipeline_mask_some(d->pipeline, PORTION_US);
	bool begun = journal_has_begun(d, masked), stopped = journal_has_stopped(d);
	int r;

	if (begun && stopped && !(d->server && server_is_reloading(d->server))) {
		log_info("configuration reloaded");
		end(d);
		return 0;
	}
	r = sd_event_source_set_time_relative(source, PAUSE_US);
	return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int arm(struct daemon *d)
{
	int r = d->reload.timer
			? sd_event_source_set_time_relative(d->reload.timer, 0)
			: sd_event_add_time_relative(d->event, &d->reload.timer, CLOCK_MONOTONIC, 0, 1, on_portion, d);

	return r < 0 ? r : sd_event_source_set_enabled(d->reload.timer, SD_EVENT_ONESHOT);
}

static void on_loaded(void *userdata, struct loaded_settings *loaded)
{
	struct daemon *d = userdata;
	int r = loaded->settings ? apply(d, loaded) : -EINVAL;

	d->reload.loader = settings_loader_free(d->reload.loader);
	if (r < 0) {
		fail(d);
		return;
	}
	r = arm(d);
	if (r < 0)
		sd_event_exit(d->event, DAEMON_FAILED);
}

static void begin(struct daemon *d)
{
	int r = settings_loader_new(&d->reload.loader, d->event, d->options, on_loaded, d);

	d->reload.under_way = true;
	d->reload.began_us = clock_us(CLOCK_MONOTONIC);
	if (r < 0) {
		log_error("reading the configuration: %s", strerror(-r));
		fail(d);
	}
}

/* Where a file system or a server does not answer, that is for ever; events continue. */
static void wait_for_last(struct daemon *d)
{
	uint64_t since_us = clock_us(CLOCK_MONOTONIC) - d->reload.began_us;

	d->reload.again = true;
	if (d->reload.loader && since_us > SLOW_US)
		log_warning("the last reload has been reading the configuration for %llu s; the next one waits for it",
			    (unsigned long long)since_us / 1000000);
}

void daemon_reload(struct daemon *d)
{
	notify_send("RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)clock_us(CLOCK_MONOTONIC));
	if (d->reload.under_way)
		wait_for_last(d);
	else
		begin(d);
}

void daemon_end_reload(struct daemon *d)
{
	d->reload.loader = settings_loader_free(d->reload.loader);
	d->reload.timer = sd_event_source_disable_unref(d->reload.timer);
	for (unsigned ms = 0; d->reload.stopped && !journal_has_ended(d->reload.stopped) && ms < END_MS; ms++)
		usleep(1000);
	if (d->reload.stopped)
		free_stopped_journal(d);
}
