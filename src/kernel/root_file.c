/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/root_file.h"

#include <string.h>

#include "util/cleanup.h"

FILE *root_file_open(const char *root, const char *path)
{
	char whole[4096];

	if ((size_t)snprintf(whole, sizeof(whole), "%s%s", root, path) >= sizeof(whole))
		return NULL;
	return fopen(whole, "re");
}

bool root_file_read_line(const char *root, const char *path, char *line, size_t size)
{
	_cleanup_fclose_ FILE *f = root_file_open(root, path);

	if (!f || !fgets(line, (int)size, f))
		return false;
	line[strcspn(line, "\n")] = '\0';
	return true;
}
