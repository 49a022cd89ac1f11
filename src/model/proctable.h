/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All processes that are alive, by tgid and start time, each with what its last exec set.
 *
 * Every change moves the table's clock by one. An entry is never changed once it is in: an exec
 * puts a new version in the place of the old one. So a snapshot is nothing but a cursor with the
 * clock of its beginning: it sees the versions that were current then, in order of birth (hence
 * parents first: a real parent is always older), however slowly it is read; versions that were
 * replaced or removed stay until no cursor needs them. A cursor costs a few words, whatever the
 * size of the table.
 *
 * What a fork shares (the image) is held once, by reference. `memory` bounds the bytes of arguments
 * held: beyond it a new image keeps PROCTABLE_ARGS_MAX of them and says args_truncated.
 */
#ifndef EXECSNOOP_PROCTABLE_H
#define EXECSNOOP_PROCTABLE_H

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
	uint64_t born;	    /* clock at which the process (not this version) came in */
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
size_t proctable_memory(const struct proctable *table);	  /* bytes of arguments held */
size_t proctable_retained(const struct proctable *table); /* versions kept for cursors alone */
/* Memory: of all of it; of what is kept for cursors alone. */
size_t proctable_bytes(const struct proctable *table);
size_t proctable_retained_bytes(const struct proctable *table);

/* The live entry of that tgid; NULL if none. With start != 0, only if it is that process. */
struct entry *proctable_find(const struct proctable *table, uint32_t tgid, uint64_t start);

enum {
	PROCTABLE_E_KNOWN = 1, /* that process is in already; nothing was changed */
};

/*
 * Each copies what it is given. A different process of the same tgid (its exit was lost) must be
 * removed first: that is asserted.
 *
 * proctable_add: a process found by the iterator and /proc, or an exec of a process that is not in.
 * proctable_fork: `process` without image; it shares that of who forked it (forker, else ppid) if
 *   that is in, else its image is unknown. PROCTABLE_E_KNOWN if it is in.
 * proctable_exec: the process is in; *ret is its new version, `born` and `told` carried on; the
 *   start_time of the old version is kept.
 * -ENOMEM: nothing was changed.
 */
int proctable_add(struct proctable *table, struct entry **ret, const struct process *process);
int proctable_fork(struct proctable *table, struct entry **ret, const struct process *process);
int proctable_exec(struct proctable *table, struct entry **ret, const struct process *process);

/* The entry is gone after it (or kept for cursors only). */
void proctable_remove(struct proctable *table, struct entry *entry);

/* Live entries in order of birth: entry NULL gives the first; NULL after the last. */
struct entry *proctable_next(const struct proctable *table, const struct entry *entry);

/* The comms of `process`'s parent, grandparent, ... up to pid 1, each with its NUL, as far as the
 * table knows them and `size` allows. Returns the bytes used. */
size_t proctable_ancestors(const struct proctable *table, const struct process *process, char *ret, size_t size);

/*
 * Other bytes for what is held: change() is called once for each image, and says whether it changed it; all versions have the new
 * one then, also those that are kept for snapshots. What it points to is copied before the next call. Where there is no memory for
 * that, the process has neither arguments (args_truncated) nor environment any more.
 */
void proctable_change_images(struct proctable *table, bool (*change)(void *userdata, struct image *image),
			     void *userdata);

/* A snapshot of now. Entries it gives stay valid until the next call with this cursor. */
int proctable_cursor_new(struct proctable_cursor **ret, struct proctable *table);
struct proctable_cursor *proctable_cursor_free(struct proctable_cursor *cursor);
DEFINE_CLEANUP(struct proctable_cursor *, proctable_cursor_free);
const struct entry *proctable_cursor_next(struct proctable_cursor *cursor);
/* What it gave last; NULL: nothing yet, or it came to its end. */
const struct entry *proctable_cursor_at(const struct proctable_cursor *cursor);
/* The clock of the newest snapshot ever begun; 0: none. What was born later is in no snapshot. */
uint64_t proctable_last_snapshot(const struct proctable *table);
/* How many it has still to give, and when it gave the last: of two cursors of a table, the one with the smaller number moved
 * earlier. */
size_t proctable_cursor_remaining(const struct proctable_cursor *cursor);
uint64_t proctable_cursor_moved(const struct proctable_cursor *cursor);
uint64_t proctable_cursor_clock(const struct proctable_cursor *cursor);

/*
 * All of it, for the daemon that comes after this one: the versions that are kept for cursors too. Read into a table that is
 * empty; refine, if it is not NULL, changes what is to be held of an image. 0 or -errno, also of the archive; a table that
 * was read in part is to be freed.
 */
int proctable_archive(struct proctable *table, struct archive *archive,
		      int (*refine)(void *userdata, struct image *image), void *userdata);
/* Where a snapshot stands, behind its table in the archive. Read, *cursor is NULL before. 0 or -errno. */
int proctable_cursor_archive(struct proctable_cursor **cursor, struct proctable *table, struct archive *archive);
/* After the last of them: lets go what was kept for cursors that did not come. */
void proctable_settle(struct proctable *table);

#endif
