/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A line: one encoded event, encoded once, shared by all that have it queued.
 * A buffer: a bounded queue of whole lines on their way to one file descriptor. Lines go in whole
 * or not at all, and come out in order; only the first may be partly written.
 *
 * What is bounded is memory, not text: a line counts with all that its allocation takes, in full in each buffer that
 * holds it, until its last byte is out; and so do the references to it.
 */
#ifndef EXECSNOOP_BUFFER_H
#define EXECSNOOP_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive.h"
#include "cleanup.h"

struct line {
	unsigned refs;
	unsigned number; /* in an archive, from 1 on; 0: it is not in it yet */
	uint64_t events; /* that would be lost with it: 1, or those that a `lost` line tells of; 0: no event */
	uint64_t seq;	 /* of the first of them */
	bool snapshot;	 /* a process of a snapshot */
	size_t held;	 /* memory that it takes */
	size_t size;
	/* Else its text is pieces of that line, and `data` has no text but these: line_new_cut(). */
	struct line *whole;
	size_t spans;
	char data[]; /* with its '\n', without a NUL */
};

/* A new line with one reference, that is no event, its data not yet set. -ENOMEM. */
int line_new(struct line **ret, size_t size);
/* A line of pieces of another, which lives as long as it does and is held by it. -ENOMEM. */
struct span {
	size_t at, size;
};
int line_new_cut(struct line **ret, struct line *whole, const struct span *spans, size_t n);
struct line *line_ref(struct line *line);
struct line *line_unref(struct line *line); /* accepts NULL; returns NULL */
DEFINE_CLEANUP(struct line *, line_unref);
/* Memory that all lines of this process take, each once. */
size_t line_memory(void);

enum {
	BUFFER_E_FULL = 1,    /* the line was not taken */
	BUFFER_E_BLOCKED = 2, /* the descriptor takes no more for now */
	BUFFER_E_MORE = 3,    /* `most` bytes were written; there is more to write */
};

struct buffer;

/* limit: the most bytes of memory it may hold. A line that takes more is never taken. */
int buffer_new(struct buffer **ret, size_t limit);
struct buffer *buffer_free(struct buffer *buffer);
DEFINE_CLEANUP(struct buffer *, buffer_free);

void buffer_set_limit(struct buffer *buffer, size_t limit);

/* 0: taken (the buffer holds a reference of its own); BUFFER_E_FULL; -ENOMEM. */
int buffer_push(struct buffer *buffer, struct line *line);
/* The same without the limit, for the few lines that must not be lost (answers, lost). */
int buffer_push_always(struct buffer *buffer, struct line *line);

/* Moves all lines of `from` behind those of `to`, whatever its limit. The first of `from` must not be partly written
 * unless `to` is empty. 0 or -ENOMEM: some may have been moved, in order. */
int buffer_move(struct buffer *to, struct buffer *from);

/* Drops the lines of a snapshot, but for one that is partly written; returns how many. */
size_t buffer_drop_snapshot(struct buffer *buffer);

/* Forgets all lines; of the first no byte may be out. */
void buffer_clear(struct buffer *buffer);

/*
 * Writes (writev, never blocking if fd does not) until all is written: 0; until fd would block:
 * BUFFER_E_BLOCKED; until at least `most` bytes went: BUFFER_E_MORE. -errno of writev otherwise
 * (-EPIPE, -ECONNRESET: the reader is gone).
 *
 * Whoever dies in it leaves a whole line at the end of what a Unix socket took: it is given whole lines of at most
 * BUFFER_PIECE bytes at once, which it takes all or not at all (unix_stream_sendmsg() has an skb for as much). Only a
 * longer line goes in several pieces.
 */
#define BUFFER_PIECE (32 << 10)
int buffer_write(struct buffer *buffer, int fd, size_t most);

size_t buffer_size(const struct buffer *buffer); /* bytes of text, not yet written */
size_t buffer_held(const struct buffer *buffer); /* bytes of memory */
size_t buffer_peak(const struct buffer *buffer); /* the most memory that it ever held */
/* By how much the line would add to buffer_held(). */
size_t buffer_cost(const struct buffer *buffer, const struct line *line);
uint64_t buffer_written(const struct buffer *buffer); /* bytes, since it was made */
size_t buffer_limit(const struct buffer *buffer);
/* Events that would be lost with all that is held; *ret_first: the number of the first, not set if there are none. */
uint64_t buffer_events(const struct buffer *buffer, uint64_t *ret_first);
/* It holds a line that goes in several pieces. */
bool buffer_has_long_line(const struct buffer *buffer);
static inline bool buffer_is_empty(const struct buffer *buffer)
{
	return buffer_size(buffer) == 0;
}

/* Lines that are in an archive: each once, however many buffers have it. */
struct line_set {
	struct line **lines; /* read so far */
	size_t count, room;
};
void line_set_clear(struct line_set *set);

/* All that it holds, and how far the first line is out. Read into a buffer that is empty. 0 or -errno, also of the
 * archive. */
int buffer_archive(struct buffer *buffer, struct archive *archive, struct line_set *set);

#endif
