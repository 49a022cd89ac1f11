/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A line that is no event, at an interval: proof that the stream is alive and complete, also where a filter passes
 * nothing. It goes through the queue, so it is about what comes before it. */
#include "output/subscriber_internal.h"

void subscriber_mark(struct subscriber *s)
{
	struct line *line;

	subscriber_drop_written(s);
	/* One at a time: a reader that has stopped must not have its queue filled by marks. */
	if (!s->joined || s->too_slow || s->mark)
		return;
	if (subscriber_may_resume(s))
		subscriber_push_lost(s);
	if (s->dropping || stream_mark(s->config.stream, s->lines, &line) < 0)
		return;
	if (subscriber_has_room(s, line) && line_queue_push(s->queue, line) == 0)
		s->mark = line;
	else
		line_unref(line);
}
