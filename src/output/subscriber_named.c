/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A subscriber that outlives its connection. Only `queue` does: `before` holds lines of the connection (replies, a
 * snapshot, and what was queued before the subscriber had its name) and is dropped with it.
 *
 * For a reader that acknowledges, the queue retains what is written (line_queue.h), so a new connection gets it again.
 * For one that does not, the new connection continues with the first line that was not written whole.
 */
#include <errno.h>

#include "output/subscriber_internal.h"
#include "util/clock.h"

int subscriber_set_named(struct subscriber *s, struct line *line)
{
	int r = line_queue_move(subscriber_before(s), s->queue);

	if (r < 0)
		return r;
	r = line_queue_push(s->before, line);
	if (r < 0)
		return r;
	line_queue_set_passed(s->queue, s->config.stream->last_seq);
	s->config.disconnect = false;
	return 0;
}

void subscriber_set_unnamed(struct subscriber *s)
{
	line_queue_set_retains(s->queue, false);
	s->snapshot_unacknowledged = 0;
	subscriber_save_checkpoint(s);
}

void subscriber_set_acknowledges(struct subscriber *s)
{
	line_queue_set_retains(s->queue, true);
	subscriber_save_checkpoint(s);
}

int subscriber_acknowledge(struct subscriber *s, uint64_t seq)
{
	bool is_live = seq == s->snapshot_seq && !s->cursor && line_queue_is_empty(s->before);

	if (seq > s->config.stream->last_seq)
		return -ERANGE;
	line_queue_set_retains(s->queue, true);
	if (line_queue_acknowledge(s->queue, seq) || is_live)
		s->snapshot_unacknowledged = 0;
	subscriber_save_checkpoint(s);
	return 0;
}

/* Processes of a snapshot that the reader may not have. */
static uint64_t snapshot_missing(struct subscriber *s)
{
	uint64_t missing = s->cursor ? proctable_cursor_remaining(s->cursor) + s->undecided : 0;
	uint64_t unwritten = line_queue_drop_snapshot(s->before);

	return missing + (line_queue_retains(s->queue) ? s->snapshot_unacknowledged : unwritten);
}

static void push_missing(struct subscriber *s, uint64_t missing)
{
	struct event event = {
		.type = EVENT_LOST,
		.time = clock_ns(CLOCK_REALTIME),
		.lost = { .where = LOST_SUBSCRIBER, .count = missing },
	};

	if (subscriber_push_own(s, s->queue, &event) < 0) {
		if (s->lost_count == 0)
			s->lost_first = s->lost_last = 0;
		s->lost_count += missing;
		s->dropping = true;
	}
}

void subscriber_detach(struct subscriber *s)
{
	uint64_t missing;

	line_queue_begin_line_again(s->before);
	line_queue_begin_line_again(s->queue);
	missing = snapshot_missing(s);
	line_queue_clear(s->before);
	subscriber_drop_cursor(s);
	subscriber_count_portion(s);
	subscriber_forget_replies(s);
	line_queue_drop_other(s->queue);
	s->portion = 0;
	s->snapshot_unacknowledged = 0;
	s->too_slow = false;
	s->fd = -1;
	if (missing > 0)
		push_missing(s, missing);
	subscriber_save_checkpoint(s);
}

/* The other end of a descriptor must get a whole line. */
static int take_rest(struct subscriber *s, const struct subscriber *other)
{
	const struct line_queue *queue = other->before;
	_cleanup_(line_unref_p) struct line *rest = NULL;
	int r;

	if (!line_queue_is_mid_line(queue))
		queue = other->queue;
	if (!line_queue_is_mid_line(queue))
		return 0;
	r = line_queue_rest(queue, &rest);
	return r < 0 ? r : line_queue_push(s->before, rest);
}

int subscriber_replace(struct subscriber *s, const struct subscriber *other)
{
	int r = take_rest(s, other);

	if (r < 0)
		return r;
	s->fd = other->fd;
	subscriber_save_checkpoint(s);
	return 0;
}

int subscriber_attach(struct subscriber *s, const struct subscriber *other, struct line *line)
{
	int r = subscriber_replace(s, other);

	if (r < 0)
		return r;
	r = line_queue_push(s->before, line);
	if (r < 0) {
		/* The connection is lost with it. */
		subscriber_detach(s);
		return r;
	}
	line_queue_rewind(s->queue);
	s->lines = line_queue_event_lines(s->queue);
	subscriber_save_checkpoint(s);
	return 0;
}

uint64_t subscriber_passed(const struct subscriber *s)
{
	return line_queue_passed(s->queue);
}
