/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arguments and environments that came in pieces (record.h), for records that have not come yet. Bounded: in number and in
 * memory, since more than CPUs exec at once cannot be under way (the oldest makes room: its record was lost); in size; and
 * in time.
 */
#ifndef EXECSNOOP_PIECES_H
#define EXECSNOOP_PIECES_H

#include "archive.h"
#include "bytes.h"
#include "cleanup.h"

struct pieces;

/* Which list: the kind of its records, and the record that it will belong to. */
struct pieces_key {
	uint32_t kind; /* RECORD_ARGS, RECORD_ENV */
	uint32_t tgid;
	uint64_t time;
};

/* limit: bytes of one list. memory: of all lists; one has room whatever it is. */
int pieces_new(struct pieces **ret, size_t limit, size_t memory);
struct pieces *pieces_free(struct pieces *pieces);
DEFINE_CLEANUP(struct pieces *, pieces_free);

/* The piece that stands at `position` of the list. One that does not follow what is there (a piece was lost), or goes
 * beyond the limit, is left out, and so the list ends. 0 or -ENOMEM. */
int pieces_add(struct pieces *pieces, struct pieces_key key, uint64_t position, struct bytes piece);
/* What there is of the list, valid until the next call; data NULL: nothing. */
struct bytes pieces_find(const struct pieces *pieces, struct pieces_key key);
void pieces_drop(struct pieces *pieces, struct pieces_key key);

/* Drops the lists whose last piece came PIECES_AGE_S seconds ago: their records were lost. */
#define PIECES_AGE_S 30
void pieces_expire(struct pieces *pieces);
/* Memory that the lists take. */
size_t pieces_memory(const struct pieces *pieces);

/* All of them. Read into empty ones. 0 or -errno, also of the archive. */
int pieces_archive(struct pieces *pieces, struct archive *archive);

#endif
