/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is made of a record's image before it is kept or reported: chunks of arguments put together, the environment
 * chosen, the cgroup's unit and container found, secrets masked. Bytes that it puts into an image are valid until the
 * next call.
 */
#pragma once

#include "model/cgroup.h"
#include "model/environment.h"
#include "model/process.h"
#include "model/redact.h"
#include "pipeline/arg_chunks.h"
#include "pipeline/decode.h"

struct enricher {
	struct arg_chunks *chunks;
	struct environment *environment; /* borrowed; NULL: none is kept */
	struct redact *redact;		 /* borrowed; NULL: nothing is masked */
	char container_id[CGROUP_NAME_SIZE], pod_uid[CGROUP_POD_SIZE];
};

/* args_limit: [probes] args_limit. 0 or -ENOMEM. */
int enricher_init(struct enricher *enricher, uint64_t args_limit);
void enricher_clear(struct enricher *enricher);

/* A chunk of arguments or environment, for a record that comes later. 0 or -ENOMEM. */
int enrich_chunk(struct enricher *enricher, const struct decoded *d);
/* Puts the arguments of an exec or error together; false: some are missing. */
bool enrich_args(struct enricher *enricher, struct decoded *d);
/* The same of the environment of an exec, of which [probes] env is kept. */
void enrich_env(struct enricher *enricher, struct decoded *d);
/* The variables of the block that [probes] env names; none, and incomplete, where that takes too long. */
void enrich_choose(struct enricher *enricher, struct image *image, struct bytes block);
/* After the event of a record: its chunks. */
void enrich_drop_chunks(struct enricher *enricher, const struct decoded *d);

/* Everything else. */
void enrich_image(struct enricher *enricher, struct image *image);
/* An image of an archive, by this daemon's configuration, which may differ from the one that it was kept by. 0 or
 * -ENOMEM. */
int enrich_restored(void *enricher, struct image *image);
/* Masks what [redact] selects. Whether something changed. */
bool enrich_mask(struct enricher *enricher, struct image *image);
