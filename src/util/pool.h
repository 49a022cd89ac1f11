/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocks that every event takes and gives back (lines, entries of the process table): kept for the next event, so that in
 * steady state none asks malloc(3). What is kept is bounded, and goes back when the machine is quiet. One for the
 * process, and for its event loop's thread alone. With AddressSanitizer it is malloc itself, to the byte, which sees misuse.
 *
 * What it is for: 2.6 calls of malloc(3) an event less, and 1.8 % of an event's instructions (callgrind, tests/bench/micro). The time is the same.
 */
#ifndef EXECSNOOP_POOL_H
#define EXECSNOOP_POOL_H

#include <stddef.h>

#define POOL_BLOCK_MAX 65536	      /* larger blocks are not kept */
#define POOL_FREE_MAX (4 << 20)	      /* bytes, at most */
#define POOL_FREE_IDLE_MAX (64 << 10) /* what a quiet machine may have */

#define POOL_DISABLED 0 /* to malloc(3) and free(3) */
#if defined(__SANITIZE_ADDRESS__)
#undef POOL_DISABLED
#define POOL_DISABLED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#undef POOL_DISABLED
#define POOL_DISABLED 1
#endif
#endif

/* NULL: there is no memory. */
void *pool_alloc(size_t size);
/* size: what it was taken with. NULL is nothing. */
void pool_free(void *block, size_t size);

/* Gives back what is more than `keep` bytes. */
void pool_trim(size_t keep);
/* Bytes that are kept. */
size_t pool_free_bytes(void);

#endif
