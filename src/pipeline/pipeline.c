/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One record in, at most two events out (a loss before it, and its own).
 *
 * Numbers: every event but snapshot lines gets the next seq, before any filter. An exit is an event only if
 * a reader can know of the process: by an event, or by a snapshot that was begun while it was in the
 * table. So a process that never execs is silent (unless forks = yes); and where only snapshots had it, its end
 * has no number: in streams that had no such snapshot it would be missing.
 *
 * Time: a process keeps the start_time that it was given when it became known; its end_time is that plus the
 * time it ran by the boot clock, so that they agree to the nanosecond whatever the clock did meanwhile. An
 * event's own time is by the clock of now.
 */
#include <errno.h>

#include "pipeline/pipeline_internal.h"
#include "util/clock.h"

#define ANCESTORS_SIZE (64 * (RECORD_COMM_SIZE + 1))

static bool makes_events(const struct pipeline *p)
{
	return p->mode != LOADING;
}

/* Sinks. */

/* The end of a process that only some streams know. */
static bool is_numberless(const struct event *event)
{
	return event->type == EVENT_EXITED && event->announced == 0 && !event->process->execed;
}

static void emit(struct pipeline *p, struct event *event)
{
	struct extras extras;

	extras.source = p->config.extras;
	extras.made = 0;
	event->boot = p->config.boot;
	event->seq = is_numberless(event) ? 0 : ++p->stream.last_seq;
	event->position = proctable_clock(p->table);
	event->extras = &extras;
	p->stats.events[event->type]++;
	machine_stats_event(&p->stats.machine, event);
	sinks_event(&p->sinks, event);
	/* Only now: after a crash within this the record comes again, and so does its number. */
	pipeline_write_checkpoint(p);
}

static uint64_t date(const struct pipeline *p, uint64_t boot_ns)
{
	return (uint64_t)((int64_t)boot_ns + p->epoch);
}

/* The rest of the event is set. */
static void emit_process(struct pipeline *p, struct event *event, struct entry *entry, const struct process *process,
			 uint64_t boot_time)
{
	event->time = date(p, boot_time);
	event->process = process;
	event->source = process->source;
	event->born = entry->born;
	if (!entry->announced)
		entry->announced = proctable_clock(p->table);
	event->announced = entry->announced;
	emit(p, event);
}

/* Searches along $PATH. */

static void on_search_end(void *userdata, unsigned search, bool found)
{
	sinks_search_end(&((struct pipeline *)userdata)->sinks, search, found);
}

static struct path_search_call call_of(const struct decoded *d)
{
	const struct image *image = &d->process.image;
	bool is_cut = image->incomplete & INCOMPLETE_BIT(INCOMPLETE_FILENAME);

	return (struct path_search_call){
		.tgid = d->head->tgid,
		.tid = d->caller_tid,
		.start = d->head->start,
		.time = d->head->time,
		.path = is_cut ? BYTES_NONE : image->filename,
	};
}

/* Records. */

/* A reader can know of it: by an event, or by a snapshot. */
static bool is_public(const struct pipeline *p, const struct entry *entry)
{
	return entry->announced || entry->born <= proctable_last_snapshot(p->table) || entry->process.start <= p->shown;
}

/* Ends a process: its event, if it is to have one, and its place in the table. */
static void end_process(struct pipeline *p, struct entry *entry, struct event *event, uint64_t boot_time)
{
	event->type = EVENT_EXITED;
	event->time = date(p, boot_time);
	event->process = &entry->process;
	event->born = entry->born;
	event->announced = entry->announced;
	path_search_stop(p->searches, entry->process.tgid, entry->process.start, 0);
	event->end.running_ns = boot_time > entry->process.start ? boot_time - entry->process.start : 0;
	if (makes_events(p) && is_public(p, entry))
		emit(p, event);
	sinks_exit(&p->sinks, &entry->process);
	ended_add(&p->ended, entry->process.tgid, entry->process.start);
	proctable_remove(p->table, entry);
}

/* The entry of that tgid is another process's, whose end was lost: it ended before this one began. */
static void end_stale(struct pipeline *p, uint32_t tgid, uint64_t start, uint64_t boot_time)
{
	struct entry *entry = proctable_find(p->table, tgid, 0);
	struct event event = { .source = SOURCE_RESYNC };

	if (entry && entry->process.start != start)
		end_process(p, entry, &event, boot_time);
}

/* As the table has them, which is what an exec record brings from the kernel. */
static struct bytes ancestors_of(struct pipeline *p, const struct process *process, char *buffer, size_t size)
{
	return (struct bytes){ buffer, proctable_ancestors(p->table, process, buffer, size) };
}

