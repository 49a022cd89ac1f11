/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/command/cat_fill.h"

#include <errno.h>

#include "ctl/source/source.h"
#include "util/clock.h"

/* A bit each; what is older is missing. */
#define NUMBERS_MAX (1ULL << 26)
/* An entry is not written before its event; clocks are set, and events have times of several CPUs. */
#define EARLIER_NS 10000000000ULL
/* The journal comes later than the socket: a search is held for 200 ms (execsnoopd.conf(5), path_search). */
#define SETTLED_MS 500
#define PATIENCE_MS 2000

struct cat_fill {
	struct event_source *source;
	struct query *query;
	struct cat_position from;
	char stream[33];
	uint64_t base, last; /* (base, last] are to be filled */
	uint8_t *seen;
	uint64_t lost;	       /* of those that were seen: the journal says so */
	uint64_t newest;       /* number in this stream */
	uint64_t began, ended; /* ms; ended: there were no more entries for the first time; 0: not yet */
	char current[33];
};

struct cat_fill *cat_fill_free(struct cat_fill *fill)
{
	if (!fill)
		return NULL;
	source_free(fill->source);
	query_free(fill->query);
	free(fill->seen);
	free(fill);
	return NULL;
}

int cat_fill_new(struct cat_fill **ret, const struct cat_position *from, struct bytes stream, uint64_t last)
{
	_cleanup_(cat_fill_free_p) struct cat_fill *fill = calloc(1, sizeof(*fill));
	const struct journal_options options = { 0 };
	int r;

	if (!fill)
		return -ENOMEM;
	fill->from = *from;
	snprintf(fill->stream, sizeof(fill->stream), "%.*s", (int)stream.size, stream.data ?: "");
	fill->base = strcmp(fill->stream, from->stream) == 0 ? from->max : 0;
	fill->last = last;
	if (last > fill->base + NUMBERS_MAX) {
		fill->lost = last - NUMBERS_MAX - fill->base;
		fill->base = last - NUMBERS_MAX;
	}
	fill->newest = fill->base;
	fill->seen = calloc((size_t)(last - fill->base) / 8 + 1, 1);
	if (!fill->seen)
		return -ENOMEM;
	r = query_new(&fill->query);
	if (r < 0)
		return r;
	if (from->time > EARLIER_NS)
		query_set_bounds(fill->query)->since = from->time - EARLIER_NS;
	r = source_open_journal(&fill->source, &options, fill->query);
	if (r < 0)
		return r;
	fill->began = clock_ms(CLOCK_MONOTONIC);
	*ret = TAKE_PTR(fill);
	return 0;
}

static bool is_seen(const struct cat_fill *fill, uint64_t seq)
{
	uint64_t bit = seq - fill->base - 1;

	return seq <= fill->base || (seq <= fill->last && fill->seen[bit / 8] >> bit % 8 & 1);
}

/* How many were not. */
static uint64_t set_seen(struct cat_fill *fill, uint64_t first, uint64_t last)
{
	uint64_t count = 0;

	for (uint64_t seq = first > fill->base ? first : fill->base + 1; seq <= last && seq <= fill->last; seq++) {
		uint64_t bit = seq - fill->base - 1;

		count += !is_seen(fill, seq);
		fill->seen[bit / 8] |= (uint8_t)(1 << bit % 8);
	}
	return count;
}

/* Of the stream that continues. Whether this is an event that was missing. */
static bool take_number(struct cat_fill *fill, const struct parsed *parsed)
{
	const struct event *event = &parsed->event;
	bool is_loss = event->type == EVENT_LOST && event->lost.where != LOST_KERNEL;
	uint64_t first = is_loss ? event->lost.first_seq : event->seq, last = is_loss ? event->lost.last_seq : first;
	uint64_t previous = first - (uint64_t)parsed->seq_step, count;

	if (last > fill->newest)
		fill->newest = last;
	/* Of 0 begins what the journal knows. */
	if (parsed->seq_step > 1 && previous > 0 && previous < first && is_seen(fill, previous))
		set_seen(fill, previous + 1, first - 1);
	count = set_seen(fill, first, last);
	if (is_loss)
		fill->lost += count;
	return !is_loss && count > 0;
}

static bool is_wanted(struct cat_fill *fill, const struct parsed *parsed)
{
	if (!parsed->stream.data || parsed->event.type >= EVENT_LIVE)
		return false;
	if (bytes_equal(parsed->stream, bytes_of(fill->stream)))
		return take_number(fill, parsed);
	return !bytes_equal(parsed->stream, bytes_of(fill->from.stream)) || parsed->event.seq > fill->from.max;
}

/* 0: there will be no more; -EAGAIN. */
static int at_end(struct cat_fill *fill)
{
	uint64_t now = clock_ms(CLOCK_MONOTONIC);

	if (fill->ended == 0)
		fill->ended = now;
	if (fill->newest >= fill->last && now - fill->began >= SETTLED_MS)
		return 0;
	return now - fill->ended >= PATIENCE_MS ? 0 : -EAGAIN;
}

int cat_fill_next(struct cat_fill *fill, const struct parsed **ret, bool *ret_begins)
{
	const struct parsed *parsed;
	int r;

	while ((r = source_next(fill->source, &parsed)) > 0) {
		bool is_wanted_one = is_wanted(fill, parsed);

		if (!is_wanted_one && fill->newest > fill->last && at_end(fill) == 0)
			return 0;
		if (!is_wanted_one)
			continue;
		*ret_begins = !bytes_equal(parsed->stream, bytes_of(fill->current));
		snprintf(fill->current, sizeof(fill->current), "%.*s", (int)parsed->stream.size, parsed->stream.data);
		*ret = parsed;
		return 1;
	}
	return r < 0 ? r : at_end(fill);
}

uint64_t cat_fill_missing(const struct cat_fill *fill)
{
	uint64_t count = fill->lost;

	for (uint64_t seq = fill->base + 1; seq <= fill->last; seq++)
		count += !is_seen(fill, seq);
	return count;
}
