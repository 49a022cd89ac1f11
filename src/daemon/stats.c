/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/stats.h"

#include <stdio.h>

#include "config.h"
#include "daemon/daemon_internal.h"
#include "kernel/record_source.h"
#include "output/reply.h"
#include "output/stream.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/notify.h"
#include "util/pool.h"

#define STATUS_PAUSE_US 10000000 /* between two STATUS= messages */

/* Resident memory of this process in bytes; proc(5), statm. 0: the file cannot be opened. */
static uint64_t resident_bytes(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/statm", "re");
	unsigned long long size = 0, resident = 0;

	if (!f || fscanf(f, "%llu %llu", &size, &resident) != 2)
		return 0;
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void gen_lost(const struct pipeline_stats *pipeline, const __u32 *lost, uint64_t skipped, yajl_gen gen)
{
	reply_map(gen, "lost");
	reply_count(gen, "fork", lost[RECORD_FORK]);
	reply_count(gen, "exec", lost[RECORD_EXEC]);
	reply_count(gen, "exit", lost[RECORD_EXIT]);
	reply_count(gen, "error", lost[RECORD_ERROR]);
	reply_count(gen, "args", (uint64_t)lost[RECORD_ARGS] + lost[RECORD_ENV]);
	reply_count(gen, "skipped", skipped);
	reply_count(gen, "untold", pipeline->unreported);
	reply_count(gen, "args_shortened", pipeline->args_shortened);
	reply_count(gen, "malformed", pipeline->malformed);
	yajl_gen_map_close(gen);
}

static void gen_journal(const struct daemon *d, yajl_gen gen)
{
	struct journal_stats journal;

	journal_stats(d->journal, &journal);
	reply_map(gen, "journal");
	reply_count(gen, "written", journal.written);
	reply_count(gen, "lost", journal.lost);
	reply_count(gen, "queue", journal.queue);
	reply_count(gen, "queue_peak", journal.queue_peak);
	if (journal.last_seq > 0)
		stream_gen(pipeline_stream(d->pipeline), journal.last_seq, gen);
	yajl_gen_map_close(gen);
}

void stats_gen(void *daemon, yajl_gen gen)
{
	const struct daemon *d = daemon;
	struct proctable *table = pipeline_table(d->pipeline);
	struct pipeline_stats pipeline;
	const struct record_source *source = probe_source(d->probe);
	struct program_stats programs = record_source_program_stats(source);
	uint64_t resident;

	pipeline_stats(d->pipeline, &pipeline);
	reply_pair(gen, "version", PACKAGE_VERSION);
	reply_count(gen, "seq", pipeline.seq);
	reply_count(gen, "uptime_s", (clock_us(CLOCK_MONOTONIC) - d->started_us) / 1000000);
	reply_count(gen, "cpu_ns", clock_ns(CLOCK_PROCESS_CPUTIME_ID));
	reply_count(gen, "turn_max_us", d->turns.max_us);
	reply_count(gen, "turn_max_cpu_us", d->turns.max_cpu_us);
	reply_map(gen, "events");
	for (enum event_type type = 0; type < EVENT_LIVE; type++)
		reply_count(gen, event_type_name(type), pipeline.events[type]);
	yajl_gen_map_close(gen);
	reply_text(gen, "machine");
	machine_stats_gen(&pipeline.machine, gen);
	gen_lost(&pipeline, source->shared->lost_by_kind, programs.skipped, gen);
	reply_map(gen, "probes");
	reply_pair(gen, "errors", probe_errors_kind(d->probe));
	reply_count(gen, "records", pipeline.records);
	reply_count(gen, "runs", programs.runs);
	reply_count(gen, "run_time_ns", programs.run_ns);
	reply_count(gen, "ring_buffer_bytes", ringbuf_size(source->ring));
	reply_count(gen, "ring_buffer_used", ringbuf_used(source->ring));
	yajl_gen_map_close(gen);
	reply_map(gen, "table");
	reply_count(gen, "processes", proctable_count(table));
	reply_count(gen, "args_bytes", proctable_memory(table));
	reply_count(gen, "retained", proctable_retained(table));
	yajl_gen_map_close(gen);
	/* Each byte once: the sum is what the daemon has grown by. */
	reply_map(gen, "memory");
	reply_count(gen, "lines", line_memory());
	reply_count(gen, "table", proctable_bytes(table) - proctable_retained_bytes(table));
	reply_count(gen, "retained", proctable_retained_bytes(table));
	reply_count(gen, "pieces", pipeline.arg_chunks_bytes);
	reply_count(gen, "pool", pool_free_bytes());
	yajl_gen_map_close(gen);
	if (d->journal)
		gen_journal(d, gen);
	resident = resident_bytes();
	if (resident > 0)
		reply_count(gen, "memory_bytes", resident);
}

void stats_log(void *daemon)
{
	yajl_gen gen = yajl_gen_alloc(NULL);
	const unsigned char *text;
	size_t size;

	if (!gen)
		return;
	yajl_gen_map_open(gen);
	stats_gen(daemon, gen);
	yajl_gen_map_close(gen);
	if (yajl_gen_get_buf(gen, &text, &size) == yajl_gen_status_ok)
		log_info("%.*s", (int)size, text);
	yajl_gen_free(gen);
}

void stats_notify(void *daemon)
{
	struct daemon *d = daemon;
	struct pipeline_stats stats;
	uint64_t now = clock_us(CLOCK_MONOTONIC);

	pipeline_stats(d->pipeline, &stats);
	if (stats.seq == d->status_seq || now - d->status_us < STATUS_PAUSE_US)
		return;
	d->status_us = now;
	d->status_seq = stats.seq;
	notify_send("STATUS=%zu processes; %llu started, %llu exited, %llu failed, %llu lost",
		    proctable_count(pipeline_table(d->pipeline)), (unsigned long long)stats.events[EVENT_STARTED],
		    (unsigned long long)stats.events[EVENT_EXITED], (unsigned long long)stats.events[EVENT_ERROR],
		    (unsigned long long)stats.lost_events);
}
