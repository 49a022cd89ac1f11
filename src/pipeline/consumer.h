/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Drains the ring buffer into the pipeline: when the kernel wakes it, and by a short timer as long
 * as records keep coming, so that a storm costs no wake-up per event. The timer's pauses grow from
 * turn to turn: on a quiet machine an event is sent at once, in a storm many together. When a turn
 * after a whole pause finds nothing, the producers see that the consumer sleeps, and no timer runs.
 * After a loss the table is compared with the kernel's, between the drains.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "handover/archive.h"
#include "handover/checkpoint.h"
#include "kernel/record_source.h"
#include "pipeline/pipeline.h"
#include "pipeline/resync.h"
#include "util/cleanup.h"

struct consumer;

struct consumer_ops {
	/* After a turn. */
	void (*turned)(void *userdata);
	/* The ring cannot be read; the daemon has to end. */
	int (*failed)(void *userdata, int error);
	void (*log)(void *userdata, int level, const char *message);
};

/* All are borrowed. forks: [probes] forks. checkpoint: where the reported skipped runs are saved; NULL: nowhere. */
int consumer_new(struct consumer **ret, sd_event *event, struct pipeline *pipeline, bool forks,
		 struct checkpoint_counters *checkpoint, const struct consumer_ops *ops, void *userdata);
struct consumer *consumer_free(struct consumer *consumer);
DEFINE_CLEANUP(struct consumer *, consumer_free);

/* Continues from the counters of a daemon that crashed. */
void consumer_resume(struct consumer *consumer, const struct checkpoint_counters *left);

/* Drains the source of the previous daemon's probes, which are still attached, until consumer_set_source(). */
int consumer_set_previous(struct consumer *consumer, struct record_source *previous);
/*
 * Drains the source of our probes from now on; what they lost before is not reported. First the
 * previous source, if there is one, is drained for the last time; what both have is reported once.
 */
int consumer_set_source(struct consumer *consumer, struct record_source *source);
/* Without one the table is not corrected after a loss. */
void consumer_set_resync(struct consumer *consumer, struct resync *resync);

/* One turn: some records, then what the outputs make of them. Returns the records taken, or -errno. */
int consumer_drain(struct consumer *consumer);
/*
 * All that was recorded until now. Where a record has not been complete for a second, our own
 * source is left there; of the previous source, which may have no next time, the record is left
 * out, and reported as lost.
 */
int consumer_settle(struct consumer *consumer);
/* One turn, and the time of the next one; what the event loop does from consumer_watch on. */
int consumer_turn(struct consumer *consumer);
/* From now on the event loop drains. */
int consumer_watch(struct consumer *consumer);

/* What was reported of the source that is drained when it is written. 0 or -errno. */
int consumer_archive(struct consumer *consumer, struct archive *archive);
