/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A line is one encoded event, shared by all queues that have it. A line queue has whole lines on
 * their way to one file descriptor. Lines enter whole or not at all, and leave in order; only the
 * first may be partly written.
 *
 * The limit is for memory, not for text: a line counts with all that its allocation takes, in full
 * in each queue that has it, until its last byte is written; and so do the references.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "handover/archive.h"
#include "util/bytebuf.h"
#include "util/cleanup.h"

struct line {
	unsigned refs;
	unsigned number;   /* in an archive, from 1 on; 0: not in it yet */
	uint64_t events;   /* that would be lost with it: 1, or those that a `lost` line reports; 0: no event */
	uint64_t seq;	   /* of the first of them; 0: it has none */
	uint64_t last_seq; /* and of the last */
	bool snapshot;	   /* a process of a snapshot */
	bool is_rest;	   /* of a line that another queue has written in part */
	size_t held;	   /* memory that it takes */
	size_t size;
	/* Not NULL: the text is spans of that line, and `data` is an array of struct span; see
	 * line_new_cut(). */
	struct line *whole;
	size_t spans;
	char data[]; /* with its '\n', without a NUL */
};

/* A new line with one reference, not an event, its data not set. -ENOMEM. */
int line_new(struct line **ret, size_t size);
/* The same of a text, whose memory becomes the line's, so that a large one is not copied to new pages; *text is empty.
 */
#define LINE_TAKE_MIN ((size_t)256 << 10) /* bytes; it is none of pool.h's */
int line_take(struct line **ret, struct bytebuf *text);
/* A line of spans of another, to which it holds a reference. -ENOMEM. */
struct span {
	size_t at, size;
};
int line_new_cut(struct line **ret, struct line *whole, const struct span *spans, size_t n);
struct line *line_ref(struct line *line);
struct line *line_unref(struct line *line); /* accepts NULL, returns NULL */
DEFINE_CLEANUP(struct line *, line_unref);
/* Memory that all lines of this process take, each once. */
size_t line_memory(void);

enum {
	LINE_QUEUE_E_BLOCKED = 1, /* the descriptor would block */
	LINE_QUEUE_E_MORE = 2,	  /* `max` bytes were written; there is more to write */
};

struct line_queue;

/* limit: bytes of memory. */
int line_queue_new(struct line_queue **ret, size_t limit);
struct line_queue *line_queue_free(struct line_queue *queue);
DEFINE_CLEANUP(struct line_queue *, line_queue_free);

void line_queue_set_limit(struct line_queue *queue, size_t limit);

/* Adds a reference to the line, whatever the limit: that is the owner's to keep (line_queue_cost()). -ENOMEM. */
int line_queue_push(struct line_queue *queue, struct line *line);

/* Appends all lines of `from` to `to`, whatever its limit. The first of `from` must not be partly
 * written unless `to` is empty. -ENOMEM: some may have been moved, in order. */
int line_queue_move(struct line_queue *to, struct line_queue *from);

/* Drops the lines of a snapshot, but for one that is partly written; returns how many. */
size_t line_queue_drop_snapshot(struct line_queue *queue);

/* Drops the lines that are no events, but for one that is partly written, and for those retained. */
void line_queue_drop_other(struct line_queue *queue);

/* Removes all lines; no byte of the first may be written. */
void line_queue_clear(struct line_queue *queue);

/*
 * Writes without blocking, if fd is a socket or non-blocking: all (0), until fd would block
 * (LINE_QUEUE_E_BLOCKED), or at least `max` bytes (LINE_QUEUE_E_MORE). -EPIPE and -ECONNRESET: the
 * reader is gone.
 *
 * A crash in it leaves a whole line at the end of what a Unix socket has: each call writes whole
 * lines of at most LINE_QUEUE_WRITE_MAX bytes, which the socket accepts all or not at all
 * (unix_stream_sendmsg() has an skb for as much). Only a longer line is written in parts.
 */
#define LINE_QUEUE_WRITE_MAX (32 << 10)
int line_queue_write(struct line_queue *queue, int fd, size_t max);

/* What is to be written of the line that is partly written, as a line of its own. -ENOMEM. */
int line_queue_rest(const struct line_queue *queue, struct line **ret);
/* Its reader has a part of the first line, or has one that this is the rest of. */
bool line_queue_is_mid_line(const struct line_queue *queue);
/* That line, if there is one, will be written from its beginning: the reader is another. */
void line_queue_begin_line_again(struct line_queue *queue);

/*
 * For a reader that acknowledges: lines of events stay in the queue, and count as memory, until they are. Lines that
 * are no events leave it once they are written. `false` drops what is retained.
 */
void line_queue_set_retains(struct line_queue *queue, bool retains);
bool line_queue_retains(const struct line_queue *queue);
/* Drops the retained lines up to the first one with that number, or whose loss ends with it. False: there is none. */
bool line_queue_acknowledge(struct line_queue *queue, uint64_t seq);
/* As if the first n lines were written now; none is in part. */
void line_queue_retain(struct line_queue *queue, size_t n);
/* All that is retained will be written once more. */
void line_queue_rewind(struct line_queue *queue);
/* Events that are retained; the numbers of the first and the last, not set if there are none. */
uint64_t line_queue_retained(struct line_queue *queue, uint64_t *ret_first, uint64_t *ret_last);
/* The number of the last event that was written, or acknowledged where lines are retained; 0: there was none. */
uint64_t line_queue_passed(const struct line_queue *queue);
void line_queue_set_passed(struct line_queue *queue, uint64_t seq);

size_t line_queue_size(const struct line_queue *queue); /* bytes of text, not yet written */
size_t line_queue_held(const struct line_queue *queue); /* bytes of memory */
size_t line_queue_peak(const struct line_queue *queue); /* the maximum so far */
/* By how much the line would add to line_queue_held(). */
size_t line_queue_cost(const struct line_queue *queue, const struct line *line);
uint64_t line_queue_written(const struct line_queue *queue); /* bytes, since it was made */
size_t line_queue_limit(const struct line_queue *queue);
/* Events that would be lost with all lines; *ret_first: the seq of the first, not set if there are
 * none. */
uint64_t line_queue_events(struct line_queue *queue, uint64_t *ret_first);
/* How many lines those are. */
uint64_t line_queue_event_lines(const struct line_queue *queue);
/*
 * It has a line that is written in parts, or the first is partly written: a socket takes less at
 * once where net.core.wmem_default is small (unix_stream_sendmsg(), net/unix/af_unix.c: half of
 * sk_sndbuf an skb).
 */
bool line_queue_may_be_mid_line(const struct line_queue *queue);
static inline bool line_queue_is_empty(const struct line_queue *queue)
{
	return line_queue_size(queue) == 0;
}

/* Lines in an archive: each once, however many queues have it. */
struct line_set {
	struct line **lines; /* read so far */
	size_t count, capacity;
};
void line_set_clear(struct line_set *set);

/* One line. on read: *line is a new reference. Also errors of the archive. */
int line_archive(struct line **line, struct archive *archive, struct line_set *set);
/* All lines, and how far the first is written. on read: the queue is empty before. Also errors of
 * the archive. */
int line_queue_archive(struct line_queue *queue, struct archive *archive, struct line_set *set);
