/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shell patterns over bytes, compiled once: the meaning of fnmatch(3) without flags in the C locale
 * ('*' and '?' match '/' and a leading '.' too), for bytes that need not be text and do not end
 * with NUL.
 *
 *	*       any run of bytes, also an empty one
 *	?       any one byte
 *	[a-z_]  one of these; [!a-z] or [^a-z]: one of the others; [[:digit:]] and the other classes of POSIX
 *	\x      x itself; a backslash at the very end is itself, and so is a '[' that is never closed
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "util/bytes.h"
#include "util/cleanup.h"

struct glob;

#define GLOB_SIZE_MAX 4096 /* bytes of a pattern */

/* -EINVAL with *ret_reason, a static string, if the pattern is not supported; -ENOMEM. */
int glob_new(struct glob **ret, struct bytes pattern, const char **ret_reason);
struct glob *glob_free(struct glob *glob);
DEFINE_CLEANUP(struct glob *, glob_free);

bool glob_match(const struct glob *glob, struct bytes text);

/*
 * The same with a bound: the cost is subtracted from *steps, and at 0 the search stops. A step is
 * about the cost of one byte of the text; what is not a search takes a few at once, so *steps may
 * end below zero. A whole match takes no more than GLOB_STEPS_MAX(size of the pattern, size of the
 * text).
 */
enum glob_result {
	GLOB_NO,
	GLOB_YES,
	GLOB_MORE, /* undecided: a call with the same text and place continues */
};
/* All zero at the beginning. */
struct glob_place {
	size_t segment, at;
	uint64_t partial;
};
enum glob_result glob_search(const struct glob *glob, struct bytes text, struct glob_place *place, int64_t *steps);
#define GLOB_STEPS_MAX(pattern, text) (16 + 3 * (int64_t)(text) + 3 * (int64_t)(pattern))

/* A match needs more than the two ends of a text: its cost depends on the text's size. */
bool glob_searches(const struct glob *glob);
/* How many tables it has, of 2 KiB each. */
size_t glob_tables(const struct glob *glob);

size_t glob_memory(const struct glob *glob);

/* *ret: the only string that it matches. False: there may be several. */
bool glob_is_literal(const struct glob *glob, struct bytes *ret);
