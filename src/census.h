/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes the table agree with the kernel: who runs, by the kernel's own list, and what it runs, by /proc. At the start
 * all at once; after a loss bit by bit, between two drains of the ring buffer.
 */
#ifndef EXECSNOOP_CENSUS_H
#define EXECSNOOP_CENSUS_H

#include <stdbool.h>
#include <stdint.h>

#include "cleanup.h"
#include "pipeline.h"
#include "probe.h"
#include "settings.h"

struct census;

/* probe and pipeline are borrowed; the census is a sink of the pipeline, which must outlive it. */
int census_new(struct census **ret, struct probe *probe, struct pipeline *pipeline, const struct settings *settings);
struct census *census_free(struct census *census);
DEFINE_CLEANUP(struct census *, census_free);

/* At the start, before the pipeline is live: puts everything in that was born before (CLOCK_BOOTTIME), parents first. 0 or
 * -errno. */
int census_load(struct census *census, uint64_t before);

/* Begins to compare; nothing if it is under way. 0 or -errno. */
int census_begin(struct census *census);
bool census_is_under_way(const struct census *census);

/* It has nothing to do until more records are drained. */
bool census_waits(const struct census *census);

enum {
	CENSUS_AGAIN = 1, /* it is over, and one more is wanted: an exec or an end was under way */
};

/* Continues for some milliseconds at most, after a drain. 0, CENSUS_AGAIN, or -errno (it is over then; what was mended stays mended). */
int census_step(struct census *census, uint64_t boot_time);

#endif
