/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What goes out, in this order: what is queued from before the snapshot (replies); the snapshot's lines, made as
 * they are read; `live`; what happened since. So there are two buffers: `before`, and `queue`, which waits while a
 * snapshot is under way. What a new snapshot finds in the queue moves to `before`, but counts as queue until it is
 * out: else each further snapshot that is asked for and not read would free the queue for as much again. All that both
 * hold is charged to the queue, but for the snapshot's own lines.
 */
#include "output/subscriber_internal.h"

#include <errno.h>

#include "model/event_cut.h"
#include "util/clock.h"

/* In one turn; the ring buffer comes first again after that. */
#define TURN_MAX (256 << 10) /* bytes */
#define LOOKS_MAX 4096	     /* processes that are held against the filter for a snapshot, */
#define LOOK_STEPS 1000000   /* and what that may cost (glob.h) */

#define LONG_ARGS (64 << 10) /* bytes of arguments whose line may not fit the queue */
#define PORTION (32 << 10)   /* bytes of a snapshot that are made at once */

static size_t portions; /* of all subscribers */

static void take_filter(struct subscriber *s, struct filter *filter)
{
	s->config.filter = filter;
	s->follows = filter && filter_has_tree(filter);
	s->undecided_at = (struct filter_place){ 0 };
	if (filter && filter_has_patterns(filter))
		budget_join(&s->share, s->config.budget, s->config.uid);
	else
		budget_leave(&s->share);
}

void subscriber_drop_cursor(struct subscriber *s)
{
	s->cursor = proctable_cursor_free(s->cursor);
	s->undecided = false;
}

int subscriber_new(struct subscriber **ret, int fd, const struct subscriber_config *config, struct proctable *table)
{
	_cleanup_(subscriber_free_p) struct subscriber *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->fd = fd;
	s->table = table;
	r = line_queue_new(&s->before, SIZE_MAX);
	if (r == 0)
		r = line_queue_new(&s->queue, config->queue);
	if (r == 0 && config->filter)
		r = filter_follow(config->filter, table);
	if (r < 0)
		return r;
	s->config = *config;
	if (!s->config.stream)
		s->config.stream = &stream_none;
	take_filter(s, config->filter);
	extras_prepare(s->config.extras, s->config.keys);
	*ret = TAKE_PTR(s);
	return 0;
}

struct subscriber *subscriber_free(struct subscriber *s)
{
	if (!s)
		return NULL;
	proctable_cursor_free(s->cursor);
	budget_leave(&s->share);
	filter_free(s->config.filter);
	subscriber_forget_replies(s);
	portions -= s->counted;
	subscriber_drop_held(s);
	line_queue_free(s->before);
	line_queue_free(s->queue);
	free(s);
	return NULL;
}

int subscriber_push_own(struct subscriber *s, struct line_queue *buffer, struct event *event)
{
	_cleanup_(line_unref_p) struct line *line = NULL;
	struct extras extras = { .source = s->config.extras };
	struct event_cut cut;
	int r;

	event->extras = &extras;
	r = json_event(s->config.json, &line, event_cut_args(event, s->config.keys, s->args_bytes, &cut),
		       subscriber_line_keys(s));
	event->extras = NULL;
	if (r < 0)
		return r;
	s->lines += line->events > 0;
	return line_queue_push(buffer, line);
}

int subscriber_push_lost(struct subscriber *s)
{
	struct event event = {
		.type = EVENT_LOST,
		.time = clock_ns(CLOCK_REALTIME),
		.lost = { .where = LOST_SUBSCRIBER,
			  .count = s->lost_count,
			  .first_seq = s->lost_first,
			  .last_seq = s->lost_last },
	};
	int r = subscriber_push_own(s, s->queue, &event);

	if (r == 0) {
		s->lost_count = 0;
		s->dropping = false;
	}
	return r;
}

/* Memory of the snapshot's lines. */
static size_t portion_held(const struct subscriber *s)
{
	size_t before = line_queue_held(s->before);

	return before < s->portion ? before : s->portion;
}

void subscriber_count_portion(struct subscriber *s)
{
	size_t now = portion_held(s);

	portions += now - s->counted;
	s->counted = now;
}

size_t subscriber_portions(void)
{
	return portions;
}

struct line_queue *subscriber_before(struct subscriber *s)
{
	if (line_queue_is_empty(s->before))
		s->portion = 0;
	return s->before;
}

