/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Strings that come often, each once, by number from 0 on. The bytes are borrowed. */
#pragma once

#include "util/bytes.h"

struct interned {
	struct bytes *strings;
	size_t count;
	size_t *places; /* a hash table of numbers + 1 with linear probing; 0: free */
	size_t size;	/* of both; a power of two, at least twice the count */
};

/* All zero is an empty one. 0 or -ENOMEM. */
int interned_add(struct interned *interned, struct bytes string, size_t *ret);
void interned_free(struct interned *interned);
