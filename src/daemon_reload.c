/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Another configuration while it runs: all of it or nothing, but for what takes a restart. */
#include <string.h>

#include "daemon_parts.h"
#include "log.h"

#define RELOAD_MS 100 /* for a journal that is switched off, to take what is queued */

/* What takes a restart to change, said once a reload. */
static void tell_unchanged(const struct settings *old, const struct settings *new)
{
	if (old->probes.errors != new->probes.errors || old->probes.ring_buffer != new->probes.ring_buffer ||
	    old->probes.forks != new->probes.forks || old->probes.kernel_threads != new->probes.kernel_threads ||
	    old->probes.args_limit != new->probes.args_limit || !string_list_equal(old->probes.env, new->probes.env) ||
	    strcmp(old->probes.btf ? old->probes.btf : "", new->probes.btf ? new->probes.btf : "") != 0)
		log_warning("[probes]: changes take a restart, but for table_memory");
	if (strcmp(old->socket.path, new->socket.path) != 0 || old->socket.enabled != new->socket.enabled)
		log_warning("[socket]: enabled and path take a restart to change");
}

/* On, off, or as it is with what is new. */
static int reload_journal(struct daemon *d, struct filter **filter)
{
	const struct settings *settings = d->settings;

	if (d->options->to_stdout)
		return 0;
	if (settings->journal.enabled && !d->journal)
		return daemon_start_journal(d);
	if (!settings->journal.enabled && d->journal) {
		pipeline_remove_sink(d->pipeline, journal_sink(d->journal));
		d->journal = journal_free(d->journal, RELOAD_MS);
		if (d->ledger)
			ledger_page(d->ledger)->journal = (struct ledger_stream){};
	}
	if (d->journal) {
		journal_configure(d->journal, settings->journal.output.fields, TAKE_PTR(*filter));
		journal_set_queue(d->journal, settings->journal.queue);
	}
	return 0;
}

int daemon_reload(struct daemon *d)
{
	_cleanup_(settings_free_p) struct settings *settings = NULL, *old = NULL;
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	_cleanup_(redact_free_p) struct redact *redact = NULL, *old_redact = NULL;
	int r = daemon_load_settings(&settings, d->options);

	if (r < 0)
		return r;
	r = settings_filter(&settings->journal.output, &filter);
	if (r == 0)
		r = daemon_make_redact(&redact, settings);
	if (r == 0 && d->console && !settings_output_equal(&d->settings->console.output, &settings->console.output))
		r = console_configure(d->console, settings);
	if (r < 0) {
		log_error("the filters and patterns: %s", strerror(-r));
		return r;
	}
	if (d->server) {
		r = server_reload(d->server, settings);
		if (r < 0)
			return r;
	}
	/* Now it is in force. */
	daemon_set_log_level(d->options, settings);
	tell_unchanged(d->settings, settings);
	old_redact = d->redact;
	d->redact = TAKE_PTR(redact);
	pipeline_set_redact(d->pipeline, d->redact);
	proctable_set_memory(pipeline_table(d->pipeline), settings->probes.table_memory);
	old = d->settings;
	d->settings = TAKE_PTR(settings);
	r = reload_journal(d, &filter);
	if (r < 0)
		log_error("the journal cannot be turned on: %s", strerror(-r));
	return 0;
}
