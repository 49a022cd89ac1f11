/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The errors that a subscriber holds until a search along $PATH ends (search_hold.h): lines that are charged to its
 * queue, and not in it yet. */
#include "output/subscriber_internal.h"

void subscriber_hold(struct subscriber *s, const struct event *event, struct encoder *encoder)
{
	struct line *line;

	/* This one represents those before it, also if it is lost. */
	line_unref(search_hold_take(&s->hold, event->search));
	if (subscriber_may_resume(s))
		subscriber_push_lost(s);
	if (s->dropping || subscriber_encode(s, event, encoder, &line) < 0 || !subscriber_has_room(s, line) ||
	    search_hold_put(&s->hold, event->search, line, line->held) < 0)
		subscriber_lose(s, event->seq, 1);
	else
		line_ref(line);
}

/* It had its room already, also where events are dropped now. */
static void send_held(struct subscriber *s, struct line *line)
{
	if (line_queue_push(s->queue, line) < 0) {
		subscriber_lose(s, line->seq, line->events);
		return;
	}
	s->events++;
	s->lines++;
}

void subscriber_send_held(struct subscriber *s)
{
	struct line *line;

	while ((line = search_hold_take_first(&s->hold))) {
		send_held(s, line);
		line_unref(line);
	}
}

void subscriber_drop_held(struct subscriber *s)
{
	struct line *line;

	while ((line = search_hold_take_first(&s->hold)))
		line_unref(line);
}

void subscriber_search_end(struct subscriber *s, unsigned search, bool found)
{
	struct line *line = search_hold_take(&s->hold, search);

	if (!line)
		return;
	if (!found)
		send_held(s, line);
	line_unref(line);
	subscriber_save_checkpoint(s);
}

/* Archive. */

static int read_held(struct subscriber *s, struct archive *a, struct line_set *lines)
{
	struct line *line;
	unsigned search;
	int r;

	ARCHIVE(a, search);
	r = line_archive(&line, a, lines);
	if (r < 0)
		return r;
	if (search == 0 || search > SEARCHES_MAX || search_hold_item(&s->hold, search))
		archive_fail(a);
	r = archive_error(a);
	if (r == 0)
		r = search_hold_put(&s->hold, search, line, line->held);
	if (r < 0)
		line_unref(line);
	return r;
}

static int write_held(struct subscriber *s, struct archive *a, struct line_set *lines)
{
	for (unsigned search = search_hold_next(&s->hold, 0); search; search = search_hold_next(&s->hold, search)) {
		struct line *line = search_hold_item(&s->hold, search);
		unsigned number = search;
		int r;

		ARCHIVE(a, number);
		r = line_archive(&line, a, lines);
		if (r < 0)
			return r;
	}
	return archive_error(a);
}

int subscriber_hold_archive(struct subscriber *s, struct archive *a, struct line_set *lines)
{
	size_t count = s->hold.count;

	archive_count(a, &count, SEARCHES_MAX);
	if (!archive_is_reading(a))
		return write_held(s, a, lines);
	for (size_t i = 0; i < count; i++) {
		int r = read_held(s, a, lines);

		if (r < 0)
			return r;
	}
	return archive_error(a);
}
