/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration: read at the start, and again while the daemon runs. Then all of it takes effect or nothing, but
 * for what takes a restart. */
#include <string.h>

#include "config.h"
#include "daemon/daemon_internal.h"
#include "util/log.h"

#define RELOAD_MS 100 /* for a journal that is switched off, to take what is queued */

int daemon_load_settings(struct settings **ret, const struct daemon_options *options)
{
	return settings_load(ret, options->config ? options->config : CONFIG_FILE, options->config != NULL, log_message,
			     NULL);
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
		d->journal = journal_free(d->journal, RELOAD_MS);
		if (d->checkpoint)
			checkpoint_page(d->checkpoint)->journal = (struct checkpoint_stream){};
	}
	if (d->journal) {
		journal_configure(d->journal, settings->journal.output.fields,
				  settings->journal.output.path_search == PATH_SEARCH_FOLD, TAKE_PTR(*filter));
		journal_set_limits(d->journal, settings->journal.queue, settings->journal.args_limit);
	}
	return 0;
}

int daemon_reload(struct daemon *d)
{
	_cleanup_(settings_free_p) struct settings *settings = NULL;
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	_cleanup_(redact_free_p) struct redact *redact = NULL, *old_redact = NULL;
	int r = daemon_load_settings(&settings, d->options);

	if (r < 0)
		return r;
	r = settings_filter(&settings->journal.output, &filter);
	if (r == 0)
		r = daemon_make_redact(&redact, settings);
	if (r == 0 && d->stdout_output &&
	    !settings_output_equal(&d->settings->stdout_output.output, &settings->stdout_output.output))
		r = stdout_output_configure(d->stdout_output, settings);
	if (r < 0) {
		log_error("filters and patterns: %s", strerror(-r));
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
	d->redact = TAKE_PTR(redact);
	pipeline_set_redact(d->pipeline, d->redact);
	proctable_set_memory(pipeline_table(d->pipeline), settings->probes.table_memory);
	/* That of the start stays: of what takes a restart, it is what is in force. */
	if (d->settings != d->boot_settings)
		settings_free(d->settings);
	d->settings = TAKE_PTR(settings);
	local_names_reload(d->names);
	r = reload_journal(d, &filter);
	if (r < 0)
		log_error("the journal cannot be enabled: %s", strerror(-r));
	return 0;
}