static int fork_record(struct pipeline *p, const struct decoded *d)
{
	struct process child = d->process;
	struct event event = { .type = EVENT_FORKED };
	char ancestors[ANCESTORS_SIZE];
	struct entry *entry;
	int r;

	path_search_stop(p->searches, child.forker, child.forker_start, d->caller_tid);
	if (child.kernel_thread && !p->config.kernel_threads)
		return 0;
	child.start_time = date(p, child.start);
	end_stale(p, child.tgid, child.start, child.start);
	child.ancestors = ancestors_of(p, &child, ancestors, sizeof(ancestors));
	r = proctable_fork(p->table, &entry, &child);
	/* A fork that waited over a crash is not reported, though the table may have found the child since. */
	if (r == PROCTABLE_E_KNOWN && p->mode == REPLAY)
		entry = proctable_find(p->table, child.tgid, child.start);
	else if (r != 0)
		return r == PROCTABLE_E_KNOWN ? 0 : r;
	else
		sinks_fork(&p->sinks, &entry->process);
	if (p->config.forks && makes_events(p))
		emit_process(p, &event, entry, &entry->process, d->head->time);
	return 0;
}

/* Is that exec known already: reported by two probes, or found in the list? */
static bool is_exec_known(const struct pipeline *p, const struct process *known, const struct process *process)
{
	if (p->mode == REPLAY || known->exec_id < process->exec_id)
		return false;
	if (known->exec_id > process->exec_id || known->source == SOURCE_PROBE)
		return true;
	/* The probe saw more than /proc has. Once reported it stays, unless the exec was not over then. */
	return makes_events(p) && !known->execing;
}

static int exec_record(struct pipeline *p, struct decoded *d)
{
	struct process *process = &d->process;
	const struct path_search_call call = call_of(d);
	struct event event = { .type = EVENT_STARTED };
	struct entry *entry;
	bool is_new;
	int r;

	p->stats.args_shortened += !enrich_args(&p->enricher, d);
	enrich_env(&p->enricher, d);
	enrich_image(&p->enricher, &process->image);
	end_stale(p, process->tgid, process->start, process->start);
	entry = proctable_find(p->table, process->tgid, process->start);
	if (entry && is_exec_known(p, &entry->process, process))
		return 0;
	path_search_succeeded(p->searches, &call, &event);
	is_new = !entry; /* its fork was lost */
	process->start_time = entry ? entry->process.start_time : date(p, process->start);
	process->exec_time = date(p, d->head->time);
	r = entry ? proctable_exec(p->table, &entry, process) : proctable_add(p->table, &entry, process);
	if (r < 0)
		return r;
	if (is_new)
		sinks_fork(&p->sinks, &entry->process);
	if (makes_events(p)) {
		/* The table may have kept less of these; this event has them all. */
		struct process whole = entry->process;

		whole.image.args = process->image.args;
		whole.image.args_truncated = process->image.args_truncated;
		whole.image.env = process->image.env;
		whole.image.incomplete = process->image.incomplete;
		emit_process(p, &event, entry, &whole, d->head->time);
	}
	return 0;
}

/* It was never in (kernel_threads = no), was ending when the list was read, is the second of two last threads
 * (bpf/lifecycle.bpf.h, probe_exit_live), or its start was lost: then its end is not reported either. */
static void unknown_exit(struct pipeline *p, const struct decoded *d)
{
	const struct process process = { .tgid = d->head->tgid, .start = d->head->start };
	bool is_event = p->config.forks || d->exit->flags & EXIT_F_EXECED;
	bool is_kept_out = d->exit->flags & EXIT_F_KTHREAD && !p->config.kernel_threads;

	path_search_stop(p->searches, process.tgid, process.start, 0);
	/* It may be in a list that was read before. */
	sinks_exit(&p->sinks, &process);
	if (makes_events(p) && is_event && !is_kept_out && process.start >= p->listed &&
	    !ended_has(&p->ended, process.tgid, process.start))
		p->unreported++;
	pipeline_write_checkpoint(p);
}

static int exit_record(struct pipeline *p, const struct decoded *d)
{
	const struct record_exit *exit = d->exit;
	struct entry *entry = proctable_find(p->table, d->head->tgid, d->head->start);
	struct event event = {
		.end = {
			.status_known = true,
			.status = exit->status,
			.cpu_known = exit->flags & EXIT_F_CPU,
			.rss_known = exit->flags & EXIT_F_RSS,
			.io_known = exit->flags & EXIT_F_IO,
			.cpu_user_ns = d->cpu_user_ns,
			.cpu_system_ns = d->cpu_system_ns,
			.max_rss_bytes = exit->max_rss_bytes,
			.read_bytes = exit->read_bytes,
			.write_bytes = exit->write_bytes,
		},
	};

	if (!entry) {
		unknown_exit(p, d);
		return 0;
	}
	event.source = entry->process.source;
	end_process(p, entry, &event, d->head->time);
	return 0;
}

