/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "figures.h"

#include <stdio.h>

#include "answer.h"
#include "cleanup.h"
#include "log.h"
#include "pool.h"

/* Resident memory of this process in bytes; proc(5), statm. */
static uint64_t resident_bytes(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/statm", "re");
	unsigned long long size = 0, resident = 0;

	if (!f || fscanf(f, "%llu %llu", &size, &resident) != 2)
		return 0;
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

void figures_gen(const struct figures *figures, yajl_gen gen)
{
	struct proctable *table = pipeline_table(figures->pipeline);
	struct pipeline_stats pipeline;
	struct probe_stats probe;

	pipeline_stats(figures->pipeline, &pipeline);
	probe_stats(figures->probe, &probe);
	answer_count(gen, "seq", pipeline.seq);
	answer_count(gen, "uptime_s", figures->uptime_s);
	answer_count(gen, "turn_max_us", figures->turns.max_us);
	answer_count(gen, "turn_max_cpu_us", figures->turns.max_cpu_us);
	answer_map(gen, "events");
	for (enum event_type type = 0; type < EVENT_LIVE; type++)
		answer_count(gen, event_type_name(type), pipeline.events[type]);
	yajl_gen_map_close(gen);
	answer_map(gen, "lost");
	answer_count(gen, "fork", probe.lost_fork);
	answer_count(gen, "exec", probe.lost_exec);
	answer_count(gen, "exit", probe.lost_exit);
	answer_count(gen, "error", probe.lost_error);
	answer_count(gen, "args", probe.lost_args);
	answer_count(gen, "skipped", probe.skipped);
	answer_count(gen, "untold", pipeline.untold);
	answer_count(gen, "args_shortened", pipeline.args_shortened);
	answer_count(gen, "malformed", pipeline.malformed);
	yajl_gen_map_close(gen);
	answer_map(gen, "probes");
	answer_pair(gen, "errors", probe_errors_kind(figures->probe));
	answer_count(gen, "records", pipeline.records);
	answer_count(gen, "runs", probe.runs);
	answer_count(gen, "run_time_ns", probe.run_ns);
	answer_count(gen, "ring_buffer_bytes", probe.ring_size);
	answer_count(gen, "ring_buffer_used", probe.ring_used);
	yajl_gen_map_close(gen);
	answer_map(gen, "table");
	answer_count(gen, "processes", proctable_count(table));
	answer_count(gen, "args_bytes", proctable_memory(table));
	answer_count(gen, "retained", proctable_retained(table));
	yajl_gen_map_close(gen);
	/* Each byte once: the sum is what the daemon has grown by. */
	answer_map(gen, "memory");
	answer_count(gen, "lines", line_memory());
	answer_count(gen, "table", proctable_bytes(table) - proctable_retained_bytes(table));
	answer_count(gen, "retained", proctable_retained_bytes(table));
	answer_count(gen, "pieces", pipeline.pieces_bytes);
	answer_count(gen, "pool", pool_kept());
	yajl_gen_map_close(gen);
	if (figures->journal) {
		struct journal_stats journal;

		journal_stats(figures->journal, &journal);
		answer_map(gen, "journal");
		answer_count(gen, "written", journal.written);
		answer_count(gen, "lost", journal.lost);
		answer_count(gen, "queue", journal.queue);
		answer_count(gen, "queue_peak", journal.queue_peak);
		yajl_gen_map_close(gen);
	}
	answer_count(gen, "memory_bytes", resident_bytes());
}

void figures_log(const struct figures *figures)
{
	yajl_gen gen = yajl_gen_alloc(NULL);
	const unsigned char *text;
	size_t size;

	if (!gen)
		return;
	yajl_gen_map_open(gen);
	figures_gen(figures, gen);
	yajl_gen_map_close(gen);
	if (yajl_gen_get_buf(gen, &text, &size) == yajl_gen_status_ok)
		log_info("%.*s", (int)size, text);
	yajl_gen_free(gen);
}
