/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A sink takes the events of the pipeline. What a sink does with an event may neither block nor fail:
 * what it cannot take it counts, and says later in a `lost` of its own.
 */
#ifndef EXECSNOOP_SINK_H
#define EXECSNOOP_SINK_H

#include "model/event.h"
#include "model/proctable.h"
#include "output/json.h"
#include "output/line_queue.h"

/* Gives the JSON line of the event at hand, encoded at the first call for that set of keys.
 * The line is the encoder's until the event is over: take a reference to keep it. -ENOMEM. */
struct encoder;
int encoder_line(struct encoder *encoder, key_set keys, struct line **ret);

struct sink {
	const struct sink_ops *ops;
	struct sink *next; /* the pipeline's */
};

struct sink_ops {
	/* One event. event->process and all it points to are valid for this call only. */
	void (*event)(struct sink *sink, const struct event *event, struct encoder *encoder);
	/* No more events for now: time to write. May be NULL. */
	void (*flush)(struct sink *sink);
	/* A process came into the table or left it, silently or not (for `tree`). May be NULL. */
	void (*fork)(struct sink *sink, const struct process *child);
	void (*exit)(struct sink *sink, const struct process *process);
};

#endif
