/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records that two sets of probes both made. While one daemon's probes take over from another's,
 * both are attached, so that nothing is missed; what came from the first ring is added here, and
 * matched when it comes out of the second.
 *
 * A fork, an exec and an end have an identity (exec_id counts execs). A failed exec has none: it is
 * the same if thread and error are, at nearly the same time, and each matches one other only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/decode.h"
#include "util/cleanup.h"

/* How far apart the times are that two probes read for one failed call: microseconds, unless the
 * caller is preempted between them. */
#define DEDUP_APART_NS 15000000

struct dedup_key {
	uint32_t kind; /* of the record */
	uint32_t tgid, tid;
	uint64_t start;	 /* of the process */
	uint64_t number; /* exec_id; of an error, its errno */
	bool by_time;	 /* it has no identity of its own, but thread and time */
	uint64_t time;
};

struct dedup;

int dedup_new(struct dedup **ret);
struct dedup *dedup_free(struct dedup *dedup);
DEFINE_CLEANUP(struct dedup *, dedup_free);

int dedup_add(struct dedup *dedup, const struct dedup_key *key);
/* Whether that record was added. By time: the nearest one that has not been matched, no farther
 * than DEDUP_APART_NS; it is matched now. */
bool dedup_match(struct dedup *dedup, const struct dedup_key *key);

/* Adds a record, until dedup_begin_matching(); from then on matches it. Chunks belong to another record. -ENOMEM. */
enum { DEDUP_DUPLICATE = 1 };
int dedup_record(struct dedup *dedup, const struct decoded *d);
void dedup_begin_matching(struct dedup *dedup);
