/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory that is about to be written, all at once: it takes the kernel a third of the time that a fault for each page
 * takes, and longer than what is then written. Before Linux 5.14 it is refused (madvise(2), MADV_POPULATE_WRITE), and
 * the pages come one by one.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#define POPULATE_MIN ((size_t)256 << 10) /* bytes; for less it makes no difference */

static inline void populate(void *at, size_t size)
{
#ifdef MADV_POPULATE_WRITE
	const uintptr_t page = 4096, before = -(uintptr_t)at & (page - 1);

	/* Larger pages make it fail if they are cut. */
	if (size >= POPULATE_MIN)
		madvise((char *)at + before, (size - before) & ~(page - 1), MADV_POPULATE_WRITE);
#endif
}
