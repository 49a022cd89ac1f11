/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes of processes as text: exact, for a program to read back (quote_args()), or harmless on a
 * terminal, for people (struct text). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/bytes.h"

/*
 * The arguments (each with its NUL) as one line for a POSIX shell that yields the same bytes:
 * separated by a blank, in '...' where needed, with ' as '\''. Other bytes are unchanged, newlines
 * too. Writes quote_args_size() bytes, without NUL; returns the end.
 */
size_t quote_args_size(struct bytes args);
char *quote_args(char *to, struct bytes args);

/* Text that grows in a buffer of the caller: always valid UTF-8 (if what is put is), with a NUL,
 * and with an ellipsis where it was cut. */
struct text {
	char *data;
	size_t size; /* of data; > 0 */
	size_t used;
	bool cut;
};

void text_begin(struct text *text, char *data, size_t size);
/* Text of our own: as it is, whole or not at all. */
void text_string(struct text *text, const char *string);
void text_number(struct text *text, uint64_t number);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A name or a path; control characters and bytes that are not UTF-8 as \n, \x1b. */
void text_name(struct text *text, struct bytes name);
/* The arguments, quoted as a shell needs it; those with bytes that cannot be shown as
 * $'...\n...'. */
void text_args(struct text *text, struct bytes args);
/* One of them. */
void text_arg(struct text *text, struct bytes arg, bool is_first);
