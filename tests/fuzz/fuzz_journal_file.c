/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A journal file, damaged or made by an enemy. */
#include "journal_compare.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* libFuzzer's memory is aligned only by chance; a file that is mapped always is. */
	_cleanup_free_ void *copy = malloc(size ?: 1);

	ASSERT(copy);
	if (size > 0)
		memcpy(copy, data, size);
	compare_file(copy, size);
	return 0;
}
