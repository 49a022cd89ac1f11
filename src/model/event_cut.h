/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An event with fewer arguments, its own and its parent's, for an output with a limit of its own. */
#pragma once

#include <stddef.h>

#include "model/extras.h"

/* Memory for a view; see event_cut_args(). */
struct event_cut {
	struct event event;
	struct process process;
	struct extras extras;
};

bool event_parent_exceeds(const struct event *event, size_t limit);

/* It has more than `limit` bytes of arguments, each with its NUL, or of its parent's, if `keys` have them; limit 0:
 * none. */
static inline bool event_exceeds(const struct event *event, key_set keys, size_t limit)
{
	if (limit == 0 || !event->process)
		return false;
	return event->process->image.args.size > limit ||
	       (keys & KEY_BIT(KEY_PARENT_ARGS) && event_parent_exceeds(event, limit));
}

/*
 * The event with at most `limit` bytes of each list of arguments, cut between two of them, and args_truncated; argc and
 * args_size stay those of the whole list. Returns the event itself where nothing is to be cut, else a view in *cut,
 * valid as long as the event is.
 */
const struct event *event_cut_args(const struct event *event, key_set keys, size_t limit, struct event_cut *cut);
