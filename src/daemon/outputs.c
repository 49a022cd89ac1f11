/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Socket, journal, standard output: made at the start, the journal also when the configuration is read again. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "daemon/handover.h"
#include "daemon/stats.h"
#include "util/log.h"

/* In all, for subscribers that read, while what waits in the previous daemon's ring is sent before the loop runs. */
#define DRAIN_BUDGET_MS 1000

static void on_gone(void *userdata, int error)
{
	struct daemon *d = userdata;

	if (error != EPIPE)
		log_error("standard output: %s", strerror(error));
	sd_event_exit(d->event, error == EPIPE ? DAEMON_OK : DAEMON_FAILED);
}

static int start_stdout(struct daemon *d)
{
	struct stdout_output_config config = {
		.fd = STDOUT_FILENO,
		.table = pipeline_table(d->pipeline),
		.settings = d->settings,
		.boot = d->boot,
		.stream = pipeline_stream(d->pipeline),
		.extras = local_names_source(d->names),
		.gone = on_gone,
		.userdata = d,
	};
	int r = stdout_output_new(&d->stdout_output, d->event, &config);

	if (r < 0) {
		log_error("standard output: %s", strerror(-r));
		return r;
	}
	pipeline_add_sink(d->pipeline, stdout_output_sink(d->stdout_output));
	return stdout_output_join(d->stdout_output);
}

static void resume_subscribers(struct daemon *d, const struct handover *from)
{
	int r;

	if (from->kind == HANDOVER_CRASHED)
		log_info("%u subscribers stay connected", server_resume(d->server, from->previous, from->store));
	if (from->kind != HANDOVER_CLEAN || !from->subscribers)
		return;
	r = server_archive(d->server, from->subscribers, from->store);
	if (r < 0)
		log_warning("some subscribers could not be restored: %s", strerror(-r));
}

static int start_server(struct daemon *d, const struct handover *from)
{
	struct server_config config = {
		.settings = d->settings,
		.boot = d->boot,
		.stream = pipeline_stream(d->pipeline),
		.extras = local_names_source(d->names),
		.checkpoint = d->checkpoint,
		.store = from->store,
		.previous = from->previous,
		.stats = stats_gen,
		.log = log_message,
		.userdata = d,
	};
	_cleanup_close_ int fd = -1;
	size_t passed;
	int r = fdstore_take_listening(from->store, &fd, &passed);

	if (r < 0) {
		log_error("systemd passed %zu descriptors; expected one listening stream socket", passed);
		return r;
	}
	r = server_new(&d->server, d->event, pipeline_table(d->pipeline), &config, fd);
	if (r == -EADDRINUSE)
		log_error("%s: another daemon listens there", d->settings->socket.path);
	else if (r < 0)
		log_error("%s: %s", d->settings->socket.path, strerror(-r));
	if (r < 0)
		return r;
	TAKE_FD(fd);
	pipeline_add_sink(d->pipeline, server_sink(d->server));
	resume_subscribers(d, from);
	if (from->source)
		server_set_drain_budget(d->server, DRAIN_BUDGET_MS);
	return 0;
}

static int join_journal(struct daemon *d, const struct handover *from)
{
	struct proctable *table = pipeline_table(d->pipeline);
	int r;

	if (from && from->kind == HANDOVER_CRASHED && from->previous->journal.joined) {
		journal_resume(d->journal, table, &from->previous->journal);
		return 0;
	}
	if (from && from->kind == HANDOVER_CLEAN && from->journal) {
		r = journal_archive(d->journal, table, from->journal);
		if (r == 0)
			return 0;
		log_warning("entries that waited for the journal could not be restored: %s", strerror(-r));
	}
	r = journal_join(d->journal, table);
	/* A reload continues in portions. */
	if (r == 0 && from)
		journal_write_snapshot(d->journal, UINT_MAX);
	return r;
}

int daemon_start_journal(struct daemon *d, const struct handover *from)
{
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	struct journal_config config = {
		.queue = d->settings->journal.queue,
		.args_limit = d->settings->journal.args_limit,
		.keys = d->settings->journal.output.fields,
		.folds = d->settings->journal.output.path_search == PATH_SEARCH_FOLD,
		.snapshot = d->settings->journal.snapshot,
		.checkpoint = d->checkpoint ? &checkpoint_page(d->checkpoint)->journal : NULL,
		.boot = d->boot,
		.stream = pipeline_stream(d->pipeline)->id,
		.extras = local_names_source(d->names),
	};
	int r = settings_filter(&d->settings->journal.output, &filter);

	if (r < 0)
		return r;
	config.filter = filter;
	r = journal_new(&d->journal, &config);
	if (r < 0) {
		log_error("journal: %s", strerror(-r));
		return r;
	}
	TAKE_PTR(filter);
	pipeline_add_sink(d->pipeline, journal_sink(d->journal));
	return join_journal(d, from);
}

int daemon_start_outputs(struct daemon *d, const struct handover *from)
{
	int r;

	if (d->options->to_stdout)
		return start_stdout(d);
	if (d->settings->socket.enabled) {
		r = start_server(d, from);
		if (r < 0)
			return r;
	}
	server_discard_listener(from->store, from->previous); /* where it was not taken over */
	return d->settings->journal.enabled ? daemon_start_journal(d, from) : 0;
}