static int error_record(struct pipeline *p, struct decoded *d)
{
	struct process *process = &d->process;
	const struct path_search_call call = call_of(d);
	struct entry *entry = proctable_find(p->table, process->tgid, process->start);
	struct event event = {
		.type = EVENT_ERROR,
		.time = date(p, d->head->time),
		.process = process,
		.error = d->error,
	};

	p->stats.args_shortened += !enrich_args(&p->enricher, d);
	if (d->error_flags & (ERROR_F_ARGS_FAULT | ERROR_F_ARGS_CUT)) {
		if (!process->image.args.data)
			process->image.args = BYTES("");
		process->image.args_truncated = true;
		/* They were counted only as far as they were read. */
		process->image.argc = 0;
		process->image.args_size = 0;
	}
	enrich_image(&p->enricher, &process->image);
	process->start_time = entry ? entry->process.start_time : date(p, process->start);
	if (entry) {
		process_copy_starter(process, &entry->process);
		event.born = entry->born;
		event.announced = entry->announced;
	}
	if (!makes_events(p))
		return 0;
	path_search_failed(p->searches, &call, sinks_fold(&p->sinks), &event);
	emit(p, &event);
	return 0;
}

/* Loss. */

/* Counters of 32 bits that wrap: the step between two looks is what counts. A step back is a record that was reserved
 * before a loss that another record has reported already. */
static uint32_t step(uint32_t from, uint32_t to)
{
	return (int32_t)(to - from) > 0 ? to - from : 0;
}

void pipeline_loss(struct pipeline *p, uint32_t lost_events, uint32_t lost_forks, uint64_t skipped, uint64_t boot_time)
{
	uint32_t events = step(p->lost_events, lost_events), forks = step(p->lost_forks, lost_forks);
	struct event event = { .type = EVENT_LOST, .time = date(p, boot_time), .lost.where = LOST_KERNEL };

	p->lost_events += events;
	p->lost_forks += forks;
	p->stats.lost_events += events;
	p->stats.lost_forks += forks;
	/* A lost fork is a lost event only where forks are events. */
	event.lost.count = (uint64_t)events + (p->config.forks ? forks : 0) + skipped + p->unreported;
	p->stats.unreported += p->unreported;
	p->unreported = 0;
	if (event.lost.count == 0)
		return;
	/* The event that decides may be among them. */
	path_search_stop_all(p->searches);
	if (makes_events(p))
		emit(p, &event);
}

void pipeline_skipped(struct pipeline *p, uint64_t skipped, uint64_t boot_time)
{
	pipeline_loss(p, p->lost_events, p->lost_forks, skipped, boot_time);
}

static int take_record(struct pipeline *p, struct decoded *d)
{
	switch (d->head->kind) {
	case RECORD_FORK:
		return fork_record(p, d);
	case RECORD_EXEC:
		return exec_record(p, d);
	case RECORD_EXIT:
		return exit_record(p, d);
	case RECORD_ERROR:
		return error_record(p, d);
	case RECORD_ARGS:
	case RECORD_ENV:
		return enrich_chunk(&p->enricher, d);
	}
	return 0;
}

int pipeline_record(struct pipeline *p, const void *data, size_t size)
{
	struct decoded *d = &p->decoded;
	int r = decode_record(d, data, size);

	p->stats.records++;
	if (r < 0) {
		p->stats.malformed++;
		return r;
	}
	path_search_expire(p->searches, d->head->time);
	pipeline_loss(p, d->head->lost_events, d->head->lost_forks, 0, d->head->time);
	r = p->dedup ? dedup_record(p->dedup, d) : 0;
	if (r == 0)
		r = take_record(p, d);
	enrich_drop_chunks(&p->enricher, d);
	return r < 0 ? r : 0;
}

int pipeline_new(struct pipeline **ret, const struct pipeline_config *config)
{
	_cleanup_(pipeline_free_p) struct pipeline *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->config = *config;
	p->stream = config->stream;
	r = proctable_new(&p->table, config->table_memory);
	if (r < 0)
		return r;
	r = encoder_init(&p->sinks.encoder);
	if (r < 0)
		return r;
	r = path_searches_new(&p->searches, on_search_end, p);
	if (r < 0)
		return r;
	p->enricher.environment = config->environment;
	p->enricher.redact = config->redact;
	r = enricher_init(&p->enricher, config->args_limit);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(p);
	return 0;
}

struct pipeline *pipeline_free(struct pipeline *p)
{
	if (!p)
		return NULL;
	enricher_clear(&p->enricher);
	path_searches_free(p->searches);
	encoder_destroy(&p->sinks.encoder);
	proctable_free(p->table);
	free(p);
	return NULL;
}

struct proctable *pipeline_table(struct pipeline *p)
{
	return p->table;
}

const struct stream *pipeline_stream(const struct pipeline *p)
{
	return &p->stream;
}