/* Of what counts as queue, all that reading makes less. */
static size_t held_to_read(const struct subscriber *s)
{
	return line_queue_held(s->queue) + line_queue_held(s->before) - portion_held(s);
}

/* What counts as queue. */
static size_t held(const struct subscriber *s)
{
	return held_to_read(s) + s->hold.memory + filter_memory(s->config.filter);
}

bool subscriber_has_room(const struct subscriber *s, const struct line *line)
{
	size_t limit = line_queue_limit(s->queue), used = held(s);

	return used <= limit && line_queue_cost(s->queue, line) <= limit - used;
}

bool subscriber_may_resume(const struct subscriber *s)
{
	return s->dropping && held_to_read(s) <= line_queue_limit(s->queue) / 2;
}

void subscriber_lose(struct subscriber *s, uint64_t seq, uint64_t count)
{
	if (s->lost_count == 0)
		s->lost_first = s->lost_last = 0;
	s->lost_count += count;
	/* An error that was held for a while is older than what was lost before it. */
	if (s->lost_first == 0 || (seq != 0 && seq < s->lost_first))
		s->lost_first = seq;
	if (seq > s->lost_last)
		s->lost_last = seq;
	s->lost += count;
	s->dropping = true;
	if (s->config.disconnect)
		s->too_slow = true;
}

static enum filter_result wants(struct subscriber *s, const struct event *event)
{
	if (event->type == EVENT_EXITED && !event_was_announced(event, &s->since))
		return FILTER_NO;
	return s->config.filter ? filter_ask(s->config.filter, event, &s->share) : FILTER_YES;
}

/* Whether it is longer than the queue, as far as that is known before it is encoded: any user can exec programs whose
 * lines would be 12 MiB. */
static bool is_too_large(const struct subscriber *s, const struct event *event, struct encoder *encoder)
{
	return event->process && event->process->image.args.size >= LONG_ARGS && s->config.keys & KEY_BIT(KEY_ARGS) &&
	       s->args_bytes == 0 && encoder_args_exceed(encoder, line_queue_limit(s->queue));
}

int subscriber_encode(struct subscriber *s, const struct event *event, struct encoder *encoder, struct line **ret)
{
	return is_too_large(s, event, encoder) ? -E2BIG
					       : encoder_line(encoder, subscriber_line_keys(s), s->args_bytes, ret);
}

static void take(struct subscriber *s, const struct event *event, struct encoder *encoder)
{
	struct line *line;

	if (subscriber_may_resume(s))
		subscriber_push_lost(s);
	if (s->dropping || subscriber_encode(s, event, encoder, &line) < 0 || !subscriber_has_room(s, line) ||
	    line_queue_push(s->queue, line) != 0)
		subscriber_lose(s, event->seq, event_missing(event));
	else {
		s->events++;
		s->lines++;
	}
}

void subscriber_event(struct subscriber *s, const struct event *event, struct encoder *encoder)
{
	enum filter_result r;

	if (s->filter_stale && filter_follow(s->config.filter, s->table) == 0)
		s->filter_stale = false;
	if (!s->joined)
		return;
	r = wants(s, event);
	if (r == FILTER_NO)
		return;
	/* One that is too slow is disconnected soon, but a name continues, and after a crash so does a connection. */
	if (r != FILTER_YES || s->too_slow)
		subscriber_lose(s, event->seq, event_missing(event));
	else if (event->search && s->folds)
		subscriber_hold(s, event, encoder);
	else
		take(s, event, encoder);
	if (event->seq != 0)
		s->last_seq = event->seq;
	subscriber_save_checkpoint(s);
}

void subscriber_fork(struct subscriber *s, const struct process *child)
{
	if (s->follows && filter_fork(s->config.filter, child) < 0)
		s->filter_stale = true;
}

void subscriber_exit(struct subscriber *s, const struct process *process)
{
	if (s->follows)
		filter_exit(s->config.filter, process);
}

void subscriber_end_portion(struct subscriber *s)
{
	if (!s->cursor)
		return;
	subscriber_drop_cursor(s);
	if (portion_held(s) > 2 * PORTION)
		line_queue_drop_snapshot(s->before);
	s->portion = 0;
	if (held(s) > line_queue_limit(s->queue) + 2 * PORTION)
		s->too_slow = true;
	subscriber_count_portion(s);
}

