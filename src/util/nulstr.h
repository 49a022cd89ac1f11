/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A list of strings is a run of bytes, each string with its NUL, as the kernel holds arguments. The
 * last string may lack it: a process can write over its own argv, and a list may have been cut
 * anywhere.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "util/bytes.h"

/* Returns the strings one by one; *at is 0 at first. False at the end. Empty strings count, and so
 * does a last one without NUL. */
bool nulstr_next(struct bytes list, size_t *at, struct bytes *ret);

/* The size of the longest prefix of the list that has at most `limit` bytes and cuts no string. It
 * ends with a NUL: a last string without one may be incomplete, so it is left out. */
size_t nulstr_cut(struct bytes list, size_t limit);
