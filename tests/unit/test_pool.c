/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/pool.h"

#include <stdlib.h>

#include "tap.h"

TEST(what_is_given_back_is_taken_again)
{
	void *a = pool_take(1000), *b, *c;

	CHECK(a);
	memset(a, 'a', 1000);
	pool_give(a, 1000);
	/* Another size is another list. */
	b = pool_take(200);
	c = pool_take(1010);
	CHECK(b != a || POOL_PASSES);
	CHECK(c == a || POOL_PASSES);
	memset(c, 'c', 1010);
	pool_give(b, 200);
	pool_give(c, 1010);
	pool_give(NULL, 500);
	pool_trim(0);
	CHECK_INT(pool_kept(), 0);
}

TEST(every_size_has_its_bytes)
{
	for (size_t size = 1; size < POOL_LARGEST + 100; size += 37) {
		char *block = pool_take(size);

		CHECK(block);
		memset(block, 'x', size);
		pool_give(block, size);
		block = pool_take(size);
		memset(block, 'y', size);
		pool_give(block, size);
	}
	pool_trim(0);
}

TEST(what_is_kept_is_bounded)
{
	static void *blocks[4000];

	for (size_t i = 0; i < 4000; i++)
		CHECK(blocks[i] = pool_take(4000));
	for (size_t i = 0; i < 4000; i++)
		pool_give(blocks[i], 4000);
	CHECK(pool_kept() <= POOL_KEPT);
	CHECK(pool_kept() > POOL_KEPT - 8000 || POOL_PASSES);
	pool_trim(POOL_KEPT_IDLE);
	CHECK(pool_kept() <= POOL_KEPT_IDLE);
	CHECK(pool_kept() > POOL_KEPT_IDLE - 8000 || POOL_PASSES);
	/* The largest are not kept at all. */
	pool_trim(0);
	pool_give(pool_take(POOL_LARGEST + 1), POOL_LARGEST + 1);
	CHECK_INT(pool_kept(), 0);
}

TAP_MAIN
