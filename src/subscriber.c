/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What goes out, in this order: what is queued from before the snapshot (answers); the snapshot's lines, made as
 * they are read; `live`; what happened since. So there are two buffers: `before`, and `queue`, which waits while a
 * snapshot is under way. Only the queue is bounded by what was configured; `before` holds answers, and the one
 * snapshot line that is being written.
 */
#include "subscriber.h"

#include <errno.h>
#include <time.h>

#define TURN_MOST (256 << 10) /* bytes in one turn: the ring buffer comes first again after that */

struct subscriber {
	int fd;
	struct subscriber_config config;
	struct proctable *table;
	struct buffer *before, *queue;
	struct proctable_cursor *cursor; /* of the snapshot under way */
	bool joined, had_snapshot;
	uint64_t joined_at; /* the table's clock */
	/* A loss that has no line yet. */
	uint64_t lost_count, lost_first, lost_last;
	bool dropping, too_slow;
	uint64_t events, lost;
};

int subscriber_new(struct subscriber **ret, int fd, const struct subscriber_config *config, struct proctable *table)
{
	_cleanup_(subscriber_free_p) struct subscriber *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->fd = fd;
	s->table = table;
	r = buffer_new(&s->before, SIZE_MAX);
	if (r == 0)
		r = buffer_new(&s->queue, config->queue);
	if (r == 0 && config->filter)
		r = filter_follow(config->filter, table);
	if (r < 0)
		return r;
	s->config = *config;
	*ret = TAKE_PTR(s);
	return 0;
}

