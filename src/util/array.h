/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Arrays that grow: a pointer, and how many members its memory has. */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

static inline int array_reserve(void *array, size_t *capacity, size_t count, size_t size)
{
	void **data = array, *grown;
	size_t n = *capacity ? 2 * *capacity : 256;

	if (count <= *capacity)
		return 0;
	if (n < count)
		n = count;
	grown = reallocarray(*data, n, size);
	if (!grown)
		return -ENOMEM;
	*data = grown;
	*capacity = n;
	return 0;
}

/* Memory for `count` members. The content stays; -ENOMEM changes nothing. */
#define ARRAY_RESERVE(array, capacity, count) array_reserve(&(array), &(capacity), count, sizeof(*(array)))