void pipeline_stats(const struct pipeline *p, struct pipeline_stats *ret)
{
	*ret = p->stats;
	ret->seq = p->stream.last_seq;
	ret->arg_chunks_bytes = arg_chunks_memory(p->enricher.chunks);
}

void pipeline_add_sink(struct pipeline *p, struct sink *sink)
{
	sinks_add(&p->sinks, sink);
}

void pipeline_remove_sink(struct pipeline *p, struct sink *sink)
{
	sinks_remove(&p->sinks, sink);
}

void pipeline_set_epoch(struct pipeline *p, int64_t offset)
{
	p->epoch = offset;
}

void pipeline_set_redact(struct pipeline *p, struct redact *redact)
{
	p->enricher.redact = redact;
	proctable_begin_changes(p->table);
}

struct masking {
	struct enricher *enricher;
	unsigned us;
	uint64_t ends_us; /* 0: before the first one */
};

static enum image_change mask(void *userdata, struct image *image)
{
	struct masking *masking = userdata;
	const uint64_t now = clock_us(CLOCK_THREAD_CPUTIME_ID);

	/* To find the first one may take as long, and the next call would find the same. */
	if (masking->ends_us == 0)
		masking->ends_us = now + masking->us;
	else if (now >= masking->ends_us)
		return IMAGE_LATER;
	return enrich_mask(masking->enricher, image) ? IMAGE_CHANGED : IMAGE_SAME;
}

bool pipeline_mask_some(struct pipeline *p, unsigned us)
{
	struct masking masking = { .enricher = &p->enricher, .us = us };

	return !p->enricher.redact || redact_is_empty(p->enricher.redact) ||
	       proctable_change_images(p->table, mask, &masking);
}

/* At the start, the same once more: now its arguments could be read. */
static bool completes(const struct pipeline *p, const struct process *known, const struct process *found)
{
	return p->mode == LOADING && known->exec_id == found->exec_id &&
	       known->image.incomplete & INCOMPLETE_BIT(INCOMPLETE_ARGS) && found->image.args.data;
}

int pipeline_found(struct pipeline *p, const struct process *process, uint64_t boot_time)
{
	struct process found = *process;
	struct event event = { .type = found.execed ? EVENT_STARTED : EVENT_FORKED };
	char ancestors[ANCESTORS_SIZE];
	struct entry *entry;
	int r;

	if (found.kernel_thread && !p->config.kernel_threads)
		return 0;
	end_stale(p, found.tgid, found.start, found.start);
	entry = proctable_find(p->table, found.tgid, found.start);
	if (entry && entry->process.exec_id >= found.exec_id && !completes(p, &entry->process, &found))
		return 0;
	found.start_time = entry ? entry->process.start_time : date(p, found.start);
	if (entry && entry->process.exec_id == found.exec_id)
		found.exec_time = entry->process.exec_time;
	found.ancestors = ancestors_of(p, &found, ancestors, sizeof(ancestors));
	if (found.image.env.data)
		enrich_choose(&p->enricher, &found.image, found.image.env);
	enrich_image(&p->enricher, &found.image);
	if (entry) {
		r = proctable_exec(p->table, &entry, &found);
	} else {
		r = proctable_add(p->table, &entry, &found);
		if (r == 0)
			sinks_fork(&p->sinks, &entry->process);
	}
	if (r == 0 && makes_events(p) && (found.execed || p->config.forks))
		emit_process(p, &event, entry, &entry->process, boot_time);
	return r < 0 ? r : 0;
}

void pipeline_set_listed(struct pipeline *p, uint64_t boot_time)
{
	p->listed = boot_time;
}

void pipeline_gone(struct pipeline *p, struct entry *entry, uint64_t boot_time)
{
	struct event event = { .source = SOURCE_RESYNC };

	end_process(p, entry, &event, boot_time);
}

void pipeline_replay(struct pipeline *p)
{
	p->mode = REPLAY;
}

void pipeline_go_live(struct pipeline *p)
{
	p->mode = LIVE;
}

void pipeline_set_dedup(struct pipeline *p, struct dedup *dedup)
{
	p->dedup = dedup;
}

void pipeline_set_behind(struct pipeline *p, bool behind)
{
	p->behind = behind;
}

void pipeline_flush(struct pipeline *p)
{
	arg_chunks_expire(p->enricher.chunks);
	if (!p->behind)
		arg_chunks_trim(p->enricher.chunks);
	sinks_flush(&p->sinks, p->behind);
}

uint64_t pipeline_search_deadline(const struct pipeline *p)
{
	return path_search_deadline(p->searches);
}

void pipeline_expire_searches(struct pipeline *p, uint64_t boot_time)
{
	path_search_expire(p->searches, boot_time);
}

void pipeline_stop_searches(struct pipeline *p)
{
	path_search_stop_all(p->searches);
}
