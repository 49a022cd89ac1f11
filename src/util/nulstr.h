/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A list of strings is one run of bytes, each string with its NUL, as the kernel holds arguments. The last string may lack
 * it: a process can write over its own argv, and a list that was cut ends anywhere.
 */
#ifndef EXECSNOOP_NULSTR_H
#define EXECSNOOP_NULSTR_H

#include <stdbool.h>
#include <stddef.h>

#include "util/bytes.h"

/* Returns the strings one by one; *at is 0 at first. False at the end. Empty strings count, and so does a last one without NUL. */
bool nulstr_next(struct bytes list, size_t *at, struct bytes *ret);

/* How many bytes of the list to keep so that at most `limit` remain and no string is cut. They end after a NUL: a last
 * string without it may be incomplete already, so it is not kept. */
size_t nulstr_cut(struct bytes list, size_t limit);

#endif
