/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Table 3-7 of The Unicode Standard, "Well-Formed UTF-8 Byte Sequences": the range of the second
 * byte depends on the first; all later bytes are 80..BF. */
#include "util/utf8.h"

#include <stdint.h>
#include <string.h>

/* The size of the sequence that begins with `lead`, and the range of its second byte; 0: none
 * does. */
static size_t sequence(uint8_t lead, uint8_t *ret_low, uint8_t *ret_high)
{
	*ret_low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
	*ret_high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
	if (lead < 0x80)
		return 1;
	if (lead < 0xc2 || lead > 0xf4)
		return 0;
	return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* The bytes at data that are a sequence or a beginning of one; *ret_whole is which. */
static size_t match(const uint8_t *data, size_t size, bool *ret_whole)
{
	uint8_t low, high;
	size_t length = sequence(data[0], &low, &high), n = 1;

	*ret_whole = false;
	if (length == 0)
		return 1;
	while (n < length && n < size && data[n] >= low && data[n] <= high) {
		low = 0x80;
		high = 0xbf;
		n++;
	}
	*ret_whole = n == length;
	return n;
}

size_t utf8_valid(const char *data, size_t size)
{
	const uint8_t *bytes = (const uint8_t *)data;
	size_t at = 0, n;
	uint64_t word;
	bool whole;

	while (at < size) {
		/* Nearly all is ASCII: eight bytes at a time. */
		while (size - at >= sizeof(word)) {
			memcpy(&word, data + at, sizeof(word));
			if (word & UINT64_C(0x8080808080808080))
				break;
			at += sizeof(word);
		}
		while (at < size && bytes[at] < 0x80)
			at++;
		if (at == size)
			break;
		n = match(bytes + at, size - at, &whole);
		if (!whole)
			return at;
		at += n;
	}
	return size;
}

size_t utf8_bad(const char *data, size_t size)
{
	bool whole;

	return match((const uint8_t *)data, size, &whole);
}

size_t utf8_first(const char *data, size_t size, bool *ret_valid)
{
	return match((const uint8_t *)data, size, ret_valid);
}

size_t utf8_acts(const char *data, size_t size)
{
	const uint8_t *p = (const uint8_t *)data;

	if (size == 0 || p[0] < 0x7f)
		return 0;
	if (p[0] == 0x7f)
		return 1;
	if (size >= 2 && ((p[0] == 0xc2 && p[1] < 0xa0) || (p[0] == 0xd8 && p[1] == 0x9c)))
		return 2;
	if (size < 3 || p[0] != 0xe2)
		return 0;
	if (p[1] == 0x80)
		return p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xa8 && p[2] <= 0xae) ? 3 : 0;
	return p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xaf ? 3 : 0;
}

unsigned utf8_code(const char *data, size_t size)
{
	const uint8_t *p = (const uint8_t *)data;

	return size == 1   ? p[0]
	       : size == 2 ? (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu)
	       : size == 3 ? (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu)
			   : (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
}
