/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What two sets of probes both saw. While one daemon's probes take over from another's, both are attached, so that nothing
 * is missed; what was taken from the first ring is noted, and known when it comes out of the second.
 *
 * A fork, an exec and an end have an identity (exec_id counts execs). A failed exec has none: it is the same if thread and
 * error are, at nearly the same time, and each is the twin of one other only.
 */
#ifndef EXECSNOOP_DEDUP_H
#define EXECSNOOP_DEDUP_H

#include <stdbool.h>
#include <stdint.h>

#include "util/cleanup.h"

/* How far apart the times are that two probes read for one failed call: microseconds, unless the caller is preempted between
 * them. */
#define DEDUP_APART_NS 15000000

struct twin {
	uint32_t kind; /* of its record */
	uint32_t tgid, tid;
	uint64_t start; /* of the process */
	uint64_t which; /* exec_id; of an error, its number */
	bool by_time;	/* it has no identity of its own, but thread and time */
	uint64_t time;
};

struct dedup;

int dedup_new(struct dedup **ret);
struct dedup *dedup_free(struct dedup *dedup);
DEFINE_CLEANUP(struct dedup *, dedup_free);

/* 0 or -ENOMEM. */
int dedup_note(struct dedup *dedup, const struct twin *twin);
/* Was its twin noted? By time: the nearest one that no other has found, no farther than DEDUP_APART_NS. */
bool dedup_find(struct dedup *dedup, const struct twin *twin);

#endif
