/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes from processes in text: exactly, for a program to read back (quote_args), or so that they can do no harm on
 * a terminal, for people to read (struct text).
 */
#ifndef EXECSNOOP_QUOTE_H
#define EXECSNOOP_QUOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/bytes.h"

/*
 * The arguments (each with its NUL) as one line of a POSIX shell that gives the same bytes: separated by a blank, those
 * that need it in '...', a ' in them as '\''. Byte for byte otherwise, newlines too. Writes quote_args_size bytes, no
 * NUL; returns where it ended.
 */
size_t quote_args_size(struct bytes args);
char *quote_args(char *to, struct bytes args);

/* Text that grows in a buffer of the caller's: always valid UTF-8 (if it is given that), ended by NUL,
 * with an ellipsis where it was cut. */
struct text {
	char *data;
	size_t size; /* of data; > 0 */
	size_t used;
	bool cut;
};

void text_begin(struct text *text, char *data, size_t size);
/* Ours: put as it is, whole or not at all. */
void text_string(struct text *text, const char *string);
void text_number(struct text *text, uint64_t number);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A name or a path; control characters and bytes that are not UTF-8 as \n, \x1b. */
void text_name(struct text *text, struct bytes name);
/* The arguments, quoted where a shell would need it; those with bytes that can't be shown as $'...\n...'. */
void text_args(struct text *text, struct bytes args);

#endif
