/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A sink receives the events of the pipeline. It may neither block nor fail: events that it cannot
 * take are counted, and reported later in a `lost` of its own.
 */
#pragma once

#include "model/event.h"
#include "output/line_queue.h"

/* *ret: the JSON line of the current event, with at most args_bytes of arguments (event_cut.h; 0: with all), encoded at
 * the first call for that set of keys. The encoder owns it, until the end of the event. -ENOMEM. */
struct encoder;
int encoder_line(struct encoder *encoder, key_set keys, size_t args_bytes, struct line **ret);
/* Whether its arguments take more than `most` bytes of a line; false where that is not known without encoding them. The
 * work is that of a look at each byte, once for an event. */
bool encoder_args_exceed(struct encoder *encoder, size_t most);

struct sink {
	const struct sink_ops *ops;
	struct sink *next; /* the pipeline's */
};

struct sink_ops {
	/* One event. event->process and all it points to are valid for this call only. */
	void (*event)(struct sink *sink, const struct event *event, struct encoder *encoder);
	/* No more events for now; behind: but more wait, and time is up. May be NULL. */
	void (*flush)(struct sink *sink, bool behind);
	/* A process was added to the table or removed from it, with an event or without (for
	 * `tree`). May be NULL. */
	void (*fork)(struct sink *sink, const struct process *child);
	void (*exit)(struct sink *sink, const struct process *process);
	/* It, or one of its streams, folds searches along $PATH. NULL: no. */
	bool (*folds)(const struct sink *sink);
	/* The end of a search: what is held of it is sent, or dropped (found). NULL if folds() is. */
	void (*search_end)(struct sink *sink, unsigned search, bool found);
};