int subscriber_join(struct subscriber *s, bool snapshot)
{
	_cleanup_(proctable_cursor_free_p) struct proctable_cursor *cursor = NULL;
	int r = snapshot ? proctable_cursor_new(&cursor, s->table) : 0;

	/* What is queued is older than the snapshot. */
	if (r == 0 && snapshot)
		r = line_queue_move(subscriber_before(s), s->queue);
	if (r < 0)
		return r;
	subscriber_end_portion(s);
	s->cursor = TAKE_PTR(cursor);
	s->snapshot_seq = s->config.stream->last_seq;
	s->snapshot_unacknowledged = 0;
	s->joined = true;
	s->since = (struct joined){
		.clock = proctable_clock(s->table),
		.had_snapshot = snapshot,
		.boot_ns = clock_ns(CLOCK_BOOTTIME),
	};
	subscriber_save_checkpoint(s);
	return 0;
}

int subscriber_configure(struct subscriber *s, key_set keys, struct filter *filter, bool is_request)
{
	int r = filter ? filter_follow(filter, s->table) : 0;

	/* Held errors are of the filter before, too. */
	if (r == 0 && is_request)
		subscriber_send_held(s);
	if (r == 0 && s->lost_count > 0)
		r = subscriber_push_lost(s);
	if (r < 0)
		return r;
	if ((s->cursor && is_request) || (s->config.filter && !filter_is_empty(s->config.filter))) {
		s->since = (struct joined){ .clock = proctable_clock(s->table), .boot_ns = clock_ns(CLOCK_BOOTTIME) };
	}
	if (is_request) {
		subscriber_end_portion(s);
		s->lines = 0;
	}
	filter_free(s->config.filter);
	s->filter_stale = false;
	take_filter(s, filter);
	s->config.keys = keys;
	extras_prepare(s->config.extras, keys);
	subscriber_save_checkpoint(s);
	return 0;
}

void subscriber_set_limits(struct subscriber *s, size_t queue, bool disconnect)
{
	line_queue_set_limit(s->queue, queue);
	s->config.queue = queue;
	s->config.disconnect = disconnect;
}

bool subscriber_snapshot_moved(const struct subscriber *s, uint64_t *ret)
{
	if (s->cursor)
		*ret = proctable_cursor_moved(s->cursor);
	return s->cursor;
}

/* What is queued, as a loss: it may be about processes that are not reported any more. */
static void lose_queue(struct subscriber *s)
{
	uint64_t first = 0, count = line_queue_events(s->queue, &first);

	if (count > 0) {
		/* All that waits may be a loss without a number. */
		if (s->lost_count == 0)
			s->lost_last = first > 0 ? s->last_seq : 0;
		if (s->lost_count == 0 || first > 0)
			s->lost_first = first;
		s->lost_count += count;
		s->lost += count;
		s->dropping = true;
	}
	s->lines -= line_queue_event_lines(s->queue);
	line_queue_clear(s->queue);
}

/* `live`, after what is missing. */
static int push_live(struct subscriber *s, size_t missing)
{
	_cleanup_(line_unref_p) struct line *line = NULL;
	struct event event = {
		.type = EVENT_LOST,
		.time = clock_ns(CLOCK_REALTIME),
		.lost = { .where = LOST_SUBSCRIBER, .count = missing },
	};
	int r = missing > 0 ? subscriber_push_own(s, subscriber_before(s), &event) : 0;

	if (r == 0)
		r = stream_live(s->config.stream, s->snapshot_seq, &line);
	return r < 0 ? r : line_queue_push(subscriber_before(s), line);
}

void subscriber_end_snapshot(struct subscriber *s)
{
	size_t missing;

	if (!s->cursor)
		return;
	missing = proctable_cursor_remaining(s->cursor) + s->undecided + line_queue_drop_snapshot(s->before);
	subscriber_drop_cursor(s);
	if (missing > 0) {
		lose_queue(s);
		s->since = (struct joined){ .clock = proctable_clock(s->table), .boot_ns = clock_ns(CLOCK_BOOTTIME) };
	}
	if (push_live(s, missing) < 0 || s->config.disconnect)
		s->too_slow = true;
	/* A line that is out in part must follow, and is charged to the queue now: it may be too much for that. */
	s->portion = 0;
	if (held(s) > line_queue_limit(s->queue))
		s->too_slow = true;
	subscriber_count_portion(s);
	subscriber_save_checkpoint(s);
}

/* A line of the snapshot's. */
static int push_portion(struct subscriber *s, struct event *event)
{
	struct line_queue *before = subscriber_before(s);
	size_t held = line_queue_held(before);
	int r = subscriber_push_own(s, before, event);

	s->portion += line_queue_held(before) - held;
	s->snapshot_unacknowledged += r == 0;
	return r;
}

