/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a subscriber asks for, and its state for the next daemon: in the archive at a clean stop, in the checkpoint as
 * it changes. */
#include "output/subscriber_internal.h"
#include "util/clock.h"

void subscriber_set_args_bytes(struct subscriber *s, size_t args_bytes)
{
	s->args_bytes = args_bytes;
}

key_set subscriber_keys(const struct subscriber *s)
{
	return s->config.keys;
}

struct filter *subscriber_filter(const struct subscriber *s)
{
	return s->config.filter;
}

void subscriber_set_folds(struct subscriber *s, bool folds)
{
	s->folds = folds;
}

bool subscriber_folds(const struct subscriber *s)
{
	return s->folds;
}

void subscriber_write_checkpoint(struct subscriber *s)
{
	struct checkpoint_stream *checkpoint = s->checkpoint;
	uint64_t first = s->lost_count ? s->lost_first : 0, waiting = s->lost_count;
	const struct line *held = search_hold_first(&s->hold);

	/* What is out first is asked last. */
	waiting += line_queue_events(s->queue, &first);
	waiting += line_queue_events(s->before, &first);
	waiting += s->hold.count;
	if (held && (first == 0 || held->seq < first))
		first = held->seq;
	checkpoint->waiting = waiting;
	checkpoint->retained = line_queue_retained(s->queue, &checkpoint->retained_first, &checkpoint->retained_last);
	checkpoint->retains = line_queue_retains(s->queue);
	checkpoint->passed_seq = line_queue_passed(s->queue);
	checkpoint->snapshot_unacknowledged = s->snapshot_unacknowledged;
	checkpoint->lines = s->lines - line_queue_event_lines(s->queue) - line_queue_event_lines(s->before);
	checkpoint->first_seq = waiting ? first : 0;
	/* All that waits may be a loss without a number. */
	checkpoint->last_seq = checkpoint->first_seq > 0 ? s->last_seq : 0;
	checkpoint->mid_line = line_queue_may_be_mid_line(s->before) || line_queue_may_be_mid_line(s->queue);
	checkpoint->in_snapshot = s->cursor != NULL;
	checkpoint->joined = s->joined;
	checkpoint->had_snapshot = s->since.had_snapshot;
	checkpoint->joined_ns = s->since.boot_ns;
}

int subscriber_archive(struct subscriber *s, struct archive *a, struct line_set *lines)
{
	uint64_t first, last;
	int r = line_queue_archive(s->before, a, lines);

	if (r < 0)
		return r;
	r = line_queue_archive(s->queue, a, lines);
	if (r < 0)
		return r;
	r = proctable_cursor_archive(&s->cursor, s->table, a);
	if (r < 0)
		return r;
	r = filter_archive(s->config.filter, a);
	if (r < 0)
		return r;
	r = subscriber_hold_archive(s, a, lines);
	if (r < 0)
		return r;
	ARCHIVE(a, s->portion);
	ARCHIVE(a, s->snapshot_seq);
	ARCHIVE(a, s->snapshot_unacknowledged);
	archive_flag(a, &s->joined);
	archive_flag(a, &s->filter_stale);
	archive_flag(a, &s->undecided);
	joined_archive(&s->since, a);
	ARCHIVE(a, s->lost_count);
	ARCHIVE(a, s->lost_first);
	ARCHIVE(a, s->lost_last);
	archive_flag(a, &s->dropping);
	archive_flag(a, &s->too_slow);
	ARCHIVE(a, s->events);
	ARCHIVE(a, s->lost);
	ARCHIVE(a, s->lines);
	ARCHIVE(a, s->last_seq);
	/* A snapshot begins where nothing is retained. */
	if (s->cursor && line_queue_retained(s->queue, &first, &last) > 0)
		archive_fail(a);
	/* What is before the queue's lines is out first, and is not retained (line_queue_move()). */
	if (((s->cursor || !line_queue_is_empty(s->before)) && line_queue_is_mid_line(s->queue)) ||
	    line_queue_retained(s->before, &first, &last) > 0)
		archive_fail(a);
	s->undecided = s->undecided && s->cursor && proctable_cursor_at(s->cursor);
	subscriber_count_portion(s);
	return archive_error(a);
}

void subscriber_set_checkpoint(struct subscriber *s, struct checkpoint_stream *checkpoint)
{
	s->checkpoint = checkpoint;
	subscriber_save_checkpoint(s);
}

/* What the reader had not acknowledged is not here any more. If it never does, a new connection gets this line. */
static int resume_retained(struct subscriber *s, const struct checkpoint_stream *previous)
{
	struct event event = {
		.type = EVENT_LOST,
		.time = clock_ns(CLOCK_REALTIME),
		.lost = { .where = LOST_SUBSCRIBER,
			  .count = previous->retained,
			  .first_seq = previous->retained_first,
			  .last_seq = previous->retained_last },
	};
	int r;

	line_queue_set_passed(s->queue, previous->passed_seq);
	line_queue_set_retains(s->queue, previous->retains);
	if (!previous->retains || previous->retained == 0)
		return 0;
	r = subscriber_push_own(s, s->queue, &event);
	/* A snapshot begins again, and first comes all that was before it. */
	if (r == 0 && !previous->in_snapshot)
		line_queue_retain(s->queue, 1);
	return r;
}

int subscriber_resume(struct subscriber *s, const struct checkpoint_stream *previous)
{
	int r;

	s->since = (struct joined){
		.clock = proctable_clock(s->table),
		.had_snapshot = previous->had_snapshot,
		.resumed = true,
		.boot_ns = previous->joined_ns,
	};
	s->joined = previous->joined;
	r = resume_retained(s, previous);
	if (r < 0)
		return r;
	s->lines = previous->lines;
	s->snapshot_unacknowledged = previous->snapshot_unacknowledged;
	s->lost_count = s->lost = previous->waiting;
	s->lost_first = previous->first_seq;
	s->lost_last = s->last_seq = previous->last_seq;
	if (s->lost_count > 0)
		r = subscriber_push_lost(s);
	return r == 0 && previous->in_snapshot ? subscriber_join(s, true) : r;
}
