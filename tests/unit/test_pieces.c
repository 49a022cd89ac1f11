/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists put together, and the pieces that are none. */
#include "pieces.h"

#include "tap.h"

static const struct pieces_key key = { .kind = 1, .tgid = 2, .time = 3 };

TEST(pieces_make_a_list)
{
	_cleanup_(pieces_free_p) struct pieces *pieces = NULL;

	CHECK_INT(pieces_new(&pieces, 100, 1 << 20), 0);
	CHECK_INT(pieces_add(pieces, key, 0, BYTES("a\0b")), 0);
	CHECK_INT(pieces_add(pieces, key, 3, BYTES("\0c\0")), 0);
	/* Behind a hole. */
	CHECK_INT(pieces_add(pieces, key, 9, BYTES("d")), 0);
	CHECK(bytes_equal(pieces_find(pieces, key), BYTES("a\0b\0c\0")));
	pieces_drop(pieces, key);
	CHECK(!pieces_find(pieces, key).data);
}

/* It takes no place, and so pushes nobody out; and there is no memory that it could be copied to. */
TEST(empty_piece_is_none)
{
	_cleanup_(pieces_free_p) struct pieces *pieces = NULL;
	struct pieces_key other = key;
	size_t memory;

	CHECK_INT(pieces_new(&pieces, 100, 1 << 20), 0);
	memory = pieces_memory(pieces);
	CHECK_INT(pieces_add(pieces, key, 0, BYTES("")), 0);
	CHECK_INT(pieces_add(pieces, key, 0, BYTES_NONE), 0);
	CHECK(!pieces_find(pieces, key).data);
	CHECK_INT(pieces_memory(pieces), memory);
	CHECK_INT(pieces_add(pieces, key, 0, BYTES("a")), 0);
	for (other.time = 4; other.time < 5000; other.time++)
		CHECK_INT(pieces_add(pieces, other, 0, BYTES("")), 0);
	CHECK_INT(pieces_add(pieces, key, 1, BYTES("")), 0);
	CHECK_INT(pieces_add(pieces, key, 1, BYTES("b")), 0);
	CHECK(bytes_equal(pieces_find(pieces, key), BYTES("ab")));
}

TAP_MAIN
