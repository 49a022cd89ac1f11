/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/source/journal_memory.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* "ADDRESS-ADDRESS r--s OFFSET DEVICE INODE PATH"; proc_pid_maps(5). sd-journal maps them shared and read-only. */
static void release(const char *line)
{
	uintptr_t begin, end;
	char access[8];

	if (!strstr(line, ".journal") || sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &begin, &end, access) != 3 ||
	    strcmp(access, "r--s") != 0)
		return;
	/* Of a shared mapping of a file, nothing is lost by it; madvise(2). */
	madvise((void *)begin, end - begin, MADV_DONTNEED);
}

void journal_memory_release(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[4352]; /* PATH_MAX, and what is before it */

	if (!maps)
		return;
	while (fgets(line, sizeof(line), maps))
		release(line);
	fclose(maps);
}
