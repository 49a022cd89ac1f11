/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads the ring buffer into the pipeline: when the kernel wakes it, and by a short timer as long as records keep coming, so
 * that a storm costs no wake-up per event. The timer's pauses grow from turn to turn: on a quiet machine an event is told
 * at once, in a storm many together. When a turn after a whole pause finds nothing, the producers are told that the reader
 * sleeps, and no timer runs. After a loss it has the table compared with the kernel's, between the drains.
 */
#ifndef EXECSNOOP_CONSUMER_H
#define EXECSNOOP_CONSUMER_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "handover/archive.h"
#include "handover/checkpoint.h"
#include "kernel/predecessor.h"
#include "kernel/probe.h"
#include "pipeline/pipeline.h"
#include "pipeline/resync.h"
#include "util/cleanup.h"

struct consumer;

struct consumer_ops {
	/* After a turn: time to look at other things. */
	void (*turned)(void *userdata);
	/* Reading failed; the daemon cannot go on. */
	int (*failed)(void *userdata, int error);
	/* For the log. */
	void (*note)(void *userdata, int level, const char *message);
};

/* All are borrowed. forks: [probes] forks. checkpoint: where it notes what skipped runs were told; NULL: nowhere. */
int consumer_new(struct consumer **ret, sd_event *event, struct pipeline *pipeline, bool forks,
		 struct checkpoint_counters *checkpoint, const struct consumer_ops *ops, void *userdata);
struct consumer *consumer_free(struct consumer *consumer);
DEFINE_CLEANUP(struct consumer *, consumer_free);

/* Goes on with the counters that a daemon which crashed had noted. */
void consumer_resume(struct consumer *consumer, const struct checkpoint_counters *left);

/* What another daemon's probes left, to its present end. 0 or -errno. */
int consumer_read_predecessor(struct consumer *consumer, struct predecessor *predecessor);

/*
 * Its own probes, from now on; what they lost before is not told. With a predecessor, whose probes are still attached: that one
 * is read for the last time, and what both saw is told once. 0 or -errno.
 */
int consumer_set_probe(struct consumer *consumer, struct probe *probe, struct predecessor *predecessor);
/* Without one nothing is mended. */
void consumer_set_resync(struct consumer *consumer, struct resync *resync);

/* One turn: some records, then what the outputs make of them. Returns the records taken, or -errno. */
int consumer_drain(struct consumer *consumer);
/* As many as it takes to read all that was recorded until now, or until a record has not been complete for a second. 0 or -errno. */
int consumer_settle(struct consumer *consumer);
/* One turn, and the time of the next one; what the event loop does from consumer_watch on. */
int consumer_turn(struct consumer *consumer);
/* From now on the event loop reads. 0 or -errno. */
int consumer_watch(struct consumer *consumer);

/* Notes of both: what was told of the probes that are attached when it is written. 0 or -errno. */
int consumer_archive(struct consumer *consumer, struct archive *archive);

#endif
