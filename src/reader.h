/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads the ring buffer into the pipeline: when the kernel wakes it, and by a short timer as long as records keep coming, so
 * that a storm costs no wake-up per event. The timer's pauses grow from turn to turn: on a quiet machine an event is told
 * at once, in a storm many together. When a turn after a whole pause finds nothing, the producers are told that the reader
 * sleeps, and no timer runs. After a loss it has the table compared with the kernel's, between the drains.
 */
#ifndef EXECSNOOP_READER_H
#define EXECSNOOP_READER_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "archive.h"
#include "census.h"
#include "cleanup.h"
#include "ledger.h"
#include "pipeline.h"
#include "predecessor.h"
#include "probe.h"

struct reader;

struct reader_ops {
	/* After a turn: time to look at other things. */
	void (*turned)(void *userdata);
	/* Reading failed; the daemon cannot go on. */
	int (*failed)(void *userdata, int error);
	/* For the log. */
	void (*note)(void *userdata, int level, const char *message);
};

/* All are borrowed. forks: [probes] forks. ledger: where it notes what skipped runs were told; NULL: nowhere. */
int reader_new(struct reader **ret, sd_event *event, struct pipeline *pipeline, bool forks,
	       struct ledger_counters *ledger, const struct reader_ops *ops, void *userdata);
struct reader *reader_free(struct reader *reader);
DEFINE_CLEANUP(struct reader *, reader_free);

/* Goes on with the counters that a daemon which crashed had noted. */
void reader_resume(struct reader *reader, const struct ledger_counters *left);

/* What another daemon's probes left, to its present end. 0 or -errno. */
int reader_read_predecessor(struct reader *reader, struct predecessor *predecessor);

/*
 * Its own probes, from now on; what they lost before is not told. With a predecessor, whose probes are still attached: that one
 * is read for the last time, and what both saw is told once. 0 or -errno.
 */
int reader_set_probe(struct reader *reader, struct probe *probe, struct predecessor *predecessor);
/* Without one nothing is mended. */
void reader_set_census(struct reader *reader, struct census *census);

/* One turn: some records, then what the outputs make of them. Returns the records taken, or -errno. */
int reader_drain(struct reader *reader);
/* As many as it takes to read all that was recorded until now, or until a record has not been complete for a second. 0 or -errno. */
int reader_settle(struct reader *reader);
/* One turn, and the time of the next one; what the event loop does from reader_watch on. */
int reader_turn(struct reader *reader);
/* From now on the event loop reads. 0 or -errno. */
int reader_watch(struct reader *reader);

/* Notes of both: what was told of the probes that are attached when it is written. 0 or -errno. */
int reader_archive(struct reader *reader, struct archive *archive);

#endif
