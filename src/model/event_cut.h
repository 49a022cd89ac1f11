/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An event with fewer arguments, for an output with a limit of its own. */
#ifndef EXECSNOOP_EVENT_CUT_H
#define EXECSNOOP_EVENT_CUT_H

#include <stddef.h>

#include "model/event.h"

/* Memory for a view; see event_cut_args(). */
struct event_cut {
	struct event event;
	struct process process;
};

/* It has more than `limit` bytes of arguments, each with its NUL; limit 0: none. */
static inline bool event_exceeds(const struct event *event, size_t limit)
{
	return limit > 0 && event->process && event->process->image.args.size > limit;
}

/*
 * The event with at most `limit` bytes of arguments, cut between two of them, and args_truncated; argc and args_size
 * stay those of the whole list. Returns the event itself where nothing is to be cut, else a view in *cut, valid as long
 * as the event is.
 */
const struct event *event_cut_args(const struct event *event, size_t limit, struct event_cut *cut);

#endif
