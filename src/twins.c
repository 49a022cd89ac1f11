/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A hash table with linear probing; nothing is ever taken out. */
#include "twins.h"

#include <errno.h>

struct place {
	struct twin twin; /* kind 0: free */
	bool found;
};

struct twins {
	struct place *places;
	size_t size; /* a power of two, at least twice the count */
	size_t count;
};

int twins_new(struct twins **ret)
{
	_cleanup_(twins_free_p) struct twins *twins = calloc(1, sizeof(*twins));

	if (!twins)
		return -ENOMEM;
	twins->size = 1024;
	twins->places = calloc(twins->size, sizeof(*twins->places));
	if (!twins->places)
		return -ENOMEM;
	*ret = TAKE_PTR(twins);
	return 0;
}

struct twins *twins_free(struct twins *twins)
{
	if (twins)
		free(twins->places);
	free(twins);
	return NULL;
}

static bool is_twin(const struct twin *a, const struct twin *b)
{
	return a->kind == b->kind && a->tgid == b->tgid && a->start == b->start && a->which == b->which;
}

/* A thread may fail a great many times alike: those of each span of time have a home of their own. */
static uint64_t span(const struct twin *twin)
{
	return twin->by_time ? twin->time / TWINS_APART_NS : 0;
}

static size_t home(const struct twins *twins, const struct twin *twin, uint64_t span)
{
	uint64_t hash = (twin->start ^ (uint64_t)twin->tgid << 32 ^ twin->which << 3 ^ twin->kind) *
			UINT64_C(0x9e3779b97f4a7c15);

	hash = (hash ^ hash >> 32 ^ span) * UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(hash >> 32) & (twins->size - 1);
}

static void put(struct twins *twins, const struct place *place)
{
	size_t i = home(twins, &place->twin, span(&place->twin));

	while (twins->places[i].twin.kind != 0)
		i = (i + 1) & (twins->size - 1);
	twins->places[i] = *place;
}

int twins_note(struct twins *twins, const struct twin *twin)
{
	if (2 * (twins->count + 1) > twins->size) {
		struct twins bigger = { .size = twins->size * 2, .count = twins->count };

		bigger.places = calloc(bigger.size, sizeof(*bigger.places));
		if (!bigger.places)
			return -ENOMEM;
		for (size_t i = 0; i < twins->size; i++)
			if (twins->places[i].twin.kind != 0)
				put(&bigger, &twins->places[i]);
		free(twins->places);
		*twins = bigger;
	}
	put(twins, &(struct place){ .twin = *twin });
	twins->count++;
	return 0;
}

static uint64_t apart(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static struct place *find_exact(const struct twins *twins, const struct twin *twin)
{
	size_t i = home(twins, twin, 0);

	while (twins->places[i].twin.kind != 0 && !is_twin(&twins->places[i].twin, twin))
		i = (i + 1) & (twins->size - 1);
	return twins->places[i].twin.kind != 0 ? &twins->places[i] : NULL;
}

/* The nearer of `best` and those of one span. */
static struct place *find_nearer(const struct twins *twins, const struct twin *twin, uint64_t span_of,
				 struct place *best)
{
	for (size_t i = home(twins, twin, span_of); twins->places[i].twin.kind != 0; i = (i + 1) & (twins->size - 1)) {
		struct place *place = &twins->places[i];
		uint64_t distance = apart(place->twin.time, twin->time);

		if (!is_twin(&place->twin, twin) || place->found || place->twin.tid != twin->tid ||
		    distance > TWINS_APART_NS)
			continue;
		if (!best || distance < apart(best->twin.time, twin->time))
			best = place;
	}
	return best;
}

bool twins_find(struct twins *twins, const struct twin *twin)
{
	struct place *nearest = NULL;
	uint64_t at = span(twin);

	if (!twin->by_time)
		return find_exact(twins, twin);
	for (uint64_t of = at - 1; of != at + 2; of++)
		nearest = find_nearer(twins, twin, of, nearest);
	if (nearest)
		nearest->found = true;
	return nearest;
}
