/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What line_queue.c and line_queue_archive.c share. */
#pragma once

#include "output/line_queue.h"

struct line_queue {
	struct line **lines; /* a ring of `capacity`, a power of two */
	size_t capacity, head, count;
	size_t retained; /* of `count`: the first ones, which are written and not acknowledged */
	size_t written;	 /* bytes of the first line after those */
	size_t size;	 /* bytes of text, not yet written */
	size_t held;	 /* memory of the lines, and of a ring that has grown */
	size_t peak, limit;
	uint64_t total_written;	      /* bytes */
	uint64_t events, event_lines; /* not yet written */
	uint64_t retained_events;
	uint64_t retained_last; /* number of the last retained line that has one */
	/* No retained line before the first place has a number, nor has one that is not written before the second: many
	 * lines may have none, and the first that has one is asked for at each event. */
	size_t retained_numbered, numbered;
	uint64_t passed_seq; /* of the last line that has left the queue in order */
	size_t mid_lines;
	bool retains; /* a line of events stays until it is acknowledged */
};

static inline struct line **line_queue_place(const struct line_queue *queue, size_t i)
{
	return &queue->lines[(queue->head + i) & (queue->capacity - 1)];
}
