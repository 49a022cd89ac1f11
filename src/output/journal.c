/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "output/journal.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>

#include "model/event_cut.h"
#include "output/search_hold.h"
#include "util/budget.h"
#include "util/clock.h"

struct journal {
	struct sink sink;
	struct journal_writer *writer;
	key_set keys;
	struct filter *filter; /* may be NULL */
	struct budget budget;
	struct budget_share share;
	bool snapshot;
	struct proctable_cursor *cursor; /* of the snapshot that is under way; NULL: none */
	uint64_t boot;
	struct extras_source *extras; /* may be NULL */
	struct proctable *table;      /* NULL: it has not joined */
	struct joined since;
	struct checkpoint_stream *checkpoint; /* not owned; may be NULL */
	bool filter_stale;		      /* it does not know all of its tree: there was no memory */
	struct journal_builder builder;
	uint64_t args_limit;
	bool folds;
	struct search_hold hold; /* of struct journal_entry */
	uint64_t held_last_seq;	 /* of all that was held */
};

/* Errors that wait for the end of a search along $PATH. */

/* entry: it was held, and is sent; NULL: none. */
static void set_held(struct journal *journal, struct journal_entry *entry)
{
	const struct journal_entry *first = search_hold_first(&journal->hold);
	const struct journal_held held = {
		.size = journal->hold.memory,
		.count = journal->hold.count,
		.first_seq = first ? first->loss.first_seq : 0,
		.last_seq = journal->held_last_seq,
	};

	journal_writer_set_held(journal->writer, &held, entry);
}

/* entry NULL: there was no memory for it. */
static void hold(struct journal *journal, unsigned search, struct journal_entry *entry, const struct loss *loss)
{
	bool is_held = entry && journal_writer_has_room(journal->writer, entry->size) &&
		       search_hold_put(&journal->hold, search, entry, entry->size) == 0;

	if (is_held) {
		journal->held_last_seq = loss->last_seq;
		set_held(journal, NULL);
		return;
	}
	free(entry);
	journal_writer_offer(journal->writer, NULL, loss);
}

static bool sink_folds(const struct sink *sink)
{
	const struct journal *journal = (const struct journal *)((const char *)sink - offsetof(struct journal, sink));

	return journal->folds && journal->table;
}

static struct journal *journal_of(struct sink *sink)
{
	return (struct journal *)((char *)sink - offsetof(struct journal, sink));
}

/* An earlier error of the search is not held any more: what follows represents it. */
static void drop_held(struct journal *journal, unsigned search)
{
	struct journal_entry *entry = search_hold_take(&journal->hold, search);

	if (entry)
		set_held(journal, NULL);
	free(entry);
}

static void sink_search_end(struct sink *sink, unsigned search, bool found)
{
	struct journal *journal = journal_of(sink);

	if (found)
		drop_held(journal, search);
	else if (search_hold_item(&journal->hold, search))
		set_held(journal, search_hold_take(&journal->hold, search));
}

static struct loss loss_of(const struct event *event)
{
	return (struct loss){
		.count = event_missing(event),
		.first_seq = event->seq,
		.last_seq = event->seq,
		.time = event->time,
	};
}

static void journal_write(struct journal *journal, const struct event *event)
{
	struct loss loss = loss_of(event);
	const bool is_held = journal->folds && event->search != 0;
	struct journal_entry *entry = NULL;
	struct event_cut cut;

	if (is_held)
		drop_held(journal, event->search);
	if (!event->snapshot && journal_writer_drops(journal->writer, &loss))
		return;
	event = event_cut_args(event, journal->keys, journal->args_limit, &cut);
	if (journal_entry_new(&entry, &journal->builder, event, journal->keys) == 0) {
		entry->loss = loss;
		entry->is_exempt = event->snapshot;
	}
	if (is_held)
		hold(journal, event->search, entry, &loss);
	else
		journal_writer_offer(journal->writer, entry, &loss);
}

static void follow(struct journal *journal)
{
	journal->filter_stale = journal->filter && filter_follow(journal->filter, journal->table) < 0;
}

