/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pipeline/trim.h"

#include <malloc.h>
#include <stdbool.h>

#include "util/pool.h"

/* Unused since the peak: this many, and a quarter of the peak. */
#define TRIM_PROCESSES 64
#define TRIM_LINES (4 << 20)

static bool is_much_unused(size_t *peak, size_t now, size_t least)
{
	if (*peak < now)
		*peak = now;
	return *peak - now >= least + *peak / 4;
}

void trim_memory(struct trim *trim, size_t processes, size_t lines)
{
	bool is_due = is_much_unused(&trim->processes_peak, processes, TRIM_PROCESSES);

	is_due |= is_much_unused(&trim->lines_peak, lines, TRIM_LINES);
	if (!is_due)
		return;
	pool_trim(0);
	malloc_trim(0);
	trim->processes_peak = processes;
	trim->lines_peak = lines;
}
