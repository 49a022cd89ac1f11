/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Decimal digits, two at a time: half the divisions. */
#pragma once

#include <stddef.h>
#include <string.h>

/* The two last decimal digits of value, ending before `end`. */
static inline void two_digits(char *end, unsigned value)
{
	static const char pairs[] = "0001020304050607080910111213141516171819"
				    "2021222324252627282930313233343536373839"
				    "4041424344454647484950515253545556575859"
				    "6061626364656667686970717273747576777879"
				    "8081828384858687888990919293949596979899";

	memcpy(end - 2, pairs + 2 * (size_t)(value % 100), 2);
}
