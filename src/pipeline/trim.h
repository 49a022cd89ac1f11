/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Gives memory back to the kernel once many processes, or many lines, are gone. free(3) alone gives
 * back only what is at the heap's very end, where there is always something in use. A trim takes up
 * to some milliseconds, so a share of the memory has to be unused: from a great many processes down
 * to few, that happens a few times.
 */
#pragma once

#include <stddef.h>

struct trim {
	size_t processes_peak, lines_peak; /* since memory was given back last */
};

/* processes: in the table; lines: bytes of lines that wait. */
void trim_memory(struct trim *trim, size_t processes, size_t lines);
