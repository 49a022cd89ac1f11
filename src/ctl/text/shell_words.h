/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>

#include "util/bytes.h"

/*
 * Reads back what quote_args() wrote: words separated by a blank, parts in '...', a backslash before a single
 * character. to: as large as the text, and one byte. *ret: the words in it, each with its NUL. False: a quote is not
 * closed.
 */
bool shell_words(struct bytes text, char *to, struct bytes *ret);
