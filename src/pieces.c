/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pieces.h"

#include <errno.h>
#include <time.h>

#include "charge.h"
#include "pool.h"

#define LISTS_MOST 64
#define ROOM_FIRST 32768

struct list {
	struct pieces_key key;
	uint64_t turn; /* of its last piece, for the oldest */
	time_t came;   /* its last piece; CLOCK_MONOTONIC */
	size_t size, room;
	char *data; /* NULL: the slot is free */
};

struct pieces {
	struct list lists[LISTS_MOST];
	uint64_t turn;
	size_t limit;
	size_t memory, held; /* allowed, taken */
};

int pieces_new(struct pieces **ret, size_t limit, size_t memory)
{
	struct pieces *pieces = calloc(1, sizeof(*pieces));

	if (!pieces)
		return -ENOMEM;
	pieces->limit = limit;
	pieces->memory = memory;
	*ret = pieces;
	return 0;
}

static time_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return ts.tv_sec;
}

static size_t room_cost(size_t room)
{
	return room ? charge_of(room) : 0;
}

static void list_drop(struct pieces *pieces, struct list *list)
{
	pieces->held -= room_cost(list->room);
	pool_give(list->data, list->room);
	*list = (struct list){};
}

struct pieces *pieces_free(struct pieces *pieces)
{
	for (size_t i = 0; pieces && i < LISTS_MOST; i++)
		list_drop(pieces, &pieces->lists[i]);
	free(pieces);
	return NULL;
}

static struct list *find(const struct pieces *pieces, struct pieces_key key)
{
	for (size_t i = 0; i < LISTS_MOST; i++) {
		const struct list *list = &pieces->lists[i];

		if (list->data && list->key.kind == key.kind && list->key.tgid == key.tgid &&
		    list->key.time == key.time)
			return (struct list *)list;
	}
	return NULL;
}

/* The one that has waited longest, but for `kept`; NULL: there is none. */
static struct list *oldest(struct pieces *pieces, const struct list *kept)
{
	struct list *found = NULL;

	for (size_t i = 0; i < LISTS_MOST; i++) {
		struct list *list = &pieces->lists[i];

		if (list != kept && list->data && (!found || list->turn < found->turn))
			found = list;
	}
	return found;
}

/* A free slot, at the cost of the oldest. */
static struct list *slot(struct pieces *pieces)
{
	struct list *list;

	for (size_t i = 0; i < LISTS_MOST; i++)
		if (!pieces->lists[i].data)
			return &pieces->lists[i];
	list = oldest(pieces, NULL);
	list_drop(pieces, list);
	return list;
}

/* At the cost of others, where they take too much together. */
static int list_grow(struct pieces *pieces, struct list *list, size_t size)
{
	size_t room = list->room ? list->room * 2 : ROOM_FIRST;
	struct list *other;
	char *data;

	if (size <= list->room)
		return 0;
	while (room < size)
		room *= 2;
	if (room > pieces->limit)
		room = pieces->limit;
	while (pieces->held + room_cost(room) > pieces->memory && (other = oldest(pieces, list)))
		list_drop(pieces, other);
	data = pool_take(room);
	if (!data)
		return -ENOMEM;
	if (list->size > 0)
		memcpy(data, list->data, list->size);
	pool_give(list->data, list->room);
	pieces->held += room_cost(room) - room_cost(list->room);
	list->data = data;
	list->room = room;
	return 0;
}

int pieces_add(struct pieces *pieces, struct pieces_key key, uint64_t position, struct bytes piece)
{
	struct list *list = find(pieces, key);
	int r;

	if (!list) {
		if (position != 0 || piece.size == 0)
			return 0; /* the beginning was lost: what follows it is no use */
		list = slot(pieces);
		list->key = key;
	}
	/* The same list once more, as far as it could be read the first time (bpf/failed_exec_deferred.bpf.h). */
	if (position == 0)
		list->size = 0;
	if (piece.size == 0)
		return 0;
	/* A hole (a lost piece) ends it: the rest does not fit. */
	if (position != list->size || piece.size > pieces->limit || list->size > pieces->limit - piece.size)
		return 0;
	r = list_grow(pieces, list, list->size + piece.size);
	if (r < 0)
		return r;
	memcpy(list->data + list->size, piece.data, piece.size);
	list->size += piece.size;
	list->turn = ++pieces->turn;
	list->came = now();
	return 0;
}

struct bytes pieces_find(const struct pieces *pieces, struct pieces_key key)
{
	const struct list *list = find(pieces, key);

	return list ? (struct bytes){ list->data, list->size } : BYTES_NONE;
}

void pieces_drop(struct pieces *pieces, struct pieces_key key)
{
	struct list *list = find(pieces, key);

	if (list)
		list_drop(pieces, list);
}

void pieces_expire(struct pieces *pieces)
{
	time_t limit;

	if (pieces->held == 0)
		return;
	limit = now() - PIECES_AGE_S;
	for (size_t i = 0; i < LISTS_MOST; i++)
		if (pieces->lists[i].data && pieces->lists[i].came <= limit)
			list_drop(pieces, &pieces->lists[i]);
}

size_t pieces_memory(const struct pieces *pieces)
{
	return pieces->held;
}

int pieces_archive(struct pieces *pieces, struct archive *a)
{
	for (size_t i = 0; i < LISTS_MOST; i++) {
		struct list *list = &pieces->lists[i];
		struct bytes data = { list->data, list->size };

		archive_raw(a, &list->key, sizeof(list->key));
		ARCHIVE(a, list->turn);
		archive_bytes(a, &data);
		if (!archive_is_reading(a) || data.size == 0)
			continue;
		if (data.size > pieces->limit)
			data.size = pieces->limit; /* of a configuration that allowed more */
		if (list_grow(pieces, list, data.size) < 0)
			return -ENOMEM;
		memcpy(list->data, data.data, data.size);
		list->size = data.size;
		list->came = now();
	}
	ARCHIVE(a, pieces->turn);
	return archive_error(a);
}
