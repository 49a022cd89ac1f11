/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parser (ere_parse.c) hands to the matcher (ere.c): an automaton by its positions. */
#pragma once

#include <stdint.h>

#include "util/ere.h"

typedef uint64_t word;
#define WORD_BITS 64
#define WORDS_MAX (ERE_POSITIONS_MAX / WORD_BITS)

/* Bytes, and the two ends of the text. */
enum { SYMBOL_BEGIN = 256, SYMBOL_END, SYMBOL_MAX };

struct set {
	word words[WORDS_MAX];
};

static inline bool set_has(const struct set *set, size_t position)
{
	return set->words[position / WORD_BITS] >> position % WORD_BITS & 1;
}

struct fragment {
	bool nullable;
	struct set first, last;
};

struct parser {
	const char *p; /* what is parsed next */
	const char *reason;
	unsigned steps, depth;
	size_t positions;
	const char *group; /* where the first group begins; NULL: not parsed yet */
	unsigned in_group; /* > 0: inside it */
	struct set follow[ERE_POSITIONS_MAX];
	uint32_t symbols[ERE_POSITIONS_MAX][(SYMBOL_MAX + 31) / 32];
	bool marked[ERE_POSITIONS_MAX];
};

/* All of the pattern at parser->p; the rest of *parser is zero. -EINVAL: parser->reason. */
int ere_parse(struct parser *parser, struct fragment *ret);
