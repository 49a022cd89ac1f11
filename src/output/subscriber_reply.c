/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Replies to requests. One that is not written yet is held here too, beside the queue, to count them: once the queue
 * has dropped its reference, the reply is written. */
#include "output/subscriber_internal.h"

#define REPLIES_HELD (64 << 10) /* of memory: with more of unread replies, no other is taken */

static bool is_unwritten(const struct line *line)
{
	return line && line->refs > 1;
}

bool subscriber_takes_replies(const struct subscriber *s)
{
	size_t unread = 0, count = 0;

	for (size_t i = 0; i < SUBSCRIBER_REPLIES_MAX; i++) {
		if (is_unwritten(s->replies[i])) {
			unread += s->replies[i]->held;
			count++;
		}
	}
	return count < SUBSCRIBER_REPLIES_MAX && unread <= REPLIES_HELD;
}

void subscriber_drop_written(struct subscriber *s)
{
	for (size_t i = 0; i < SUBSCRIBER_REPLIES_MAX; i++)
		if (!is_unwritten(s->replies[i]))
			s->replies[i] = line_unref(s->replies[i]);
	if (!is_unwritten(s->mark))
		s->mark = line_unref(s->mark);
}

/* Between two lines of a snapshot, or after the events that came before it. */
static int push_reply(struct subscriber *s, struct line *line)
{
	int r = s->lost_count > 0 && !s->cursor ? subscriber_push_lost(s) : 0;

	return r < 0 ? r : line_queue_push(s->cursor ? subscriber_before(s) : s->queue, line);
}

int subscriber_reply(struct subscriber *s, struct line *line)
{
	size_t i = 0;
	int r;

	ASSERT(subscriber_takes_replies(s));
	r = push_reply(s, line);
	if (r < 0)
		return r;
	subscriber_drop_written(s);
	while (s->replies[i])
		i++;
	s->replies[i] = line_ref(line);
	return 0;
}

int subscriber_finish(struct subscriber *s, struct line *line)
{
	int r;

	subscriber_send_held(s);
	r = push_reply(s, line);
	if (r < 0)
		return r;
	if (s->cursor)
		line_queue_clear(s->queue);
	subscriber_end_portion(s);
	s->joined = false;
	s->lost_count = 0;
	subscriber_save_checkpoint(s);
	return 0;
}

void subscriber_forget_replies(struct subscriber *s)
{
	for (size_t i = 0; i < SUBSCRIBER_REPLIES_MAX; i++)
		s->replies[i] = line_unref(s->replies[i]);
	s->mark = line_unref(s->mark);
}
