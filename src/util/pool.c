/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A list of free blocks for each size, in steps that waste little. */
#include "util/pool.h"

#include <stdlib.h>

#include "util/populate.h"

#define STEP 32

struct block {
	struct block *next;
};

static struct block *lists[POOL_BLOCK_MAX / STEP + 1];
static size_t free_bytes;

static size_t rounded(size_t size)
{
	return (size + STEP - 1) / STEP * STEP;
}

static __attribute__((noinline)) void *alloc_large(size_t size)
{
	void *block = malloc(size);

	if (block)
		populate(block, size);
	return block;
}

void *pool_alloc(size_t size)
{
	struct block **list, *block;

	if (POOL_DISABLED || size > POOL_BLOCK_MAX)
		return alloc_large(size);
	size = rounded(size);
	list = &lists[size / STEP];
	block = *list;
	if (!block)
		return malloc(size);
	*list = block->next;
	free_bytes -= size;
	return block;
}

void pool_free(void *at, size_t size)
{
	struct block *block = at;

	size = rounded(size);
	if (POOL_DISABLED || !block || size == 0 || size > POOL_BLOCK_MAX || free_bytes + size > POOL_FREE_MAX) {
		free(block);
		return;
	}
	block->next = lists[size / STEP];
	lists[size / STEP] = block;
	free_bytes += size;
}

void pool_trim(size_t max)
{
	/* Large blocks first: they are few. */
	for (size_t i = POOL_BLOCK_MAX / STEP; i > 0 && free_bytes > max; i--) {
		while (lists[i] && free_bytes > max) {
			struct block *block = lists[i];

			lists[i] = block->next;
			free_bytes -= i * STEP;
			free(block);
		}
	}
}

size_t pool_free_bytes(void)
{
	return free_bytes;
}
