/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What pipeline.c and pipeline_state.c share. */
#pragma once

#include "pipeline/decode.h"
#include "pipeline/ended.h"
#include "pipeline/enrich.h"
#include "pipeline/path_search.h"
#include "pipeline/pipeline.h"
#include "pipeline/sinks.h"

enum mode {
	LOADING, /* records change the table only */
	REPLAY,	 /* they make events; the table may have what they report already */
	LIVE,	 /* they make events */
};

struct pipeline {
	struct pipeline_config config;
	struct proctable *table;
	struct sinks sinks;
	struct path_searches *searches;
	struct decoded decoded;
	struct enricher enricher;
	struct ended ended;
	struct pipeline_stats stats; /* without seq */
	struct stream stream;
	int64_t epoch;
	uint64_t listed; /* pipeline_set_listed */
	uint64_t shown;	 /* pipeline_resume: snapshots had all that had begun by then */
	enum mode mode;
	bool behind;
	uint32_t lost_events, lost_forks; /* as far as reported */
	uint64_t unreported;		  /* ends that could not be reported, until the next `lost` */
	struct dedup *dedup;		  /* not owned; NULL: there is only one ring */
};

/* What has been reported, for the daemon after a crash. */
void pipeline_write_checkpoint(struct pipeline *p);
