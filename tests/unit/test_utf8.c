/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compared with sequence.h over all that fits. */
#include "util/utf8.h"

#include "sequence.h"
#include "tap.h"

static bool begins_sequence(const unsigned char *data, size_t size)
{
	unsigned char more[4];

	/* Its further bytes can be chosen: the second matters, and is 80 or BF at one end of any range. */
	if (size == 1) {
		for (unsigned second = 0x80; second < 0xc0; second++) {
			more[0] = data[0], more[1] = (unsigned char)second, more[2] = more[3] = 0x80;
			if (sequence(more, 4) > 1)
				return true;
		}
		return false;
	}
	memcpy(more, data, size);
	memset(more + size, 0x80, sizeof(more) - size);
	return sequence(more, 4) > size;
}

/* D93b: the longest that begins a sequence, or one byte. */
static size_t maximal_subpart(const unsigned char *data, size_t size)
{
	for (size_t n = size < 3 ? size : 3; n > 1; n--) {
		if (begins_sequence(data, n))
			return n;
	}
	return 1;
}

static size_t valid(const unsigned char *data, size_t size)
{
	size_t at = 0, n;

	while (at < size && (n = sequence(data + at, size - at)) > 0)
		at += n;
	return at;
}

static void compare(const unsigned char *data, size_t size)
{
	size_t good = valid(data, size), left = size - good;
	const char *text = (const char *)data;

	CHECK_INT(utf8_valid(text, size), good);
	if (left > 0)
		CHECK_INT(utf8_bad(text + good, left), maximal_subpart(data + good, left));
}

TEST(all_one_and_two_byte_strings_match_the_reference)
{
	for (unsigned i = 0; i < 256; i++) {
		unsigned char one = (unsigned char)i;

		compare(&one, 1);
		for (unsigned j = 0; j < 256; j++)
			compare((unsigned char[]){ one, (unsigned char)j }, 2);
	}
}

TEST(all_non_ascii_three_byte_strings_match_the_reference)
{
	for (unsigned i = 0x800000; i < 0x1000000; i++)
		compare((unsigned char[]){ (unsigned char)(i >> 16), (unsigned char)(i >> 8), (unsigned char)i }, 3);
}

TEST(four_byte_strings_at_all_bounds_match_the_reference)
{
	static const unsigned char bounds[] = { 0,    0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f,
						0xa0, 0xbf, 0xc0, 0xe0, 0xf0, 0xff };
	const size_t n = sizeof(bounds);

	for (unsigned lead = 0; lead < 256; lead++) {
		for (size_t i = 0; i < n * n * n; i++)
			compare((unsigned char[]){ (unsigned char)lead, bounds[i / n / n], bounds[i / n % n],
						   bounds[i % n] },
				4);
	}
}

TEST(invalid_byte_in_ascii_is_found_at_every_place)
{
	char *data = malloc(41);

	for (size_t size = 0; size <= 40; size++) {
		for (size_t at = 0; at < size; at++) {
			/* To the end of what was allocated, so that sanitizers see a step beyond. */
			char *end = data + 41 - size;

			memset(end, 'a', size);
			CHECK_INT(utf8_valid(end, size), size);
			end[at] = (char)0xff;
			CHECK_INT(utf8_valid(end, size), at);
			CHECK_INT(utf8_bad(end + at, size - at), 1);
		}
	}
	free(data);
}

TEST(whole_and_cut_sequences_match_at_every_alignment)
{
	static const char *const signs[] = { "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf",
					     "\xf4\x8f\xbf\xbf" };
	char text[32];

	for (size_t s = 0; s < sizeof(signs) / sizeof(signs[0]); s++) {
		size_t n = strlen(signs[s]);

		for (size_t at = 0; at < 20; at++) {
			memset(text, 'x', sizeof(text));
			memcpy(text + at, signs[s], n);
			CHECK_INT(utf8_valid(text, sizeof(text)), sizeof(text));
			for (size_t cut = 1; cut < n; cut++) {
				CHECK_INT(utf8_valid(text, at + cut), at);
				CHECK_INT(utf8_bad(text + at, cut), cut);
			}
		}
	}
}

TEST(examples_of_the_standard_match)
{
	/* Tables 3-8 to 3-11: what gets one U+FFFD each. */
	CHECK_INT(utf8_bad("\xc0\xaf", 2), 1);
	CHECK_INT(utf8_bad("\xe0\x80\xbf", 3), 1);
	CHECK_INT(utf8_bad("\xed\xa0\x80", 3), 1);
	CHECK_INT(utf8_bad("\xf4\x91\x92\x93", 4), 1);
	CHECK_INT(utf8_bad("\xe1\x80\xe2", 3), 2);
	CHECK_INT(utf8_bad("\xf1\x80\x80\x41", 4), 3);
	CHECK_INT(utf8_bad("\xf0\x91\x92", 3), 3);
}

TEST(empty_string_is_valid)
{
	CHECK_INT(utf8_valid("", 0), 0);
	CHECK_INT(utf8_valid(NULL, 0), 0);
	CHECK_INT(utf8_valid("\0\0\0\0\0\0\0\0\0", 9), 9);
}

TAP_MAIN
