/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/collect/verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <yajl/yajl_tree.h>

#include "model/filter.h"

/* Numbers that are there, or reported as lost. */
struct range {
	uint64_t first, last;
	uint64_t previous; /* what it follows; UINT64_MAX: unknown */
	uint64_t time;
};

struct verify_state {
	struct range *ranges; /* as they came */
	size_t count, size;
	struct range *there; /* the same, sorted, without overlap */
	size_t there_count;
	uint64_t known_last;	      /* there were events up to this number */
	uint64_t known_time;	      /* of the line that shows it */
	bool chained;		      /* entries have the number of the one before */
	bool snapshot;		      /* it began with one */
	bool filtered;		      /* lines were left out on purpose */
	bool marked;		      /* a mark came after its last event: it counts lines, or names the last entry */
	uint64_t mark_seq, mark_time; /* of the last mark */
	uint64_t folded;	      /* numbers of steps of searches */
	uint64_t lines;		      /* since the stream began, as marks count them */
	uint64_t began;		      /* its place in the order in which streams began; 0: it did not */
};

struct verify {
	STAILQ_HEAD(, verify_stream) streams;
	struct verify_stream *current; /* of lines that name neither their stream nor their host */
	uint64_t begun;		       /* streams */
	struct {
		char stream[33];
		uint64_t seq; /* 0: none */
		bool alone, seen;
	} written; /* by the daemon, as it says */
};

int verify_new(struct verify **ret)
{
	struct verify *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	STAILQ_INIT(&v->streams);
	*ret = v;
	return 0;
}

struct verify *verify_free(struct verify *v)
{
	struct verify_stream *stream;

	if (!v)
		return NULL;
	while ((stream = STAILQ_FIRST(&v->streams))) {
		STAILQ_REMOVE_HEAD(&v->streams, next);
		free(stream->holes);
		free(stream->state->ranges);
		free(stream->state->there);
		free(stream->state);
		free(stream);
	}
	free(v);
	return NULL;
}

/* The identity of a stream is enough: the machine may be renamed. */
static bool is_stream(const struct verify_stream *stream, struct bytes host, struct bytes id)
{
	if (id.size > 0)
		return bytes_equal(bytes_of(stream->id), id);
	return stream->id[0] == '\0' && (!host.data || bytes_equal(bytes_of(stream->host), host));
}

static void set_host(struct verify_stream *stream, struct bytes host)
{
	snprintf(stream->host, sizeof(stream->host), "%.*s", (int)host.size, host.data ?: "");
}

/* Of a line that does not name its stream: the one that began last, of its host if it names that. NULL: none did. */
static struct verify_stream *current_of(const struct verify *v, struct bytes host)
{
	struct verify_stream *stream, *found = NULL;

	if (!host.data || !v->current || !*v->current->host || bytes_equal(bytes_of(v->current->host), host))
		return v->current;
	STAILQ_FOREACH(stream, &v->streams, next)
	if (bytes_equal(bytes_of(stream->host), host) && (!found || stream->state->began > found->state->began))
		found = stream;
	return found;
}

static struct verify_stream *get(struct verify *v, struct bytes host, struct bytes id)
{
	struct verify_stream *stream;

	STAILQ_FOREACH(stream, &v->streams, next)
	if (is_stream(stream, host, id))
		return stream;
	stream = calloc(1, sizeof(*stream));
	if (!stream)
		return NULL;
	stream->state = calloc(1, sizeof(*stream->state));
	if (!stream->state) {
		free(stream);
		return NULL;
	}
	set_host(stream, host);
	snprintf(stream->id, sizeof(stream->id), "%.*s", (int)id.size, id.data ?: "");
	STAILQ_INSERT_TAIL(&v->streams, stream, next);
	return stream;
}

static int add_range(struct verify_stream *stream, uint64_t first, uint64_t last, uint64_t previous, uint64_t time)
{
	struct verify_state *state = stream->state;
	size_t size = state->size ? 2 * state->size : 256;
	struct range *ranges;

	if (state->count == state->size) {
		ranges = reallocarray(state->ranges, size, sizeof(*ranges));
		if (!ranges)
			return -ENOMEM;
		state->ranges = ranges;
		state->size = size;
	}
	state->ranges[state->count++] = (struct range){ first, last < first ? first : last, previous, time };
	return 0;
}

