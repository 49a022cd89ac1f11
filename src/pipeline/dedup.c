/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A hash table with linear probing; nothing is ever taken out. */
#include "pipeline/dedup.h"

#include <errno.h>

struct place {
	struct twin twin; /* kind 0: free */
	bool found;
};

struct dedup {
	struct place *places;
	size_t size; /* a power of two, at least twice the count */
	size_t count;
};

int dedup_new(struct dedup **ret)
{
	_cleanup_(dedup_free_p) struct dedup *dedup = calloc(1, sizeof(*dedup));

	if (!dedup)
		return -ENOMEM;
	dedup->size = 1024;
	dedup->places = calloc(dedup->size, sizeof(*dedup->places));
	if (!dedup->places)
		return -ENOMEM;
	*ret = TAKE_PTR(dedup);
	return 0;
}

struct dedup *dedup_free(struct dedup *dedup)
{
	if (dedup)
		free(dedup->places);
	free(dedup);
	return NULL;
}

static bool is_twin(const struct twin *a, const struct twin *b)
{
	return a->kind == b->kind && a->tgid == b->tgid && a->start == b->start && a->which == b->which;
}

/* A thread may fail a great many times alike: those of each span of time have a home of their own. */
static uint64_t span(const struct twin *twin)
{
	return twin->by_time ? twin->time / DEDUP_APART_NS : 0;
}

static size_t home(const struct dedup *dedup, const struct twin *twin, uint64_t span)
{
	uint64_t hash = (twin->start ^ (uint64_t)twin->tgid << 32 ^ twin->which << 3 ^ twin->kind) *
			UINT64_C(0x9e3779b97f4a7c15);

	hash = (hash ^ hash >> 32 ^ span) * UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(hash >> 32) & (dedup->size - 1);
}

static void put(struct dedup *dedup, const struct place *place)
{
	size_t i = home(dedup, &place->twin, span(&place->twin));

	while (dedup->places[i].twin.kind != 0)
		i = (i + 1) & (dedup->size - 1);
	dedup->places[i] = *place;
}

int dedup_note(struct dedup *dedup, const struct twin *twin)
{
	if (2 * (dedup->count + 1) > dedup->size) {
		struct dedup bigger = { .size = dedup->size * 2, .count = dedup->count };

		bigger.places = calloc(bigger.size, sizeof(*bigger.places));
		if (!bigger.places)
			return -ENOMEM;
		for (size_t i = 0; i < dedup->size; i++)
			if (dedup->places[i].twin.kind != 0)
				put(&bigger, &dedup->places[i]);
		free(dedup->places);
		*dedup = bigger;
	}
	put(dedup, &(struct place){ .twin = *twin });
	dedup->count++;
	return 0;
}

static uint64_t apart(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static struct place *find_exact(const struct dedup *dedup, const struct twin *twin)
{
	size_t i = home(dedup, twin, 0);

	while (dedup->places[i].twin.kind != 0 && !is_twin(&dedup->places[i].twin, twin))
		i = (i + 1) & (dedup->size - 1);
	return dedup->places[i].twin.kind != 0 ? &dedup->places[i] : NULL;
}

/* The nearer of `best` and those of one span. */
static struct place *find_nearer(const struct dedup *dedup, const struct twin *twin, uint64_t span_of,
				 struct place *best)
{
	for (size_t i = home(dedup, twin, span_of); dedup->places[i].twin.kind != 0; i = (i + 1) & (dedup->size - 1)) {
		struct place *place = &dedup->places[i];
		uint64_t distance = apart(place->twin.time, twin->time);

		if (!is_twin(&place->twin, twin) || place->found || place->twin.tid != twin->tid ||
		    distance > DEDUP_APART_NS)
			continue;
		if (!best || distance < apart(best->twin.time, twin->time))
			best = place;
	}
	return best;
}

bool dedup_find(struct dedup *dedup, const struct twin *twin)
{
	struct place *nearest = NULL;
	uint64_t at = span(twin);

	if (!twin->by_time)
		return find_exact(dedup, twin);
	for (uint64_t of = at - 1; of != at + 2; of++)
		nearest = find_nearer(dedup, twin, of, nearest);
	if (nearest)
		nearest->found = true;
	return nearest;
}
