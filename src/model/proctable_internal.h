/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by proctable*.c alone; the head of proctable.c has the model. */
#pragma once

#include <sys/queue.h>

#include "model/proctable.h"

#define UNTIL_NOW UINT64_MAX

/* The bytes of an image. */
struct image_data {
	unsigned refs;
	unsigned live;	  /* versions that have it and are live */
	unsigned number;  /* in an archive, or in a change of images, from 1 on; 0: not in it yet */
	unsigned rules;	  /* proctable.rules, when it was made or checked */
	bool is_retained; /* counted as retained for cursors alone */
	size_t args;	  /* of them, arguments and variables */
	size_t size;	  /* of all this */
	char data[];
};

struct version {
	struct entry entry;	     /* first: users have pointers to it */
	struct version *chain;	     /* of its bucket; live versions only */
	struct version *prev, *next; /* in order of birth */
	uint64_t from, until;
	struct image_data *image_data; /* NULL: none of the image is known */
	size_t size;		       /* of all this */
	char comms[];		       /* comm, parent_comm, ancestors */
};

struct proctable_cursor {
	struct proctable *table; /* NULL: it is at its end, and in no list */
	LIST_ENTRY(proctable_cursor) next;
	uint64_t clock;
	struct version *at; /* returned last; NULL: none yet */
	size_t remaining;   /* processes */
	uint64_t moved;	    /* table->moves at its last move */
};

struct proctable {
	struct version **buckets;
	unsigned bits;
	struct version *first, *last;
	bool unordered;
	LIST_HEAD(, proctable_cursor) cursors; /* under way */
	uint64_t clock, last_snapshot;
	uint64_t moves; /* of cursors */
	unsigned rules; /* how often proctable_begin_changes() was called */
	size_t count, retained;
	size_t memory;		      /* allowed for arguments and variables of live processes */
	size_t args, retained_args;   /* bytes of these; of them, for cursors alone */
	size_t bytes, retained_bytes; /* memory of all versions and images; of those for cursors alone */
};

/* Makes *image a view of a copy, *ret; NULL if nothing of the image is known. */
int image_copy(struct proctable *table, struct image *image, struct image_data **ret);
void image_data_unref(struct proctable *table, struct image_data *data);
/* A version that has it becomes live; becomes retained, or is freed. data may be NULL. */
void image_data_enter(struct proctable *table, struct image_data *data);
void image_data_retain(struct proctable *table, struct image_data *data);

/* A version of *process with *image, which is a view of data; takes over a reference on success. It
 * is in no list yet. */
int version_new(struct version **ret, const struct process *process, const struct image *image,
		struct image_data *data);
/* Appends it to the list and, if it is current, adds it to the hash. Its times are set. */
void version_append(struct proctable *table, struct version *version);
static inline bool version_is_live(const struct version *version)
{
	return version->until == UNTIL_NOW;
}

/* The order of the list. Total: two versions of one process never have the same `from`. */
static inline bool version_is_before(const struct version *a, const struct version *b)
{
	const struct process *p = &a->entry.process, *q = &b->entry.process;

	if (p->start != q->start)
		return p->start < q->start;
	if (p->tgid != q->tgid)
		return p->tgid < q->tgid;
	return a->from < b->from;
}

void list_order(struct proctable *table);

/* A cursor is at it, or has yet to return it. */
bool version_is_needed(const struct proctable *table, const struct version *version);
/* Frees a retained one. */
void version_unretain(struct proctable *table, struct version *version);

/* Adds a cursor, with its clock set, to those under way. */
void cursor_enter(struct proctable_cursor *cursor, struct proctable *table);