static void sink_event(struct sink *sink, const struct event *event, struct encoder *encoder)
{
	struct journal *journal = journal_of(sink);
	enum filter_result r = FILTER_YES;
	const struct loss loss = loss_of(event);

	if (!journal->table || event->type == EVENT_LIVE)
		return;
	if (journal->filter_stale)
		follow(journal);
	if (event->type == EVENT_EXITED && !event_was_announced(event, &journal->since))
		return;
	if (journal->filter)
		r = filter_ask(journal->filter, event, &journal->share);
	if (r == FILTER_MORE)
		journal_writer_offer(journal->writer, NULL, &loss);
	else if (r == FILTER_YES)
		journal_write(journal, event);
}

static void sink_flush(struct sink *sink, bool behind)
{
	budget_turn(&journal_of(sink)->budget, behind);
	journal_writer_wake(journal_of(sink)->writer);
}

static void sink_fork(struct sink *sink, const struct process *child)
{
	struct journal *journal = journal_of(sink);

	if (journal->table && journal->filter && filter_fork(journal->filter, child) < 0)
		journal->filter_stale = true;
}

static void sink_exit(struct sink *sink, const struct process *process)
{
	struct journal *journal = journal_of(sink);

	if (journal->filter)
		filter_exit(journal->filter, process);
}

static const struct sink_ops ops = {
	.event = sink_event,
	.flush = sink_flush,
	.fork = sink_fork,
	.exit = sink_exit,
	.folds = sink_folds,
	.search_end = sink_search_end,
};

int journal_new(struct journal **ret, const struct journal_config *config)
{
	struct journal_writer_config writer_config = { .queue = config->queue,
						       .boot = config->boot,
						       .stream = config->stream,
						       .send = config->send,
						       .checkpoint = config->checkpoint };
	struct journal *journal = calloc(1, sizeof(*journal));
	int r;

	if (!journal)
		return -ENOMEM;
	journal->sink.ops = &ops;
	journal->keys = keys_of_output(config->keys, config->folds);
	journal->folds = config->folds;
	journal->args_limit = config->args_limit;
	journal->snapshot = config->snapshot;
	journal->boot = config->boot;
	journal->extras = config->extras;
	journal->checkpoint = config->checkpoint;
	r = journal_writer_new(&journal->writer, &writer_config);
	if (r < 0) {
		free(journal);
		return r;
	}
	journal->filter = config->filter;
	extras_prepare(journal->extras, journal->keys);
	budget_join(&journal->share, &journal->budget, 0);
	*ret = journal;
	return 0;
}

static void send_held(struct journal *journal)
{
	struct journal_entry *held;

	while ((held = search_hold_take_first(&journal->hold)))
		set_held(journal, held);
}

void journal_stop(struct journal *journal)
{
	journal_write_snapshot(journal, UINT_MAX);
	send_held(journal);
	journal_writer_stop(journal->writer);
}

bool journal_has_ended(struct journal *journal)
{
	return journal_writer_has_ended(journal->writer);
}

struct journal *journal_free(struct journal *journal, unsigned timeout_ms)
{
	if (!journal)
		return NULL;
	journal_write_snapshot(journal, UINT_MAX);
	send_held(journal);
	journal_writer_free(journal->writer, timeout_ms);
	filter_free(journal->filter);
	journal_builder_finish(&journal->builder);
	free(journal);
	return NULL;
}

struct sink *journal_sink(struct journal *journal)
{
	return &journal->sink;
}

static void write_running(struct journal *journal, const struct entry *entry)
{
	struct extras extras = { .source = journal->extras };
	struct event event = {
		.type = EVENT_STARTED,
		.extras = &extras,
		.snapshot = true,
		.time = entry->process.start_time,
		.boot = journal->boot,
		.process = &entry->process,
		.source = entry->process.source,
		.position = journal->since.clock,
		.born = entry->born,
		.announced = entry->announced,
	};

	if (!journal->filter || filter_pass(journal->filter, &event))
		journal_write(journal, &event);
}

static void end_snapshot(struct journal *journal)
{
	journal->cursor = proctable_cursor_free(journal->cursor);
	journal_writer_set_snapshot(journal->writer, false);
}

bool journal_write_snapshot(struct journal *journal, unsigned us)
{
	uint64_t ends_us = clock_us(CLOCK_THREAD_CPUTIME_ID) + us;
	const struct entry *entry;

	while (journal->cursor) {
		entry = proctable_cursor_next(journal->cursor);
		if (entry)
			write_running(journal, entry);
		else
			end_snapshot(journal);
		if (clock_us(CLOCK_THREAD_CPUTIME_ID) >= ends_us)
			break;
	}
	journal_writer_wake(journal->writer);
	return !journal->cursor;
}

