/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/stats.h"

#include <stdio.h>

#include "kernel/record_source.h"
#include "output/reply.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/pool.h"

/* Resident memory of this process in bytes; proc(5), statm. */
static uint64_t resident_bytes(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/statm", "re");
	unsigned long long size = 0, resident = 0;

	if (!f || fscanf(f, "%llu %llu", &size, &resident) != 2)
		return 0;
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

void stats_gen(const struct daemon_stats *figures, yajl_gen gen)
{
	struct proctable *table = pipeline_table(figures->pipeline);
	struct pipeline_stats pipeline;
	const struct record_source *source = probe_source(figures->probe);
	const __u32 *lost = source->shared->lost_by_kind;
	struct program_stats programs = record_source_program_stats(source);

	pipeline_stats(figures->pipeline, &pipeline);
	reply_count(gen, "seq", pipeline.seq);
	reply_count(gen, "uptime_s", figures->uptime_s);
	reply_count(gen, "turn_max_us", figures->turns.max_us);
	reply_count(gen, "turn_max_cpu_us", figures->turns.max_cpu_us);
	reply_map(gen, "events");
	for (enum event_type type = 0; type < EVENT_LIVE; type++)
		reply_count(gen, event_type_name(type), pipeline.events[type]);
	yajl_gen_map_close(gen);
	reply_map(gen, "lost");
	reply_count(gen, "fork", lost[RECORD_FORK]);
	reply_count(gen, "exec", lost[RECORD_EXEC]);
	reply_count(gen, "exit", lost[RECORD_EXIT]);
	reply_count(gen, "error", lost[RECORD_ERROR]);
	reply_count(gen, "args", (uint64_t)lost[RECORD_ARGS] + lost[RECORD_ENV]);
	reply_count(gen, "skipped", programs.skipped);
	reply_count(gen, "untold", pipeline.unreported);
	reply_count(gen, "args_shortened", pipeline.args_shortened);
	reply_count(gen, "malformed", pipeline.malformed);
	yajl_gen_map_close(gen);
	reply_map(gen, "probes");
	reply_pair(gen, "errors", probe_errors_kind(figures->probe));
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
	if (figures->journal) {
		struct journal_stats journal;

		journal_stats(figures->journal, &journal);
		reply_map(gen, "journal");
		reply_count(gen, "written", journal.written);
		reply_count(gen, "lost", journal.lost);
		reply_count(gen, "queue", journal.queue);
		reply_count(gen, "queue_peak", journal.queue_peak);
		yajl_gen_map_close(gen);
	}
	reply_count(gen, "memory_bytes", resident_bytes());
}

void stats_log(const struct daemon_stats *figures)
{
	yajl_gen gen = yajl_gen_alloc(NULL);
	const unsigned char *text;
	size_t size;

	if (!gen)
		return;
	yajl_gen_map_open(gen);
	stats_gen(figures, gen);
	yajl_gen_map_close(gen);
	if (yajl_gen_get_buf(gen, &text, &size) == yajl_gen_status_ok)
		log_info("%.*s", (int)size, text);
	yajl_gen_free(gen);
}
