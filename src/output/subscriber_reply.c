/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Replies to requests. One that is not written yet is held here too, beside the queue, to count them: once the queue
 * has dropped its reference, the reply is written. */
#include "output/subscriber_internal.h"

#define REPLIES_HELD (64 << 10) /* of memory: with more of unread replies, no other is taken */

/* A place for a reply; NULL if replies that are not written yet take all of them, or too much memory. */
static struct line **reply_place(struct subscriber *s)
{
	struct line **place = NULL;
	size_t unread = 0;

	for (size_t i = 0; i < SUBSCRIBER_REPLIES_MAX; i++) {
		if (s->replies[i] && s->replies[i]->refs == 1)
			s->replies[i] = line_unref(s->replies[i]);
		if (s->replies[i])
			unread += s->replies[i]->held;
		else
			place = &s->replies[i];
	}
	return unread <= REPLIES_HELD ? place : NULL;
}

bool subscriber_takes_replies(struct subscriber *s)
{
	return reply_place(s);
}

/* Between two lines of a snapshot, or after the events that came before it. */
static int push_reply(struct subscriber *s, struct line *line)
{
	int r = s->lost_count > 0 && !s->cursor ? subscriber_push_lost(s) : 0;

	return r < 0 ? r : line_queue_push(s->cursor ? subscriber_before(s) : s->queue, line);
}

int subscriber_reply(struct subscriber *s, struct line *line)
{
	struct line **place = reply_place(s);
	int r;

	ASSERT(place);
	r = push_reply(s, line);
	if (r == 0)
		*place = line_ref(line);
	return r;
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
