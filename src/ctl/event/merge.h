/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starts that are held for a moment, so that a program that ends at once is shown in one line. A start is held for
 * MERGE_NS of the stream's time at most; where nothing comes, the caller lets it go by the clock.
 */
#pragma once

#include "ctl/event/parsed.h"
#include "util/cleanup.h"

#define MERGE_NS 100000000ULL

struct merge;

int merge_new(struct merge **ret);
struct merge *merge_free(struct merge *merge);
DEFINE_CLEANUP(struct merge *, merge_free);

/* A start of a line of JSON is held: 1. Other events are not: 0; an end takes its start away. -ENOMEM. */
int merge_add(struct merge *merge, const struct parsed *parsed);
/* The next start that is due at this time of the stream (UINT64_MAX: any), oldest first; valid until the next call. 0:
 * none is. */
int merge_due(struct merge *merge, uint64_t now_ns, const struct parsed **ret);
bool merge_is_empty(const struct merge *merge);
