/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files by absolute paths below a root, which is "" except in tests. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

FILE *root_file_open(const char *root, const char *path);

/* The first line, without its end; false if there is none. */
bool root_file_read_line(const char *root, const char *path, char *line, size_t size);
