/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes that ended lately: on kernels before 6.16 two threads may both be the last one, and each reports the end.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ENDED_MAX 256 /* a power of two */

struct ended {
	struct {
		uint64_t start;
		uint32_t tgid;
	} by_tgid[ENDED_MAX];
};

static inline void ended_add(struct ended *ended, uint32_t tgid, uint64_t start)
{
	ended->by_tgid[tgid % ENDED_MAX].tgid = tgid;
	ended->by_tgid[tgid % ENDED_MAX].start = start;
}

static inline bool ended_has(const struct ended *ended, uint32_t tgid, uint64_t start)
{
	return ended->by_tgid[tgid % ENDED_MAX].tgid == tgid && ended->by_tgid[tgid % ENDED_MAX].start == start;
}
