/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the daemon says of itself: in the answer to a `stats` request, in the log, in STATUS=. */
#ifndef EXECSNOOP_FIGURES_H
#define EXECSNOOP_FIGURES_H

#include <yajl/yajl_gen.h>

#include "journal.h"
#include "pipeline.h"
#include "probe.h"
#include "turns.h"

struct figures {
	struct pipeline *pipeline;
	struct probe *probe;
	struct journal *journal; /* NULL: none */
	uint64_t uptime_s;
	struct turns turns;
};

/* Keys of the object that is open. */
void figures_gen(const struct figures *figures, yajl_gen gen);
/* For one line of the log. */
void figures_log(const struct figures *figures);

#endif
