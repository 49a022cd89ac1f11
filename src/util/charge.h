/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an allocation takes of memory, for those that count what is held for an outsider. */
#pragma once

#include <stddef.h>

#define CHARGE_LARGE 65536

/*
 * glibc's malloc(3) puts a word before a block and has units of 16 bytes (malloc/malloc.c,
 * request2size); pool.h rounds to 32; a large block may have whole pages. Never less than the
 * allocation takes.
 */
static inline size_t charge_of(size_t size)
{
	if (size > CHARGE_LARGE)
		return (size + 16 + 4095) & ~(size_t)4095;
	return ((size + 31) & ~(size_t)31) + 16;
}