/* For the daemon that resumes after a crash. The journal writer saves what is queued. */
static void save_joined(struct journal *journal)
{
	if (!journal->checkpoint)
		return;
	journal->checkpoint->joined_ns = journal->since.boot_ns;
	journal->checkpoint->had_snapshot = journal->since.had_snapshot;
	journal->checkpoint->joined = true;
}

int journal_join(struct journal *journal, struct proctable *table)
{
	int r;

	journal->table = table;
	journal->since = (struct joined){
		.clock = proctable_clock(table),
		.had_snapshot = journal->snapshot,
		.boot_ns = clock_ns(CLOCK_BOOTTIME),
	};
	follow(journal);
	save_joined(journal);
	if (!journal->snapshot)
		return 0;
	r = proctable_cursor_new(&journal->cursor, table);
	if (r < 0)
		return r;
	journal->since.clock = proctable_cursor_clock(journal->cursor);
	journal_writer_set_snapshot(journal->writer, true);
	return 0;
}

static int read_held(struct journal *journal, struct archive *a)
{
	struct journal_entry *entry = NULL;
	unsigned search;
	int r;

	ARCHIVE(a, search);
	r = journal_entry_archive(&entry, a);
	if (r < 0)
		return r;
	if (search == 0 || search > SEARCHES_MAX || search_hold_item(&journal->hold, search))
		archive_fail(a);
	r = archive_error(a);
	if (r == 0)
		r = search_hold_put(&journal->hold, search, entry, entry->size);
	if (r < 0)
		free(entry);
	return r;
}

static int write_held(struct journal *journal, struct archive *a)
{
	unsigned search = search_hold_next(&journal->hold, 0);

	for (; search; search = search_hold_next(&journal->hold, search)) {
		struct journal_entry *entry = search_hold_item(&journal->hold, search);
		unsigned number = search;

		ARCHIVE(a, number);
		journal_entry_archive(&entry, a);
	}
	return archive_error(a);
}

static int hold_archive(struct journal *journal, struct archive *a)
{
	size_t count = journal->hold.count;

	ARCHIVE(a, journal->held_last_seq);
	archive_count(a, &count, SEARCHES_MAX);
	if (!archive_is_reading(a))
		return write_held(journal, a);
	for (size_t i = 0; i < count; i++) {
		int r = read_held(journal, a);

		if (r < 0)
			return r;
	}
	set_held(journal, NULL);
	return archive_error(a);
}

int journal_archive(struct journal *journal, struct proctable *table, struct archive *a)
{
	int r;

	journal_write_snapshot(journal, UINT_MAX);
	r = journal_writer_archive(journal->writer, a);
	if (r == 0)
		r = hold_archive(journal, a);
	joined_archive(&journal->since, a);
	save_joined(journal);
	if (archive_is_reading(a)) {
		journal->table = table;
		follow(journal);
	}
	if (r == 0)
		r = filter_archive(journal->filter, a);
	return r < 0 ? r : archive_error(a);
}

void journal_resume(struct journal *journal, struct proctable *table, const struct checkpoint_stream *previous)
{
	struct loss loss = {
		.count = previous->waiting,
		.first_seq = previous->first_seq,
		.last_seq = previous->last_seq,
		.previous = previous->previous_seq,
		.time = clock_ns(CLOCK_REALTIME),
	};

	journal->table = table;
	journal->since = (struct joined){
		.clock = proctable_clock(table),
		.had_snapshot = previous->had_snapshot,
		.resumed = true,
		.boot_ns = previous->joined_ns,
	};
	follow(journal);
	save_joined(journal);
	journal_writer_continue(journal->writer, previous->previous_seq);
	if (loss.count > 0)
		journal_writer_lost(journal->writer, &loss);
}

void journal_set_limits(struct journal *journal, size_t queue, uint64_t args_limit)
{
	journal_writer_set_queue(journal->writer, queue);
	journal->args_limit = args_limit;
}

void journal_configure(struct journal *journal, key_set keys, bool folds, struct filter *filter)
{
	journal->keys = keys_of_output(keys, folds);
	journal->folds = folds;
	extras_prepare(journal->extras, keys);
	filter_free(journal->filter);
	journal->filter = filter;
	if (journal->table)
		follow(journal);
}

void journal_stats(struct journal *journal, struct journal_stats *ret)
{
	journal_writer_stats(journal->writer, ret);
}
