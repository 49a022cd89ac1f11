/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pipeline/arg_chunks.h"

#include <errno.h>
#include <time.h>

#include "util/charge.h"
#include "util/pool.h"

#define LISTS_MAX 64
#define CAPACITY_FIRST 32768
#define SPARES_MAX 4

struct list {
	struct arg_chunks_key key;
	uint64_t order;	 /* of its last chunk: the oldest has the least */
	time_t added_at; /* its last chunk, CLOCK_MONOTONIC_COARSE in seconds */
	size_t size, capacity;
	char *data; /* NULL: the slot is free */
};

/* Memory of a long list that is gone, for the next one: the kernel's work for new pages costs several times what
 * copying the arguments does. */
struct spare {
	char *data; /* NULL: none */
	size_t capacity;
};

struct arg_chunks {
	struct list lists[LISTS_MAX];
	struct spare spares[SPARES_MAX];
	uint64_t last_order;
	size_t limit;
	size_t memory, used; /* allowed; taken by lists */
	size_t spared;	     /* taken by spares: what lists need is taken from them first */
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

static size_t cost_of(size_t capacity)
{
	return capacity ? charge_of(capacity) : 0;
}

static void spare_free(struct arg_chunks *chunks, struct spare *spare)
{
	chunks->spared -= cost_of(spare->capacity);
	pool_free(spare->data, spare->capacity);
	*spare = (struct spare){};
}

void arg_chunks_trim(struct arg_chunks *chunks)
{
	for (size_t i = 0; chunks->spared > 0 && i < SPARES_MAX; i++)
		spare_free(chunks, &chunks->spares[i]);
}

/* False: it is not kept. */
static bool spare_keep(struct arg_chunks *chunks, char *data, size_t capacity)
{
	if (capacity <= POOL_BLOCK_MAX || chunks->used + chunks->spared + cost_of(capacity) > chunks->memory)
		return false;
	for (size_t i = 0; i < SPARES_MAX; i++) {
		if (chunks->spares[i].data)
			continue;
		chunks->spares[i] = (struct spare){ data, capacity };
		chunks->spared += cost_of(capacity);
		return true;
	}
	return false;
}

/* One with room for `size` bytes; NULL: there is none. */
static char *spare_take(struct arg_chunks *chunks, size_t size, size_t *ret_capacity)
{
	for (size_t i = 0; chunks->spared > 0 && i < SPARES_MAX; i++) {
		struct spare spare = chunks->spares[i];

		if (spare.capacity < size)
			continue;
		chunks->spares[i] = (struct spare){};
		chunks->spared -= cost_of(spare.capacity);
		*ret_capacity = spare.capacity;
		return spare.data;
	}
	return NULL;
}

static void list_drop(struct arg_chunks *chunks, struct list *list)
{
	chunks->used -= cost_of(list->capacity);
	if (!spare_keep(chunks, list->data, list->capacity))
		pool_free(list->data, list->capacity);
	*list = (struct list){};
}

struct arg_chunks *arg_chunks_free(struct arg_chunks *chunks)
{
	if (!chunks)
		return NULL;
	for (size_t i = 0; i < LISTS_MAX; i++)
		list_drop(chunks, &chunks->lists[i]);
	arg_chunks_trim(chunks);
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

/* The one that has waited longest, except for one; NULL: there is none. */
static struct list *oldest(struct arg_chunks *chunks, const struct list *except)
{
	struct list *found = NULL;

	for (size_t i = 0; i < LISTS_MAX; i++) {
		struct list *list = &chunks->lists[i];

		if (list != except && list->data && (!found || list->order < found->order))
			found = list;
	}
	return found;
}

/* A free slot; drops the oldest list if there is none. */
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

/* New memory for a list. Drops spares, and then other lists, where all take too much together. */
static char *list_alloc(struct arg_chunks *chunks, const struct list *list, size_t capacity)
{
	struct list *other;

	if (chunks->used + chunks->spared + cost_of(capacity) > chunks->memory)
		arg_chunks_trim(chunks);
	while (chunks->used + cost_of(capacity) > chunks->memory && (other = oldest(chunks, list))) {
		list_drop(chunks, other);
		arg_chunks_trim(chunks);
	}
	return pool_alloc(capacity);
}

static int list_grow(struct arg_chunks *chunks, struct list *list, size_t size)
{
	size_t capacity = list->capacity ? list->capacity * 2 : CAPACITY_FIRST;
	char *data = NULL;

	if (size <= list->capacity)
		return 0;
	while (capacity < size)
		capacity *= 2;
	if (capacity > chunks->limit)
		capacity = chunks->limit;
	/* A short list is not worth a long one's memory. */
	if (capacity > CAPACITY_FIRST)
		data = spare_take(chunks, capacity, &capacity);
	if (!data)
		data = list_alloc(chunks, list, capacity);
	if (!data)
		return -ENOMEM;
	if (list->size > 0)
		memcpy(data, list->data, list->size);
	pool_free(list->data, list->capacity);
	chunks->used += cost_of(capacity) - cost_of(list->capacity);
	list->data = data;
	list->capacity = capacity;
	return 0;
}

int arg_chunks_add(struct arg_chunks *chunks, struct arg_chunks_key key, uint64_t position, struct bytes chunk)
{
	struct list *list = find(chunks, key);
	int r;

	if (!list) {
		if (position != 0 || chunk.size == 0)
			return 0; /* the beginning was lost: what follows it is of no use */
		list = slot(chunks);
		list->key = key;
	}
	/* The same list once more, as far as it could be read the first time (bpf/failed_exec_deferred.bpf.h). */
	if (position == 0)
		list->size = 0;
	if (chunk.size == 0)
		return 0;
	/* A gap (a lost chunk) ends the list. */
	if (position != list->size || chunk.size > chunks->limit || list->size > chunks->limit - chunk.size)
		return 0;
	r = list_grow(chunks, list, list->size + chunk.size);
	if (r < 0)
		return r;
	memcpy(list->data + list->size, chunk.data, chunk.size);
	list->size += chunk.size;
	list->order = ++chunks->last_order;
	list->added_at = now();
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

	if (chunks->used == 0)
		return;
	limit = now() - ARG_CHUNKS_AGE_S;
	for (size_t i = 0; i < LISTS_MAX; i++)
		if (chunks->lists[i].data && chunks->lists[i].added_at <= limit)
			list_drop(chunks, &chunks->lists[i]);
}

size_t arg_chunks_memory(const struct arg_chunks *chunks)
{
	return chunks->used + chunks->spared;
}

int arg_chunks_archive(struct arg_chunks *chunks, struct archive *a)
{
	for (size_t i = 0; i < LISTS_MAX; i++) {
		struct list *list = &chunks->lists[i];
		struct bytes data = { list->data, list->size };

		archive_raw(a, &list->key, sizeof(list->key));
		ARCHIVE(a, list->order);
		archive_bytes(a, &data);
		if (!archive_is_reading(a) || data.size == 0)
			continue;
		if (data.size > chunks->limit)
			data.size = chunks->limit; /* of a configuration that allowed more */
		if (list_grow(chunks, list, data.size) < 0)
			return -ENOMEM;
		memcpy(list->data, data.data, data.size);
		list->size = data.size;
		list->added_at = now();
	}
	ARCHIVE(a, chunks->last_order);
	return archive_error(a);
}
