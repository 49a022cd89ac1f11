/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pipeline/arg_chunks.h"

#include <errno.h>
#include <time.h>

#include "util/charge.h"
#include "util/pool.h"

#define LISTS_MAX 64
#define ROOM_FIRST 32768

struct list {
	struct arg_chunks_key key;
	uint64_t turn; /* of its last piece, for the oldest */
	time_t came;   /* its last piece; CLOCK_MONOTONIC */
	size_t size, room;
	char *data; /* NULL: the slot is free */
};

struct arg_chunks {
	struct list lists[LISTS_MAX];
	uint64_t turn;
	size_t limit;
	size_t memory, held; /* allowed, taken */
};

int arg_chunks_new(struct arg_chunks **ret, size_t limit, size_t memory)
{
	struct arg_chunks *chunks = calloc(1, sizeof(*chunks));

	if (!chunks)
		return -ENOMEM;
	chunks->limit = limit;
	chunks->memory = memory;
	*ret = chunks;
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

static void list_drop(struct arg_chunks *chunks, struct list *list)
{
	chunks->held -= room_cost(list->room);
	pool_free(list->data, list->room);
	*list = (struct list){};
}

struct arg_chunks *arg_chunks_free(struct arg_chunks *chunks)
{
	for (size_t i = 0; chunks && i < LISTS_MAX; i++)
		list_drop(chunks, &chunks->lists[i]);
	free(chunks);
	return NULL;
}

static struct list *find(const struct arg_chunks *chunks, struct arg_chunks_key key)
{
	for (size_t i = 0; i < LISTS_MAX; i++) {
		const struct list *list = &chunks->lists[i];

		if (list->data && list->key.kind == key.kind && list->key.tgid == key.tgid &&
		    list->key.time == key.time)
			return (struct list *)list;
	}
	return NULL;
}

/* The one that has waited longest, but for `kept`; NULL: there is none. */
static struct list *oldest(struct arg_chunks *chunks, const struct list *kept)
{
	struct list *found = NULL;

	for (size_t i = 0; i < LISTS_MAX; i++) {
		struct list *list = &chunks->lists[i];

		if (list != kept && list->data && (!found || list->turn < found->turn))
			found = list;
	}
	return found;
}

/* A free slot, at the cost of the oldest. */
static struct list *slot(struct arg_chunks *chunks)
{
	struct list *list;

	for (size_t i = 0; i < LISTS_MAX; i++)
		if (!chunks->lists[i].data)
			return &chunks->lists[i];
	list = oldest(chunks, NULL);
	list_drop(chunks, list);
	return list;
}

/* At the cost of others, where they take too much together. */
static int list_grow(struct arg_chunks *chunks, struct list *list, size_t size)
{
	size_t room = list->room ? list->room * 2 : ROOM_FIRST;
	struct list *other;
	char *data;

	if (size <= list->room)
		return 0;
	while (room < size)
		room *= 2;
	if (room > chunks->limit)
		room = chunks->limit;
	while (chunks->held + room_cost(room) > chunks->memory && (other = oldest(chunks, list)))
		list_drop(chunks, other);
	data = pool_alloc(room);
	if (!data)
		return -ENOMEM;
	if (list->size > 0)
		memcpy(data, list->data, list->size);
	pool_free(list->data, list->room);
	chunks->held += room_cost(room) - room_cost(list->room);
	list->data = data;
	list->room = room;
	return 0;
}

int arg_chunks_add(struct arg_chunks *chunks, struct arg_chunks_key key, uint64_t position, struct bytes piece)
{
	struct list *list = find(chunks, key);
	int r;

	if (!list) {
		if (position != 0 || piece.size == 0)
			return 0; /* the beginning was lost: what follows it is no use */
		list = slot(chunks);
		list->key = key;
	}
	/* The same list once more, as far as it could be read the first time (bpf/failed_exec_deferred.bpf.h). */
	if (position == 0)
		list->size = 0;
	if (piece.size == 0)
		return 0;
	/* A hole (a lost piece) ends it: the rest does not fit. */
	if (position != list->size || piece.size > chunks->limit || list->size > chunks->limit - piece.size)
		return 0;
	r = list_grow(chunks, list, list->size + piece.size);
	if (r < 0)
		return r;
	memcpy(list->data + list->size, piece.data, piece.size);
	list->size += piece.size;
	list->turn = ++chunks->turn;
	list->came = now();
	return 0;
}

struct bytes arg_chunks_find(const struct arg_chunks *chunks, struct arg_chunks_key key)
{
	const struct list *list = find(chunks, key);

	return list ? (struct bytes){ list->data, list->size } : BYTES_NONE;
}

void arg_chunks_drop(struct arg_chunks *chunks, struct arg_chunks_key key)
{
	struct list *list = find(chunks, key);

	if (list)
		list_drop(chunks, list);
}

void arg_chunks_expire(struct arg_chunks *chunks)
{
	time_t limit;

	if (chunks->held == 0)
		return;
	limit = now() - ARG_CHUNKS_AGE_S;
	for (size_t i = 0; i < LISTS_MAX; i++)
		if (chunks->lists[i].data && chunks->lists[i].came <= limit)
			list_drop(chunks, &chunks->lists[i]);
}

size_t arg_chunks_memory(const struct arg_chunks *chunks)
{
	return chunks->held;
}

int arg_chunks_archive(struct arg_chunks *chunks, struct archive *a)
{
	for (size_t i = 0; i < LISTS_MAX; i++) {
		struct list *list = &chunks->lists[i];
		struct bytes data = { list->data, list->size };

		archive_raw(a, &list->key, sizeof(list->key));
		ARCHIVE(a, list->turn);
		archive_bytes(a, &data);
		if (!archive_is_reading(a) || data.size == 0)
			continue;
		if (data.size > chunks->limit)
			data.size = chunks->limit; /* of a configuration that allowed more */
		if (list_grow(chunks, list, data.size) < 0)
			return -ENOMEM;
		memcpy(list->data, data.data, data.size);
		list->size = data.size;
		list->came = now();
	}
	ARCHIVE(a, chunks->turn);
	return archive_error(a);
}
