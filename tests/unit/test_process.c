/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/process.h"

#include "tap.h"
#include "util/nulstr.h"

static void check_id(uint64_t boot, uint32_t tgid, uint64_t start, const char *expected)
{
	char id[PROCESS_ID_SIZE];

	process_id_format(id, boot, tgid, start);
	CHECK_STR(id, expected);
}

TEST(ids_at_their_limits_are_parsed)
{
	check_id(0, 0, 0, "0000000000000000-0-0");
	check_id(1, 1, 15, "0000000000000001-1-f");
	check_id(0x123456789abcdef0, 22022, 16, "123456789abcdef0-22022-10");
	check_id(UINT64_MAX, UINT32_MAX, UINT64_MAX, "ffffffffffffffff-4294967295-ffffffffffffffff");
	check_id(0xabc, 10, 0x0fffffffffffffff, "0000000000000abc-10-fffffffffffffff");
	check_id(0xabc, 99, 0x1000000000000000, "0000000000000abc-99-1000000000000000");
}

TEST(ids_match_printf)
{
	char id[PROCESS_ID_SIZE], expected[64];

	for (int shift = 0; shift < 64; shift++) {
		uint64_t start = UINT64_C(0xfedcba9876543210) >> shift;

		snprintf(expected, sizeof(expected), "%016" PRIx64 "-%" PRIu32 "-%" PRIx64, ~start, (uint32_t)start,
			 start);
		process_id_format(id, ~start, (uint32_t)start, start);
		CHECK_STR(id, expected);
	}
}

static void check_args(struct bytes args, size_t count, const char *const *expected)
{
	struct bytes arg = BYTES("untouched");
	size_t at = 0;

	for (size_t i = 0; i < count; i++) {
		CHECK(nulstr_next(args, &at, &arg));
		CHECK(bytes_equal(arg, bytes_of(expected[i])));
	}
	arg = BYTES("untouched");
	CHECK(!nulstr_next(args, &at, &arg));
	CHECK(!nulstr_next(args, &at, &arg));
	CHECK(bytes_equal(arg, BYTES("untouched")));
	CHECK(at <= args.size);
}

TEST(args_are_iterated_one_by_one)
{
	check_args(BYTES("ls\0-l\0"), 2, (const char *const[]){ "ls", "-l" });
	check_args(BYTES("\0"), 1, (const char *const[]){ "" });
	check_args(BYTES("\0\0a\0\0"), 4, (const char *const[]){ "", "", "a", "" });
	check_args(BYTES(""), 0, NULL);
	check_args(BYTES_NONE, 0, NULL);
}

TEST(last_argument_without_nul_counts)
{
	check_args(BYTES("a"), 1, (const char *const[]){ "a" });
	check_args(BYTES("a\0bc"), 2, (const char *const[]){ "a", "bc" });
	check_args(BYTES("\0x"), 2, (const char *const[]){ "", "x" });
}

TEST(args_are_cut_between_two)
{
	struct bytes args = BYTES("ab\0\0cde\0"); /* 3, 4 and 8 */

	static const size_t expected[] = { 0, 0, 0, 3, 4, 4, 4, 4, 8, 8 };

	for (size_t limit = 0; limit < sizeof(expected) / sizeof(expected[0]); limit++)
		CHECK_INT(nulstr_cut(args, limit), expected[limit]);
	CHECK_INT(nulstr_cut(args, SIZE_MAX), 8);
}

TEST(args_end_at_the_last_nul)
{
	CHECK_INT(nulstr_cut(BYTES("ab\0cd"), SIZE_MAX), 3);
	CHECK_INT(nulstr_cut(BYTES("ab\0cd"), 5), 3);
	CHECK_INT(nulstr_cut(BYTES("abcd"), 4), 0);
	CHECK_INT(nulstr_cut(BYTES(""), 4), 0);
	CHECK_INT(nulstr_cut(BYTES_NONE, 4), 0);
}

static void check_tty(uint32_t major, uint32_t minor, const char *expected)
{
	char name[32] = "";

	CHECK(tty_name(name, sizeof(name), major, minor));
	CHECK(tty_number(name, &major, &minor) && tty_name(name, sizeof(name), major, minor));
	CHECK_STR(name, expected);
}

TEST(tty_names_match_dev)
{
	check_tty(4, 0, "tty0");
	check_tty(4, 1, "tty1");
	check_tty(4, 63, "tty63");
	check_tty(4, 64, "ttyS0");
	check_tty(4, 255, "ttyS191");
	check_tty(5, 0, "tty");
	check_tty(5, 1, "console");
	check_tty(5, 2, "ptmx");
	check_tty(5, 3, "5:3");
	check_tty(166, 2, "ttyACM2");
	check_tty(188, 7, "ttyUSB7");
	check_tty(204, 63, "204:63");
	check_tty(204, 64, "ttyAMA0");
	check_tty(204, 77, "ttyAMA13");
	check_tty(204, 78, "204:78");
	check_tty(229, 0, "hvc0");
}

TEST(pts_numbers_continue_across_majors)
{
	check_tty(136, 0, "pts/0");
	check_tty(136, 3, "pts/3");
	check_tty(136, 255, "pts/255");
	/* Minors have 20 bits: the kernel of today does not leave major 136. */
	check_tty(136, 1048575, "pts/1048575");
	check_tty(137, 0, "pts/256");
	check_tty(143, 255, "pts/2047");
	check_tty(135, 1, "135:1");
	check_tty(144, 1, "144:1");
}

TEST(other_ttys_have_major_and_minor)
{
	check_tty(3, 0, "3:0");
	check_tty(0, 1, "0:1");
	check_tty(UINT32_MAX, UINT32_MAX, "4294967295:4294967295");
}

TEST(missing_tty_has_no_name)
{
	char name[32] = "untouched";

	CHECK(!tty_name(name, sizeof(name), 0, 0));
	CHECK_STR(name, "untouched");
}

TEST(tty_name_is_cut_to_its_buffer)
{
	char name[4];

	CHECK(tty_name(name, sizeof(name), 229, 123456));
	CHECK_STR(name, "hvc");
}

TAP_MAIN