/* The process that the snapshot is at: if the filter cannot decide within the steps, it is the first next time. */
static int snapshot_look(struct subscriber *s, const struct process *process, int64_t *steps)
{
	struct event event = {
		.type = EVENT_STARTED,
		.snapshot = true,
		.boot = s->config.boot,
		.process = process,
		.source = process->source,
		.time = process->start_time,
	};
	enum filter_result r = FILTER_YES;

	if (s->config.filter)
		r = filter_try(s->config.filter, &event, &s->undecided_at, steps);
	s->undecided = r == FILTER_MORE;
	if (r == FILTER_MORE)
		return 0;
	s->undecided_at = (struct filter_place){ 0 };
	return r == FILTER_YES ? push_portion(s, &event) : 0;
}

/* The next process of the snapshot, or its end: 1, as long as lines of it are not out, so that there is nothing between
 * those and `live`. */
static int snapshot_step(struct subscriber *s, int64_t *steps)
{
	const struct entry *entry = s->undecided ? proctable_cursor_at(s->cursor) : proctable_cursor_next(s->cursor);

	if (entry)
		return snapshot_look(s, &entry->process, steps);
	if (!line_queue_is_empty(s->before))
		return 1;
	subscriber_drop_cursor(s);
	return push_live(s, 0);
}

static int outcome(int r)
{
	return r == LINE_QUEUE_E_BLOCKED ? SUBSCRIBER_E_BLOCKED : r == LINE_QUEUE_E_MORE ? SUBSCRIBER_E_MORE : r;
}

static int write_portion(struct subscriber *s)
{
	size_t turn = 0, looks = 0;
	int64_t steps = LOOK_STEPS;
	int r;

	if (s->too_slow)
		return SUBSCRIBER_E_SLOW;
	/* The snapshot in portions: as much as is written at once, not more, whatever the size of the table. */
	do {
		for (; s->cursor && line_queue_held(s->before) < PORTION && looks < LOOKS_MAX && steps > 0; looks++) {
			r = snapshot_step(s, &steps);
			if (r < 0)
				return r;
			if (r > 0)
				break;
		}
		turn += line_queue_size(s->before);
		r = line_queue_write(s->before, s->fd, TURN_MAX);
		if (r != 0)
			return outcome(r);
	} while (s->cursor && turn < TURN_MAX && looks < LOOKS_MAX && steps > 0);
	if (s->cursor)
		return SUBSCRIBER_E_MORE;
	r = line_queue_write(s->queue, s->fd, TURN_MAX);
	/* Also where nothing new happens: the loss is reported as soon as there is room. */
	if (r >= 0 && s->lost_count > 0 && subscriber_may_resume(s)) {
		int pushed = subscriber_push_lost(s);

		if (pushed < 0)
			return pushed;
		if (r == 0)
			r = line_queue_write(s->queue, s->fd, TURN_MAX);
	}
	return outcome(r);
}

int subscriber_write(struct subscriber *s)
{
	int r = write_portion(s);

	subscriber_drop_written(s);
	subscriber_count_portion(s);
	subscriber_save_checkpoint(s);
	return r;
}

bool subscriber_is_too_slow(const struct subscriber *s)
{
	return s->too_slow;
}

uint64_t subscriber_written(const struct subscriber *s)
{
	return line_queue_written(s->before) + line_queue_written(s->queue);
}

bool subscriber_is_dropping(const struct subscriber *s)
{
	return s->dropping;
}

bool subscriber_is_half_full(const struct subscriber *s)
{
	return held_to_read(s) > line_queue_limit(s->queue) / 2;
}

bool subscriber_is_costly(const struct subscriber *s)
{
	return s->cursor && s->share.budget;
}

bool subscriber_has_output(const struct subscriber *s)
{
	return s->cursor || s->too_slow || !line_queue_is_empty(s->before) || !line_queue_is_empty(s->queue) ||
	       subscriber_may_resume(s);
}

void subscriber_stats(const struct subscriber *s, struct subscriber_stats *ret)
{
	uint64_t first, last;

	*ret = (struct subscriber_stats){
		.events = s->events,
		.lost = s->lost,
		.queue = held_to_read(s),
		.filter = filter_memory(s->config.filter),
		.portion = portion_held(s),
		.queue_peak = line_queue_peak(s->queue),
		.queue_limit = line_queue_limit(s->queue),
		.in_snapshot = s->cursor,
		.unacknowledged = line_queue_retained(s->queue, &first, &last),
	};
}
