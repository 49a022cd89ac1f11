/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arguments and environments that came in chunks (record.h), before the record that they belong to.
 * Bounded in number and in memory, since no more than CPUs exec at once (the oldest is dropped: its
 * record was lost); in size; and in time.
 */
#pragma once

#include "handover/archive.h"
#include "util/bytes.h"
#include "util/cleanup.h"

struct arg_chunks;

/* Which list: the kind of its records, and the record that it will belong to. */
struct arg_chunks_key {
	uint32_t kind; /* RECORD_ARGS, RECORD_ENV */
	uint32_t tgid;
	uint64_t time;
};

/* limit: bytes of one list. memory: of all lists; a single one may exceed it. */
int arg_chunks_new(struct arg_chunks **ret, size_t limit, size_t memory);
struct arg_chunks *arg_chunks_free(struct arg_chunks *chunks);
DEFINE_CLEANUP(struct arg_chunks *, arg_chunks_free);

/* The chunk at `position` of the list. One that does not follow what is there (a chunk was lost),
 * or exceeds the limit, is dropped, and so the list ends. 0 or -ENOMEM. */
int arg_chunks_add(struct arg_chunks *chunks, struct arg_chunks_key key, uint64_t position, struct bytes chunk);
/* What there is of the list, valid until the next call; data NULL: nothing. */
struct bytes arg_chunks_find(const struct arg_chunks *chunks, struct arg_chunks_key key);
void arg_chunks_drop(struct arg_chunks *chunks, struct arg_chunks_key key);

/* Drops the lists whose last chunk came ARG_CHUNKS_AGE_S seconds ago: their records were lost. */
#define ARG_CHUNKS_AGE_S 30
void arg_chunks_expire(struct arg_chunks *chunks);
/* Frees memory of lists that are gone, which is kept for the next ones. */
void arg_chunks_trim(struct arg_chunks *chunks);
/* Memory that they take. */
size_t arg_chunks_memory(const struct arg_chunks *chunks);

/* All of them. Read into empty ones. 0 or -errno, also of the archive. */
int arg_chunks_archive(struct arg_chunks *chunks, struct archive *archive);
