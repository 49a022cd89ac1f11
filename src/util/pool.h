/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocks that every event allocates and frees (lines, entries of the process table): freed ones are
 * kept for the next event, so that in steady state none calls malloc(3). What is kept is bounded,
 * and freed when the machine is quiet. One pool for the process, for the event loop's thread alone.
 * With AddressSanitizer it is malloc(3) itself, which detects misuse.
 *
 * It saves 2.6 calls of malloc(3) an event, and 1.8 % of an event's instructions (callgrind,
 * tests/bench/micro). The time is the same.
 */
#pragma once

#include <stddef.h>

#define POOL_BLOCK_MAX 65536	      /* larger blocks are not kept */
#define POOL_FREE_MAX (4 << 20)	      /* bytes that are kept */
#define POOL_FREE_IDLE_MAX (64 << 10) /* the same on a quiet machine */

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

/* NULL: no memory. */
void *pool_alloc(size_t size);
/* size: as it was allocated. block may be NULL. */
void pool_free(void *block, size_t size);

/* Frees what is more than `max` bytes. */
void pool_trim(size_t max);
/* Bytes that are kept. */
size_t pool_free_bytes(void);