struct subscriber *subscriber_free(struct subscriber *s)
{
	if (!s)
		return NULL;
	proctable_cursor_free(s->cursor);
	filter_free(s->config.filter);
	buffer_free(s->before);
	buffer_free(s->queue);
	free(s);
	return NULL;
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* A line that is this subscriber's alone. */
static int push_own(struct subscriber *s, struct buffer *buffer, const struct event *event)
{
	_cleanup_(line_unref_p) struct line *line = NULL;
	int r = json_event(s->config.json, &line, event, s->config.keys);

	return r < 0 ? r : buffer_push_always(buffer, line);
}

/* The loss stands before whatever comes next. */
static int say_lost(struct subscriber *s)
{
	struct event event = {
		.type = EVENT_LOST,
		.time = now(),
		.lost = { .where = LOST_SUBSCRIBER,
			  .count = s->lost_count,
			  .first_seq = s->lost_first,
			  .last_seq = s->lost_last },
	};
	int r = push_own(s, s->queue, &event);

	if (r == 0) {
		s->lost_count = 0;
		s->dropping = false;
	}
	return r;
}

/* There is room again: half of it, so that not every line that gets out is paid with another `lost`. */
static bool may_resume(const struct subscriber *s)
{
	return s->dropping && buffer_size(s->queue) <= buffer_limit(s->queue) / 2;
}

static void lose(struct subscriber *s, const struct event *event)
{
	if (s->lost_count++ == 0)
		s->lost_first = event->seq;
	s->lost_last = event->seq;
	s->lost++;
	s->dropping = true;
	if (s->config.disconnect)
		s->too_slow = true;
}

/* Whether it was told of the process that ends. */
static bool knows(const struct subscriber *s, const struct event *event)
{
	return event->told > s->joined_at || (s->had_snapshot && event->born <= s->joined_at);
}

static bool wants(const struct subscriber *s, const struct event *event)
{
	if (event->type == EVENT_EXITED && !knows(s, event))
		return false;
	return !s->config.filter || filter_pass(s->config.filter, event);
}

void subscriber_event(struct subscriber *s, const struct event *event, struct encoder *encoder)
{
	struct line *line;

	if (!s->joined || s->too_slow || !wants(s, event))
		return;
	if (may_resume(s))
		say_lost(s);
	if (s->dropping || encoder_line(encoder, s->config.keys, &line) < 0 || buffer_push(s->queue, line) != 0) {
		lose(s, event);
		return;
	}
	s->events++;
}

void subscriber_fork(struct subscriber *s, const struct process *child)
{
	if (s->config.filter)
		filter_note_fork(s->config.filter, child);
}

void subscriber_exit(struct subscriber *s, const struct process *process)
{
	if (s->config.filter)
		filter_note_exit(s->config.filter, process);
}

int subscriber_join(struct subscriber *s, bool snapshot)
{
	_cleanup_(proctable_cursor_free_p) struct proctable_cursor *cursor = NULL;
	int r = snapshot ? proctable_cursor_new(&cursor, s->table) : 0;

	/* What is queued is older than the snapshot. */
	if (r == 0 && snapshot)
		r = buffer_move(s->before, s->queue);
	if (r < 0)
		return r;
	s->cursor = proctable_cursor_free(s->cursor);
	s->cursor = TAKE_PTR(cursor);
	s->joined = true;
	s->had_snapshot = snapshot;
	s->joined_at = proctable_clock(s->table);
	return 0;
}

int subscriber_configure(struct subscriber *s, key_set keys, struct filter *filter, bool anew)
{
	int r = filter ? filter_follow(filter, s->table) : 0;

	if (r == 0 && s->lost_count > 0)
		r = say_lost(s);
	if (r < 0)
		return r;
	if ((s->cursor && anew) || (s->config.filter && !filter_is_empty(s->config.filter))) {
		s->had_snapshot = false;
		s->joined_at = proctable_clock(s->table);
	}
	if (anew)
		s->cursor = proctable_cursor_free(s->cursor);
	filter_free(s->config.filter);
	s->config.filter = filter;
	s->config.keys = keys;
	return 0;
}

void subscriber_set_limits(struct subscriber *s, size_t queue, bool disconnect)
{
	buffer_set_limit(s->queue, queue);
	s->config.queue = queue;
	s->config.disconnect = disconnect;
}

int subscriber_say(struct subscriber *s, struct line *line)
{
	int r = s->lost_count > 0 && !s->cursor ? say_lost(s) : 0;

	/* Between two lines of a snapshot, or behind the events that came before the request. */
	if (r < 0)
		return r;
	return buffer_push_always(s->cursor ? s->before : s->queue, line);
}

/* The next line of the snapshot, or its end. */
static int snapshot_line(struct subscriber *s)
{
	const struct entry *entry;
	struct event event = { .type = EVENT_STARTED, .snapshot = true, .boot = s->config.boot };

	while ((entry = proctable_cursor_next(s->cursor))) {
		event.process = &entry->process;
		event.source = entry->process.source;
		event.time = entry->process.start_time;
		if (!s->config.filter || filter_pass(s->config.filter, &event))
			return push_own(s, s->before, &event);
	}
	s->cursor = proctable_cursor_free(s->cursor);
	event = (struct event){ .type = EVENT_LIVE, .time = now() };
	return push_own(s, s->before, &event);
}

static int outcome(int r)
{
	return r == BUFFER_E_BLOCKED ? SUBSCRIBER_E_BLOCKED : r == BUFFER_E_MORE ? SUBSCRIBER_E_MORE : r;
}

int subscriber_write(struct subscriber *s)
{
	size_t turn = 0;
	int r;

	if (s->too_slow)
		return SUBSCRIBER_E_SLOW;
	/* The snapshot in portions: as much as is written at once, not more, whatever the size of the table. */
	do {
		while (s->cursor && buffer_size(s->before) < (32 << 10)) {
			r = snapshot_line(s);
			if (r < 0)
				return r;
		}
		turn += buffer_size(s->before);
		r = buffer_write(s->before, s->fd, TURN_MOST);
		if (r != 0)
			return outcome(r);
	} while (s->cursor && turn < TURN_MOST);
	if (s->cursor)
		return SUBSCRIBER_E_MORE;
	r = buffer_write(s->queue, s->fd, TURN_MOST);
	/* Also where nothing new happens: the loss is told as soon as there is room. */
	if (r >= 0 && s->lost_count > 0 && may_resume(s)) {
		int told = say_lost(s);

		if (told < 0)
			return told;
		if (r == 0)
			r = buffer_write(s->queue, s->fd, TURN_MOST);
	}
	return outcome(r);
}

bool subscriber_is_too_slow(const struct subscriber *s)
{
	return s->too_slow;
}

bool subscriber_has_output(const struct subscriber *s)
{
	return s->cursor || s->too_slow || !buffer_is_empty(s->before) || !buffer_is_empty(s->queue);
}

void subscriber_stats(const struct subscriber *s, struct subscriber_stats *ret)
{
	*ret = (struct subscriber_stats){
		.events = s->events,
		.lost = s->lost,
		.queue = buffer_size(s->queue) + buffer_size(s->before),
		.queue_peak = buffer_peak(s->queue),
		.queue_limit = buffer_limit(s->queue),
		.in_snapshot = s->cursor,
	};
}