void verify_expect(struct verify *v, const char *stream, uint64_t seq, bool alone)
{
	snprintf(v->written.stream, sizeof(v->written.stream), "%s", stream);
	v->written.seq = seq;
	v->written.alone = alone;
}

bool verify_is_waiting(const struct verify *v)
{
	const struct verify_stream *stream;

	if (v->written.seq == 0 || v->written.seen)
		return false;
	STAILQ_FOREACH(stream, &v->streams, next)
	if (strcmp(stream->id, v->written.stream) == 0)
		return true;
	return v->written.alone;
}

/* `subscribed` repeats the filter that is in force. */
static bool has_filter(struct bytes line)
{
	char *copy = strndup(line.data, line.size), error[64];
	yajl_val tree = copy ? yajl_tree_parse(copy, error, sizeof(error)) : NULL;
	bool found = false;

	for (enum filter_key key = 0; tree && key < FILTER_KEY_MAX; key++) {
		const char *path[] = { filter_key_name(key), NULL };

		found |= yajl_tree_get(tree, path, yajl_t_any) != NULL;
	}
	yajl_tree_free(tree);
	free(copy);
	return found;
}

/* `live`, `subscribed` and `mark` name the last number before them. */
static void know_last(struct verify_state *state, const struct parsed *parsed)
{
	if (parsed->event.lost.last_seq < state->known_last)
		return;
	state->known_last = parsed->event.lost.last_seq;
	state->known_time = parsed->event.time;
}

/* `live` and `subscribed` begin a stream, or continue one after a pause. */
static int begin_stream(struct verify *v, const struct parsed *parsed, bool snapshot)
{
	struct verify_stream *stream = get(v, parsed->host, parsed->stream);
	struct verify_state *state = stream ? stream->state : NULL;
	uint64_t last = parsed->event.lost.last_seq;

	if (!stream)
		return -ENOMEM;
	v->current = stream;
	if (!*stream->host)
		set_host(stream, parsed->host);
	state->began = ++v->begun;
	state->lines = 0;
	state->snapshot |= snapshot;
	if (!snapshot && parsed->line.data)
		state->filtered |= has_filter(parsed->line);
	know_last(state, parsed);
	/* What was before the first line is no part of the set. */
	return state->count == 0 ? add_range(stream, last, last, UINT64_MAX, parsed->event.time) : 0;
}

static void check_mark(struct verify_stream *stream, const struct parsed *parsed)
{
	struct verify_state *state = stream->state;
	uint64_t count = parsed->event.lost.count;

	state->marked = true;
	state->mark_seq = parsed->event.lost.last_seq;
	state->mark_time = parsed->event.time;
	know_last(state, parsed);
	if (count > state->lines && !state->chained)
		stream->missing_lines += count - state->lines;
	state->lines = count;
}

static int add_event(struct verify *v, struct verify_stream *stream, const struct parsed *parsed)
{
	const struct event *event = &parsed->event;
	struct verify_state *state = stream->state;
	bool lost = event->type == EVENT_LOST && event->lost.where != LOST_KERNEL;
	uint64_t first = lost ? event->lost.first_seq : event->seq, last = lost ? event->lost.last_seq : event->seq;

	if (event->type == EVENT_LOST)
		stream->lost[event->lost.where] += event->lost.count;
	if (event->snapshot) {
		state->snapshot = true;
		return 0;
	}
	state->lines++;
	state->marked = false;
	stream->events += event->type != EVENT_LOST;
	if (last > stream->last_seq)
		stream->proved_time = event->time;
	if (event->time > 0 && (stream->first_time == 0 || event->time < stream->first_time))
		stream->first_time = event->time;
	if (event->time > stream->last_time)
		stream->last_time = event->time;
	if (event->path_tries > 1)
		state->folded += event->path_tries - 1;
	if (first == 0)
		return 0;
	if (last > stream->last_seq)
		stream->last_seq = last;
	if (stream->first_seq == 0 || first < stream->first_seq)
		stream->first_seq = first;
	if (first <= v->written.seq && v->written.seq <= last)
		v->written.seen |= strcmp(stream->id, v->written.stream) == 0;
	return add_range(stream, first, last, state->chained ? first - (uint64_t)parsed->seq_step : UINT64_MAX,
			 event->time);
}

