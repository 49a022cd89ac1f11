/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/pool.h"

#include <stdlib.h>

#include "tap.h"

TEST(freed_blocks_are_reused)
{
	void *a = pool_alloc(1000), *b, *c;

	CHECK(a);
	memset(a, 'a', 1000);
	pool_free(a, 1000);
	/* Another size is another list. */
	b = pool_alloc(200);
	c = pool_alloc(1010);
	CHECK(b != a || POOL_DISABLED);
	CHECK(c == a || POOL_DISABLED);
	memset(c, 'c', 1010);
	pool_free(b, 200);
	pool_free(c, 1010);
	pool_free(NULL, 500);
	pool_trim(0);
	CHECK_INT(pool_free_bytes(), 0);
}

TEST(every_size_is_writable)
{
	for (size_t size = 1; size < POOL_BLOCK_MAX + 100; size += 37) {
		char *block = pool_alloc(size);

		CHECK(block);
		memset(block, 'x', size);
		pool_free(block, size);
		block = pool_alloc(size);
		memset(block, 'y', size);
		pool_free(block, size);
	}
	pool_trim(0);
}

TEST(kept_memory_is_bounded)
{
	static void *blocks[4000];

	for (size_t i = 0; i < 4000; i++)
		CHECK(blocks[i] = pool_alloc(4000));
	for (size_t i = 0; i < 4000; i++)
		pool_free(blocks[i], 4000);
	CHECK(pool_free_bytes() <= POOL_FREE_MAX);
	CHECK(pool_free_bytes() > POOL_FREE_MAX - 8000 || POOL_DISABLED);
	pool_trim(POOL_FREE_IDLE_MAX);
	CHECK(pool_free_bytes() <= POOL_FREE_IDLE_MAX);
	CHECK(pool_free_bytes() > POOL_FREE_IDLE_MAX - 8000 || POOL_DISABLED);
	/* The largest are not kept at all. */
	pool_trim(0);
	pool_free(pool_alloc(POOL_BLOCK_MAX + 1), POOL_BLOCK_MAX + 1);
	CHECK_INT(pool_free_bytes(), 0);
}

TAP_MAIN
