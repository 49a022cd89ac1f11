/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/event_cut.h"

#include "util/nulstr.h"

const struct event *event_cut_args(const struct event *event, size_t limit, struct event_cut *cut)
{
	struct image *image = &cut->process.image;

	if (!event_exceeds(event, limit))
		return event;
	cut->event = *event;
	cut->process = *event->process;
	cut->event.process = &cut->process;
	image->args.size = nulstr_cut(image->args, limit);
	image->args_truncated = true;
	return &cut->event;
}