/* Events of a later version are numbered like all others. */
static bool has_number(const struct parsed *parsed)
{
	return parsed->event.type < EVENT_LIVE || (parsed->event.type == EVENT_TYPE_MAX && parsed_has(parsed, KEY_SEQ));
}

int verify_add(struct verify *v, const struct parsed *parsed)
{
	bool is_entry = has_number(parsed), is_mark = bytes_equal(parsed->type, BYTES("mark"));
	struct verify_stream *stream;

	if (parsed->event.type == EVENT_LIVE)
		return begin_stream(v, parsed, true);
	if (bytes_equal(parsed->type, BYTES("subscribed")))
		return begin_stream(v, parsed, false);
	/* A snapshot comes before the line that names its stream. */
	if (is_entry && parsed->event.snapshot && !parsed->stream.data)
		return 0;
	stream = parsed->stream.data ? NULL : current_of(v, parsed->host);
	if (!stream && (is_entry || (is_mark && parsed->stream.data))) {
		stream = get(v, parsed->host, parsed->stream);
		if (!stream)
			return -ENOMEM;
		v->current = stream;
		stream->state->chained |= parsed->stream.data != NULL;
	}
	if (is_entry)
		return add_event(v, stream, parsed);
	if (stream && is_mark)
		check_mark(stream, parsed);
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return (x->last > y->last) - (x->last < y->last);
}

static int add_hole(struct verify_stream *stream, const struct verify_hole *hole)
{
	struct verify_hole *holes = reallocarray(stream->holes, stream->hole_count + 1, sizeof(*holes));

	if (!holes)
		return -ENOMEM;
	stream->holes = holes;
	holes[stream->hole_count++] = *hole;
	return 0;
}

/* Sorted ranges that do not overlap. */
static int merge(struct verify_stream *stream)
{
	struct verify_state *state = stream->state;
	size_t n = 0;

	state->there = calloc(state->count + 1, sizeof(*state->there));
	if (!state->there)
		return -ENOMEM;
	if (state->count > 0) /* qsort() takes no null pointer */
		qsort(state->ranges, state->count, sizeof(*state->ranges), compare);
	for (size_t i = 0; i < state->count; i++) {
		struct range *last = n > 0 ? &state->there[n - 1] : NULL, *range = &state->ranges[i];

		if (last && range->first <= last->last) {
			stream->repeated += range->first == range->last && last->first == last->last;
			if (range->last > last->last)
				last->last = range->last;
		} else {
			state->there[n++] = *range;
		}
	}
	state->there_count = n;
	return 0;
}

