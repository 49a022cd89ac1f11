/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counters of what the machine does, for monitoring: how processes end, how long they live, what short ones use. They
 * cost a few additions an event, and their memory does not grow.
 */
#pragma once

#include <yajl/yajl_gen.h>

#include "model/event.h"

#define MACHINE_ERRNO_MAX 134	/* EHWPOISON is 133; [0]: others */
#define MACHINE_LIFETIMES 15	/* the last one without a bound */
#define MACHINE_CPU_LIFETIMES 4 /* also */

struct machine_stats {
	uint64_t results[RESULT_MAX];		/* of `exited` */
	uint64_t errors[MACHINE_ERRNO_MAX];	/* of `error`, by errno */
	uint64_t lifetimes[MACHINE_LIFETIMES];	/* processes that lived this long and longer than the one before */
	uint64_t lifetime_ns;			/* of all together */
	uint64_t cpu_ns[MACHINE_CPU_LIFETIMES]; /* user and system, of processes that lived this long */
	uint64_t secureexec, memfd_execs;
};

void machine_stats_event(struct machine_stats *stats, const struct event *event);
/* As an object; the key is the caller's. */
void machine_stats_gen(const struct machine_stats *stats, yajl_gen gen);
