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

#include "bytes.h"
#include "cleanup.h"

struct glob;

/* -EINVAL with *ret_reason (a static string) where the pattern asks for what glob.c does not do; -ENOMEM. */
int glob_new(struct glob **ret, struct bytes pattern, const char **ret_reason);
struct glob *glob_free(struct glob *glob);
DEFINE_CLEANUP(struct glob *, glob_free);

bool glob_match(const struct glob *glob, struct bytes text);

/* The one string that it matches, where there is only one. */
bool glob_is_literal(const struct glob *glob, struct bytes *ret);

#endif
