/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pieces.h"

#include <errno.h>

#include "pool.h"

#define LISTS_MOST 64
#define ROOM_FIRST 32768

struct list {
	struct pieces_key key;
	uint64_t turn; /* of its last piece, for the oldest */
	size_t size, room;
	char *data; /* NULL: the slot is free */
};

struct pieces {
	struct list lists[LISTS_MOST];
	uint64_t turn;
};

int pieces_new(struct pieces **ret)
{
	struct pieces *pieces = calloc(1, sizeof(*pieces));

	if (!pieces)
		return -ENOMEM;
	*ret = pieces;
	return 0;
}

static void list_drop(struct list *list)
{
	pool_give(list->data, list->room);
	*list = (struct list){};
}

struct pieces *pieces_free(struct pieces *pieces)
{
	for (size_t i = 0; pieces && i < LISTS_MOST; i++)
		list_drop(&pieces->lists[i]);
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

/* A free slot, at the cost of the oldest. */
static struct list *slot(struct pieces *pieces)
{
	struct list *oldest = &pieces->lists[0];

	for (size_t i = 0; i < LISTS_MOST; i++) {
		if (!pieces->lists[i].data)
			return &pieces->lists[i];
		if (pieces->lists[i].turn < oldest->turn)
			oldest = &pieces->lists[i];
	}
	list_drop(oldest);
	return oldest;
}

static int list_grow(struct list *list, size_t size)
{
	size_t room = list->room ? list->room * 2 : ROOM_FIRST;
	char *data;

	if (size <= list->room)
		return 0;
	while (room < size)
		room *= 2;
	data = pool_take(room);
	if (!data)
		return -ENOMEM;
	if (list->size > 0)
		memcpy(data, list->data, list->size);
	pool_give(list->data, list->room);
	list->data = data;
	list->room = room;
	return 0;
}

int pieces_add(struct pieces *pieces, struct pieces_key key, uint64_t position, struct bytes piece, uint64_t limit)
{
	struct list *list = find(pieces, key);
	int r;

	if (!list) {
		if (position != 0)
			return 0; /* the beginning was lost: what follows it is no use */
		list = slot(pieces);
		list->key = key;
	}
	/* The same list once more, as far as it could be read the first time (bpf/late.bpf.h). */
	if (position == 0)
		list->size = 0;
	/* A hole (a lost piece) ends it: the rest does not fit. */
	if (position != list->size || piece.size > limit || list->size > limit - piece.size)
		return 0;
	r = list_grow(list, list->size + piece.size);
	if (r < 0)
		return r;
	memcpy(list->data + list->size, piece.data, piece.size);
	list->size += piece.size;
	list->turn = ++pieces->turn;
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
		list_drop(list);
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
		if (list_grow(list, data.size) < 0)
			return -ENOMEM;
		memcpy(list->data, data.data, data.size);
		list->size = data.size;
	}
	ARCHIVE(a, pieces->turn);
	return archive_error(a);
}
