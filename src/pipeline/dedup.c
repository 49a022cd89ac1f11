/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A hash table with linear probing; nothing is ever removed. */
#include "pipeline/dedup.h"

#include <errno.h>

struct slot {
	struct dedup_key key; /* kind 0: free */
	bool matched;
};

struct dedup {
	struct slot *slots;
	size_t size; /* a power of two, at least twice the count */
	size_t count;
	bool matches; /* dedup_begin_matching() */
};

int dedup_new(struct dedup **ret)
{
	_cleanup_(dedup_free_p) struct dedup *dedup = calloc(1, sizeof(*dedup));

	if (!dedup)
		return -ENOMEM;
	dedup->size = 1024;
	dedup->slots = calloc(dedup->size, sizeof(*dedup->slots));
	if (!dedup->slots)
		return -ENOMEM;
	*ret = TAKE_PTR(dedup);
	return 0;
}

struct dedup *dedup_free(struct dedup *dedup)
{
	if (dedup)
		free(dedup->slots);
	free(dedup);
	return NULL;
}

static bool is_equal(const struct dedup_key *a, const struct dedup_key *b)
{
	return a->kind == b->kind && a->tgid == b->tgid && a->start == b->start && a->number == b->number;
}

/* A thread may fail in the same way a great many times: those of each span of time have a home of their own. */
static uint64_t span(const struct dedup_key *key)
{
	return key->by_time ? key->time / DEDUP_APART_NS : 0;
}

static size_t home(const struct dedup *dedup, const struct dedup_key *key, uint64_t span)
{
	uint64_t hash =
		(key->start ^ (uint64_t)key->tgid << 32 ^ key->number << 3 ^ key->kind) * UINT64_C(0x9e3779b97f4a7c15);

	hash = (hash ^ hash >> 32 ^ span) * UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(hash >> 32) & (dedup->size - 1);
}

static void put(struct dedup *dedup, const struct slot *slot)
{
	size_t i = home(dedup, &slot->key, span(&slot->key));

	while (dedup->slots[i].key.kind != 0)
		i = (i + 1) & (dedup->size - 1);
	dedup->slots[i] = *slot;
}

int dedup_add(struct dedup *dedup, const struct dedup_key *key)
{
	if (2 * (dedup->count + 1) > dedup->size) {
		struct dedup bigger = { .size = dedup->size * 2, .count = dedup->count };

		bigger.slots = calloc(bigger.size, sizeof(*bigger.slots));
		if (!bigger.slots)
			return -ENOMEM;
		for (size_t i = 0; i < dedup->size; i++)
			if (dedup->slots[i].key.kind != 0)
				put(&bigger, &dedup->slots[i]);
		free(dedup->slots);
		*dedup = bigger;
	}
	put(dedup, &(struct slot){ .key = *key });
	dedup->count++;
	return 0;
}

static uint64_t apart(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static struct slot *find_exact(const struct dedup *dedup, const struct dedup_key *key)
{
	size_t i = home(dedup, key, 0);

	while (dedup->slots[i].key.kind != 0 && !is_equal(&dedup->slots[i].key, key))
		i = (i + 1) & (dedup->size - 1);
	return dedup->slots[i].key.kind != 0 ? &dedup->slots[i] : NULL;
}

/* The nearer of `best` and those of one span. */
static struct slot *find_nearer(const struct dedup *dedup, const struct dedup_key *key, uint64_t span_of,
				struct slot *best)
{
	for (size_t i = home(dedup, key, span_of); dedup->slots[i].key.kind != 0; i = (i + 1) & (dedup->size - 1)) {
		struct slot *slot = &dedup->slots[i];
		uint64_t distance = apart(slot->key.time, key->time);

		if (!is_equal(&slot->key, key) || slot->matched || slot->key.tid != key->tid ||
		    distance > DEDUP_APART_NS)
			continue;
		if (!best || distance < apart(best->key.time, key->time))
			best = slot;
	}
	return best;
}

bool dedup_match(struct dedup *dedup, const struct dedup_key *key)
{
	struct slot *nearest = NULL;
	uint64_t at = span(key);

	if (!key->by_time)
		return find_exact(dedup, key);
	for (uint64_t of = at - 1; of != at + 2; of++)
		nearest = find_nearer(dedup, key, of, nearest);
	if (nearest)
		nearest->matched = true;
	return nearest;
}

void dedup_begin_matching(struct dedup *dedup)
{
	dedup->matches = true;
}

int dedup_record(struct dedup *dedup, const struct decoded *d)
{
	struct dedup_key key = {
		.kind = d->head->kind,
		.tgid = d->head->tgid,
		.tid = d->head->tid,
		.start = d->head->start,
		.time = d->head->time,
	};

	if (key.kind == RECORD_ARGS || key.kind == RECORD_ENV)
		return 0;
	if (key.kind == RECORD_EXEC)
		key.number = d->process.exec_id;
	if (key.kind == RECORD_ERROR) {
		key.number = (uint64_t)d->error;
		key.by_time = true;
	}
	if (!dedup->matches)
		return dedup_add(dedup, &key);
	return dedup_match(dedup, &key) ? DEDUP_DUPLICATE : 0;
}
