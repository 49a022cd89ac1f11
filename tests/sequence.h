/* SPDX-License-Identifier: GPL-2.0-or-later */
/* UTF-8 by arithmetic and code point, where utf8.c goes by ranges of bytes: two ways to the same rule. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The size of the sequence that data begins with; 0: none. */
static inline size_t sequence(const unsigned char *data, size_t size)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = data[0] < 0x80 ? 1 : data[0] >> 5 == 6 ? 2 : data[0] >> 4 == 14 ? 3 : data[0] >> 3 == 30 ? 4 : 0;
	uint32_t point = n < 2 ? data[0] : data[0] & (0x7fu >> n);

	if (n == 0 || n > size)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if (data[i] >> 6 != 2)
			return 0;
		point = point << 6 | (data[i] & 0x3f);
	}
	return point >= least[n] && point <= 0x10ffff && point >> 11 != 0x1b ? n : 0;
}
