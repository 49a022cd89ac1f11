/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All live processes, by tgid and start time, each with what its last exec set.
 *
 * Every change advances the table's clock by one. An entry never changes: an exec puts a new
 * version in its place. So a snapshot is a cursor with the clock of its beginning: it sees the
 * versions that were current then, in order of birth (so parents come first: a real parent is
 * always older), however slowly it is read. Versions that were replaced or removed are retained
 * until no cursor needs them. A cursor costs a few words, whatever the size of the table.
 *
 * A fork shares its parent's image by reference. `memory` limits the bytes of arguments and variables: beyond it, a
 * new image has PROCTABLE_ARGS_MAX of each, and args_truncated, and INCOMPLETE_ENV.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "model/process.h"
#include "util/cleanup.h"

#define PROCTABLE_ARGS_MAX 4096

struct proctable;
struct proctable_cursor;

/* One version of a process; owned by the table. `process` and its bytes live as long as it. */
struct entry {
	struct process process;
	uint64_t born;	    /* clock at which the process (not this version) was added */
	uint64_t announced; /* clock of its first started or forked event; 0: none yet */
	bool seen;	    /* for the user's sweeps (resync); not touched by the table */
			    /* the rest is proctable.c's */
};

int proctable_new(struct proctable **ret, size_t memory);
struct proctable *proctable_free(struct proctable *table);
DEFINE_CLEANUP(struct proctable *, proctable_free);
void proctable_set_memory(struct proctable *table, size_t memory);

uint64_t proctable_clock(const struct proctable *table);
size_t proctable_count(const struct proctable *table);
size_t proctable_memory(const struct proctable *table);	  /* bytes of arguments and variables */
size_t proctable_retained(const struct proctable *table); /* versions retained for cursors */
/* Memory: of all; of what is retained for cursors. */
size_t proctable_bytes(const struct proctable *table);
size_t proctable_retained_bytes(const struct proctable *table);

/* The live entry of that tgid; NULL if none. With start != 0, only if it is that process. */
struct entry *proctable_find(const struct proctable *table, uint32_t tgid, uint64_t start);

enum {
	PROCTABLE_E_KNOWN = 1, /* the process is in the table; nothing has changed */
};

/*
 * These copy what they are given. Another process with the same tgid (its exit was lost) must be
 * removed first; that is asserted. -ENOMEM: nothing has changed.
 *
 * proctable_add: a process found by the iterator and /proc, or an exec of a process that is not in
 * the table. proctable_fork: `process` without an image; it shares that of the process that forked
 * it (forker, else ppid), if that is in the table. proctable_exec: the process is in the table;
 * *ret is its new version, with `born`, `announced` and start_time of the old one.
 */
int proctable_add(struct proctable *table, struct entry **ret, const struct process *process);
int proctable_fork(struct proctable *table, struct entry **ret, const struct process *process);
int proctable_exec(struct proctable *table, struct entry **ret, const struct process *process);

/* The entry is freed, or retained for cursors. */
void proctable_remove(struct proctable *table, struct entry *entry);

/* Live entries in order of birth: entry NULL gives the first; NULL after the last. */
struct entry *proctable_next(const struct proctable *table, const struct entry *entry);

/* The comms of the process's parent, grandparent, ... up to pid 1, each with its NUL, as far as the
 * table knows them and `size` allows. Returns the bytes used. */
size_t proctable_ancestors(const struct proctable *table, const struct process *process, char *ret, size_t size);

enum image_change {
	IMAGE_SAME,
	IMAGE_CHANGED,
	IMAGE_LATER, /* it was not looked at, and there is no time for others either */
};

/*
 * Changes images in portions, between which the table may change. proctable_begin_changes(): of all that there are now,
 * but for those that will be made. proctable_change_images() calls change() once for each that was not looked at yet;
 * all versions then have the new one, retained ones too. What it points to is copied before the next call. If there is
 * no memory for the copy, the process has neither arguments (args_truncated) nor environment any more. Returns whether
 * all were looked at.
 */
void proctable_begin_changes(struct proctable *table);
bool proctable_change_images(struct proctable *table, enum image_change (*change)(void *userdata, struct image *image),
			     void *userdata);

/* A snapshot. An entry that it returns is valid until the next call with this cursor. */
int proctable_cursor_new(struct proctable_cursor **ret, struct proctable *table);
struct proctable_cursor *proctable_cursor_free(struct proctable_cursor *cursor);
DEFINE_CLEANUP(struct proctable_cursor *, proctable_cursor_free);
const struct entry *proctable_cursor_next(struct proctable_cursor *cursor);
/* The entry returned last; NULL: none yet, or the cursor is at its end. */
const struct entry *proctable_cursor_at(const struct proctable_cursor *cursor);
/* The clock at which the newest snapshot began; 0: there was none. */
uint64_t proctable_last_snapshot(const struct proctable *table);
/* How many entries are left. Of two cursors of a table, the one with the smaller
 * proctable_cursor_moved() moved earlier. */
size_t proctable_cursor_remaining(const struct proctable_cursor *cursor);
uint64_t proctable_cursor_moved(const struct proctable_cursor *cursor);
uint64_t proctable_cursor_clock(const struct proctable_cursor *cursor);

/*
 * All versions, retained ones too. on read: the table is empty before; change(), if not NULL, may
 * change an image before it is copied; after an error the table is to be freed. Also errors of the
 * archive.
 */
int proctable_archive(struct proctable *table, struct archive *archive,
		      int (*change)(void *userdata, struct image *image), void *userdata);
/* The position of a snapshot, after its table in the archive. on read: *cursor is NULL before. Also
 * errors of the archive. */
int proctable_cursor_archive(struct proctable_cursor **cursor, struct proctable *table, struct archive *archive);
/* After the last cursor was read: frees what was retained for cursors that are not there. */
void proctable_settle(struct proctable *table);
