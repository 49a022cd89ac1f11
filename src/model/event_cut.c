/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/event_cut.h"

#include "util/nulstr.h"

bool event_parent_exceeds(const struct event *event, size_t limit)
{
	if (!event->extras)
		return false;
	extras_make(event->extras, event->process, KEY_BIT(KEY_PARENT_ARGS));
	return event->extras->parent_args.size > limit;
}

static void cut_list(struct bytes *list, bool *truncated, size_t limit)
{
	if (list->size <= limit)
		return;
	list->size = nulstr_cut(*list, limit);
	*truncated = true;
}

const struct event *event_cut_args(const struct event *event, key_set keys, size_t limit, struct event_cut *cut)
{
	struct image *image = &cut->process.image;

	if (!event_exceeds(event, keys, limit))
		return event;
	cut->event = *event;
	cut->process = *event->process;
	cut->event.process = &cut->process;
	cut_list(&image->args, &image->args_truncated, limit);
	/* What is not asked for is not made. */
	if (event->extras && keys & KEY_BIT(KEY_PARENT_ARGS)) {
		cut->extras = *event->extras;
		cut->event.extras = &cut->extras;
		extras_make(&cut->extras, event->process, keys);
		cut_list(&cut->extras.parent_args, &cut->extras.parent_args_truncated, limit);
	}
	return &cut->event;
}
