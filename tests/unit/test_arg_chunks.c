/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists that are put together, and chunks that do not fit. */
#include "pipeline/arg_chunks.h"

#include "tap.h"

static const struct arg_chunks_key key = { .kind = 1, .tgid = 2, .time = 3 };

TEST(chunks_are_joined_up_to_the_first_gap)
{
	_cleanup_(arg_chunks_free_p) struct arg_chunks *chunks = NULL;

	CHECK_INT(arg_chunks_new(&chunks, 100, 1 << 20), 0);
	CHECK_INT(arg_chunks_add(chunks, key, 0, BYTES("a\0b")), 0);
	CHECK_INT(arg_chunks_add(chunks, key, 3, BYTES("\0c\0")), 0);
	/* After a gap. */
	CHECK_INT(arg_chunks_add(chunks, key, 9, BYTES("d")), 0);
	CHECK(bytes_equal(arg_chunks_find(chunks, key), BYTES("a\0b\0c\0")));
	arg_chunks_drop(chunks, key);
	CHECK(!arg_chunks_find(chunks, key).data);
}

/* And no slot, so no other list is dropped for it. */
TEST(empty_chunk_takes_no_memory)
{
	_cleanup_(arg_chunks_free_p) struct arg_chunks *chunks = NULL;
	struct arg_chunks_key other = key;
	size_t memory;

	CHECK_INT(arg_chunks_new(&chunks, 100, 1 << 20), 0);
	memory = arg_chunks_memory(chunks);
	CHECK_INT(arg_chunks_add(chunks, key, 0, BYTES("")), 0);
	CHECK_INT(arg_chunks_add(chunks, key, 0, BYTES_NONE), 0);
	CHECK(!arg_chunks_find(chunks, key).data);
	CHECK_INT(arg_chunks_memory(chunks), memory);
	CHECK_INT(arg_chunks_add(chunks, key, 0, BYTES("a")), 0);
	for (other.time = 4; other.time < 5000; other.time++)
		CHECK_INT(arg_chunks_add(chunks, other, 0, BYTES("")), 0);
	CHECK_INT(arg_chunks_add(chunks, key, 1, BYTES("")), 0);
	CHECK_INT(arg_chunks_add(chunks, key, 1, BYTES("b")), 0);
	CHECK(bytes_equal(arg_chunks_find(chunks, key), BYTES("ab")));
}

TAP_MAIN
