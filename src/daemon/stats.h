/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the daemon says of itself: in the answer to a `stats` request, in the log, in STATUS=. */
#ifndef EXECSNOOP_STATS_H
#define EXECSNOOP_STATS_H

#include <yajl/yajl_gen.h>

#include "kernel/probe.h"
#include "output/journal.h"
#include "pipeline/pipeline.h"
#include "util/turns.h"

struct daemon_stats {
	struct pipeline *pipeline;
	struct probe *probe;
	struct journal *journal; /* NULL: none */
	uint64_t uptime_s;
	struct turns turns;
};

/* Keys of the object that is open. */
void stats_gen(const struct daemon_stats *figures, yajl_gen gen);
/* For one line of the log. */
void stats_log(const struct daemon_stats *figures);

#endif