/* The last range that begins at or before this number; NULL: none does. */
static const struct range *range_at(const struct verify_state *state, uint64_t seq)
{
	size_t low = 0, high = state->there_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (state->there[middle].first <= seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? &state->there[low - 1] : NULL;
}

/* All that is there up to this number, or a hole before `time`, that of what follows it. */
static int check_previous(struct verify_stream *stream, uint64_t previous, uint64_t time)
{
	const struct range *before = range_at(stream->state, previous);
	struct verify_hole hole;

	if (!before) {
		stream->starts_after = previous;
		return 0;
	}
	if (before->last >= previous)
		return 0;
	hole = (struct verify_hole){
		.first = before->last + 1, .last = previous, .after = before->time, .before = time
	};
	hole.exact = hole.first == hole.last;
	hole.count = hole.exact ? 1 : 0;
	return add_hole(stream, &hole);
}

/* The last number, as a mark or the daemon names it; 0: none. What follows it may have shown the same. */
static int check_end(struct verify_stream *stream, uint64_t seq, uint64_t time)
{
	for (size_t i = 0; i < stream->hole_count; i++)
		if (stream->holes[i].last == seq)
			return 0;
	return seq > 0 ? check_previous(stream, seq, time) : 0;
}

/* What each entry, the last mark, and what the daemon will write next follow must be there. Where events are left out
 * on purpose, what was before it may be missing, too. */
static int find_chained_holes(struct verify_stream *stream)
{
	const struct verify_state *state = stream->state;
	int r;

	for (size_t i = 0; i < state->count; i++) {
		const struct range *range = &state->ranges[i];

		if (range->previous == 0 || range->previous == UINT64_MAX)
			continue;
		r = check_previous(stream, range->previous, range->time);
		if (r < 0)
			return r;
	}
	r = check_end(stream, state->mark_seq, state->mark_time);
	if (r == 0 && stream->written_seq > 0 && state->there_count == 0)
		return add_hole(stream, &(struct verify_hole){ .first = stream->written_seq,
							       .last = stream->written_seq,
							       .count = 1,
							       .exact = true });
	return r < 0 ? r : check_end(stream, stream->written_seq, 0);
}

/* Every number must be there. */
static int find_holes(struct verify_stream *stream, uint64_t *ret_missing)
{
	struct verify_state *state = stream->state;

	*ret_missing = 0;
	for (size_t i = 1; i <= state->there_count; i++) {
		const struct range *before = &state->there[i - 1], *range = &state->there[i];
		bool is_end = i == state->there_count;
		struct verify_hole hole = { .first = before->last + 1,
					    .exact = true,
					    .last = is_end ? state->known_last : range->first - 1,
					    .after = before->time,
					    .before = is_end ? 0 : range->time };
		int r;

		if (hole.last < hole.first)
			continue;
		hole.count = hole.last - hole.first + 1;
		*ret_missing += hole.count;
		r = add_hole(stream, &hole);
		if (r < 0)
			return r;
	}
	return 0;
}

static int end_lines(struct verify_stream *stream)
{
	struct verify_state *state = stream->state;
	uint64_t missing;
	int r = find_holes(stream, &missing);

	if (r < 0)
		return r;
	stream->is_proved = state->snapshot && !state->filtered;
	if (state->filtered)
		stream->reason = "a filter left out events, so their numbers prove nothing; marks (--mark) would";
	else if (!state->snapshot)
		stream->reason =
			"the stream has no snapshot: ends of processes that it never reported have numbers too";
	/* Each step of a folded search had a number: if just as many are missing, they are those. */
	if (!stream->is_proved || missing == state->folded)
		stream->hole_count = 0;
	else if (state->folded > 0)
		for (size_t i = 0; i < stream->hole_count; i++)
			stream->holes[i].exact = false;
	if (!stream->is_proved && state->marked)
		stream->is_proved = true;
	return 0;
}

/* The last of a stream is the last that is there: what follows nothing names. Only lines and marks that name a later
 * number, and the daemon, prove more. */
static void set_proved(struct verify_stream *stream)
{
	const struct verify_state *state = stream->state;

	stream->proved_seq = stream->is_proved ? stream->last_seq : 0;
	if (!stream->is_proved)
		return;
	stream->is_ended = state->chained && state->marked;
	if (stream->written_seq > stream->last_seq && stream->written_seq > state->known_last) {
		stream->proved_seq = stream->written_seq;
		stream->proved_time = 0;
		return;
	}
	if (state->known_last < stream->last_seq)
		return;
	stream->proved_seq = state->known_last;
	stream->proved_time = state->known_time;
}

/* The daemon's stream. */
static int set_written(struct verify *v)
{
	struct verify_stream *stream;

	if (v->written.seq == 0)
		return 0;
	STAILQ_FOREACH(stream, &v->streams, next)
	if (strcmp(stream->id, v->written.stream) == 0)
		break;
	if (!stream && v->written.alone)
		stream = get(v, BYTES(""), bytes_of(v->written.stream));
	if (stream) {
		stream->written_seq = v->written.seq;
		stream->state->chained = true;
	}
	return stream || !v->written.alone ? 0 : -ENOMEM;
}

int verify_end(struct verify *v)
{
	struct verify_stream *stream;

	if (set_written(v) < 0)
		return -ENOMEM;

	STAILQ_FOREACH(stream, &v->streams, next)
	{
		int r;

		r = merge(stream);
		if (r < 0)
			return r;
		stream->is_proved = stream->state->chained;
		r = stream->state->chained ? find_chained_holes(stream) : end_lines(stream);
		if (r < 0)
			return r;
		set_proved(stream);
	}
	return 0;
}

const struct verify_stream *verify_first(const struct verify *v)
{
	return STAILQ_FIRST(&v->streams);
}

bool verify_is_missing(const struct verify_stream *stream)
{
	return stream->hole_count > 0 || stream->missing_lines > 0;
}
