/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A run of bytes, borrowed. What comes from a process is bytes, not text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* data NULL: not known (an empty run has data and size 0). Not ended by NUL. */
struct bytes {
	const char *data;
	size_t size;
};

#define BYTES(literal) ((struct bytes){ .data = (literal), .size = sizeof(literal) - 1 })
#define BYTES_NONE ((struct bytes){ .data = NULL, .size = 0 })

static inline struct bytes bytes_of(const char *s)
{
	return s ? (struct bytes){ .data = s, .size = strlen(s) } : BYTES_NONE;
}

/* Not toupper(3), which depends on the locale: of "i" a Turkish one makes no "I". */
static inline char ascii_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
	return !a.data == !b.data && a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}
