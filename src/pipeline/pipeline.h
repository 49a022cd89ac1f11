/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records in, events out: decode, keep the table, number the events, hand them to the sinks. No
 * descriptor, no event loop, no clock of its own: a test feeds it bytes and a fake sink.
 *
 * It begins with loading: the probes are attached already and their records wait. pipeline_found() adds what runs
 * already, and then the records that wait change the table without events. Then each record makes its event:
 * pipeline_go_live(). A record of what the iterator had seen already is known by its start or exec_id, and makes none;
 * while loading it replaces what /proc had. After a crash a replay comes between the two, pipeline_replay(): records
 * that waited, over a table that was read after them, make events although the table knows what they report.
 *
 * Long arguments come in chunks before the record that they belong to (record.h), see arg_chunks.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "handover/archive.h"
#include "handover/checkpoint.h"
#include "model/environment.h"
#include "model/extras.h"
#include "model/process.h"
#include "model/proctable.h"
#include "model/redact.h"
#include "output/sink.h"
#include "output/stream.h"
#include "pipeline/dedup.h"
#include "pipeline/machine_stats.h"
#include "util/cleanup.h"

struct pipeline;

struct pipeline_config {
	uint64_t boot;	     /* process_id_format */
	bool forks;	     /* forked events */
	bool kernel_threads; /* have them in the table */
	uint64_t args_limit;
	uint64_t table_memory;
	struct stream stream;			/* whose numbers continue */
	struct checkpoint_counters *checkpoint; /* where seq and reported losses are saved; borrowed, NULL: nowhere */
	/* Not owned, may be NULL; see pipeline_set_redact for their life. */
	struct environment *environment;    /* [probes] env */
	struct redact *redact;		    /* [redact] */
	const struct extras_source *extras; /* borrowed; NULL: events have no keys on request */
};

struct pipeline_stats {
	uint64_t seq;			 /* of the last event */
	uint64_t events[EVENT_TYPE_MAX]; /* by type */
	uint64_t records;
	uint64_t lost_events, lost_forks; /* by the kernel */
	uint64_t unreported;		  /* ends of processes whose start was lost: lost too, in the stream */
	uint64_t malformed;		  /* records that decode refused; never seen on a sound machine */
	uint64_t args_shortened;	  /* execs whose arguments came incomplete */
	struct machine_stats machine;
	size_t arg_chunks_bytes; /* memory of arguments whose records have not come yet */
};

int pipeline_new(struct pipeline **ret, const struct pipeline_config *config);
struct pipeline *pipeline_free(struct pipeline *pipeline);
DEFINE_CLEANUP(struct pipeline *, pipeline_free);

struct proctable *pipeline_table(struct pipeline *pipeline);
/* The series of numbers that its events have, up to the last one. Borrowed. */
const struct stream *pipeline_stream(const struct pipeline *pipeline);
void pipeline_stats(const struct pipeline *pipeline, struct pipeline_stats *ret);

/* Sinks are borrowed, and get every event from now on, in the order they were added. */
void pipeline_add_sink(struct pipeline *pipeline, struct sink *sink);
void pipeline_remove_sink(struct pipeline *pipeline, struct sink *sink);

/* CLOCK_REALTIME - CLOCK_BOOTTIME in ns: how boot times become dates. Set at the beginning, and whenever
 * it has stepped; every process keeps the start_time that it was given first. */
void pipeline_set_epoch(struct pipeline *pipeline, int64_t offset);

/* What is masked in events from now on; the old one may be freed after. What the table holds already is masked by
 * pipeline_mask_some(), for about so much CPU time in a call, until it returns true. */
void pipeline_set_redact(struct pipeline *pipeline, struct redact *redact);
bool pipeline_mask_some(struct pipeline *pipeline, unsigned us);

/*
 * A process that runs already (process.source is how it was found). Live, it is announced: as `started`, or
 * `forked` where it never called exec and those are asked for. If it is in the table, only an exec that was
 * missed changes anything. 0 or -errno.
 */
int pipeline_found(struct pipeline *pipeline, const struct process *process, uint64_t boot_time);

/*
 * When the list of what runs was begun to be read, CLOCK_BOOTTIME. A process that began before and is not in the table
 * was ending then: its end is no loss.
 */
void pipeline_set_listed(struct pipeline *pipeline, uint64_t boot_time);

/* A process of the table that does not exist any more: its end was lost. */
void pipeline_gone(struct pipeline *pipeline, struct entry *entry, uint64_t boot_time);

/* The end of loading or of a replay. */
void pipeline_go_live(struct pipeline *pipeline);
/* The end of loading, where records follow that were waiting when the previous daemon crashed. */
void pipeline_replay(struct pipeline *pipeline);

/* One record. 0; -EBADMSG: malformed, counted, nothing changed; -ENOMEM. */
int pipeline_record(struct pipeline *pipeline, const void *data, size_t size);

/* What the kernel had lost by now (record_head.lost_x), and nothing that was recorded before it waits; `skipped` more,
 * by probes that could not run. */
void pipeline_loss(struct pipeline *pipeline, uint32_t lost_events, uint32_t lost_forks, uint64_t skipped,
		   uint64_t boot_time);
/* Only the latter. */
void pipeline_skipped(struct pipeline *pipeline, uint64_t skipped, uint64_t boot_time);

/* Leaves duplicates out from now on, with their chunks; NULL ends that. Borrowed. */
void pipeline_set_dedup(struct pipeline *pipeline, struct dedup *dedup);
/* The counters of loss in the records from now on begin there: they are another ring's. */
void pipeline_set_lost(struct pipeline *pipeline, uint32_t lost_events, uint32_t lost_forks);

/* Table, number of the last event, statistics, chunks: for the next daemon. On read: the pipeline is live, and what the
 * configuration masks or leaves out is masked and left out. -errno, also of the archive. */
int pipeline_archive(struct pipeline *pipeline, struct archive *archive);

/*
 * Resumes where a crashed daemon was: with the counters that it saved, and a table of the processes of that time.
 * Reported may be those that called exec and, in a snapshot, those that had begun by `shown` (CLOCK_BOOTTIME): only
 * their ends are events.
 */
void pipeline_resume(struct pipeline *pipeline, const struct checkpoint_counters *left, uint64_t shown);

/*
 * Searches along $PATH (path_search.h). The time at which the first of them ends by itself, CLOCK_BOOTTIME; 0: none is
 * open. Nothing that was recorded before boot_time waits, so it ends. They all end: what is held of them is sent.
 */
uint64_t pipeline_search_deadline(const struct pipeline *pipeline);
void pipeline_expire_searches(struct pipeline *pipeline, uint64_t boot_time);
void pipeline_stop_searches(struct pipeline *pipeline);

/* Records wait that could not be taken in time: until it is set to false, filters get less and less (budget.h). */
void pipeline_set_behind(struct pipeline *pipeline, bool behind);
/* No more records for now: the sinks write. */
void pipeline_flush(struct pipeline *pipeline);
