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

static void add_long(struct arg_chunks *chunks, struct arg_chunks_key to, size_t size)
{
	static const char text[10000] = "text";

	for (size_t at = 0; at < size; at += sizeof(text))
		CHECK_INT(arg_chunks_add(chunks, to, at, (struct bytes){ text, sizeof(text) }), 0);
	CHECK_INT(arg_chunks_find(chunks, to).size, size);
}

/* The pages of a long list, which cost more than its bytes, are there for the next one, and in no one's way. */
TEST(memory_of_a_long_list_is_taken_by_the_next)
{
	_cleanup_(arg_chunks_free_p) struct arg_chunks *chunks = NULL;
	struct arg_chunks_key other = key;
	const char *data;
	size_t memory;

	CHECK_INT(arg_chunks_new(&chunks, 1000000, 4000000), 0);
	add_long(chunks, key, 1000000);
	data = arg_chunks_find(chunks, key).data;
	memory = arg_chunks_memory(chunks);
	arg_chunks_drop(chunks, key);
	CHECK_INT(arg_chunks_memory(chunks), memory);
	for (other.time = 4; other.time < 10; other.time++) {
		add_long(chunks, other, 500000);
		CHECK(arg_chunks_find(chunks, other).data == data);
		arg_chunks_drop(chunks, other);
	}
	/* As many lists as there may be without it. */
	for (other.time = 4; other.time < 7; other.time++)
		add_long(chunks, other, 1000000);
	for (other.time = 4; other.time < 7; other.time++)
		CHECK_INT(arg_chunks_find(chunks, other).size, 1000000);
	for (other.time = 4; other.time < 7; other.time++)
		arg_chunks_drop(chunks, other);
	CHECK(arg_chunks_memory(chunks) <= 4000000);
	arg_chunks_trim(chunks);
	CHECK_INT(arg_chunks_memory(chunks), 0);
}

TAP_MAIN
