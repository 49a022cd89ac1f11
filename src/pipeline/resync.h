/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes the table agree with the kernel: which processes run, by the kernel's own list, and what
 * they run, by /proc. At the start all at once; after a loss in steps, between the drains of the
 * ring buffer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/ringbuf.h"
#include "kernel/task_list.h"
#include "pipeline/pipeline.h"
#include "settings/settings.h"
#include "util/cleanup.h"

struct probe;
struct resync;

/* All is borrowed. The resync is a sink of the pipeline, which must outlive it. */
struct resync_config {
	const struct ringbuf *ring;
	int (*list_tasks)(struct probe *probe, struct task_list **ret); /* probe_list_tasks() */
	struct probe *probe;
	struct pipeline *pipeline;
	const struct settings *settings;
};
int resync_new(struct resync **ret, const struct resync_config *config);
struct resync *resync_free(struct resync *resync);
DEFINE_CLEANUP(struct resync *, resync_free);

/* At the start, before the pipeline is live: adds all processes that were born before
 * (CLOCK_BOOTTIME), parents first. */
int resync_load(struct resync *resync, uint64_t before);

/* Begins to compare; does nothing if that is under way. */
int resync_begin(struct resync *resync);
bool resync_is_under_way(const struct resync *resync);

/* It has nothing to do until more records are drained. */
bool resync_waits(const struct resync *resync);

enum {
	RESYNC_AGAIN = 1, /* it is over, and one more is wanted: an exec or an end was under way */
};

/* Continues for some milliseconds at most, after a drain. 0, RESYNC_AGAIN, or -errno (it is over
 * then; what was corrected stays so). */
int resync_step(struct resync *resync, uint64_t boot_time);
