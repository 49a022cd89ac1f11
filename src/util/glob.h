/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shell patterns over bytes, compiled once: the meaning of fnmatch(3) without flags in the C locale ('*' and '?'
 * match '/' and a leading '.' too), for runs of bytes that may be no text and have no NUL at their end.
 *
 *	*       any run of bytes, also an empty one
 *	?       any one byte
 *	[a-z_]  one of these; [!a-z] or [^a-z]: one of the others; [[:digit:]] and the other classes of POSIX
 *	\x      x itself; a backslash at the very end stands for itself, as does a '[' that is never closed
 */
#ifndef EXECSNOOP_GLOB_H
#define EXECSNOOP_GLOB_H

#include <stdbool.h>
#include <stdint.h>

#include "util/bytes.h"
#include "util/cleanup.h"

struct glob;

#define GLOB_SIZE_MAX 4096 /* bytes of a pattern */

/* -EINVAL with *ret_reason (a static string) where the pattern asks for what glob.c does not do; -ENOMEM. */
int glob_new(struct glob **ret, struct bytes pattern, const char **ret_reason);
struct glob *glob_free(struct glob *glob);
DEFINE_CLEANUP(struct glob *, glob_free);

bool glob_match(const struct glob *glob, struct bytes text);

/*
 * The same with a bound: it takes what it costs off *steps, and stops when none are left. A step is about as much as one
 * byte of the text costs; what is no search takes a few at once, so *steps may end below zero. A whole match takes no more than
 * GLOB_STEPS_MAX(size of the pattern, size of the text).
 */
enum glob_result {
	GLOB_NO,
	GLOB_YES,
	GLOB_MORE, /* called again with the same text and place, it continues */
};
/* All zero at the beginning. */
struct glob_place {
	size_t segment, at;
	uint64_t partial;
};
enum glob_result glob_search(const struct glob *glob, struct bytes text, struct glob_place *place, int64_t *steps);
#define GLOB_STEPS_MAX(pattern, text) (16 + 3 * (int64_t)(text) + 3 * (int64_t)(pattern))

/* It can't be decided by looking at the two ends of a text: what it costs depends on the text's size. */
bool glob_searches(const struct glob *glob);
/* Of how many parts it keeps a table, of 2 KiB. */
size_t glob_tables(const struct glob *glob);

/* Memory that it takes. */
size_t glob_memory(const struct glob *glob);

/* The one string that it matches, where there is only one. */
bool glob_is_literal(const struct glob *glob, struct bytes *ret);

#endif
