/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counts what a program asks malloc(3) and its kin for. Included once; linked with $(count_allocations). */
#pragma once

#include <stdint.h>
#include <stdlib.h>

static uint64_t allocations;

__typeof__(malloc) __real_malloc, __wrap_malloc;
__typeof__(calloc) __real_calloc, __wrap_calloc;
__typeof__(realloc) __real_realloc, __wrap_realloc;

void *__wrap_malloc(size_t size)
{
	allocations++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	allocations++;
	return __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	allocations++;
	return __real_realloc(old, size);
}
