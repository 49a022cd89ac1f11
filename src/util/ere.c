/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why not regexec(3): glibc's takes quadratic time already for [a-z]+=(.*), two seconds for 32 KiB
 * and half a minute for the longest argument that Linux allows; exponential time with
 * back-references; and it may run out of memory halfway. Any user can exec such arguments, and the
 * thread that masks them is the one that drains the ring buffer.
 *
 * A pattern becomes a Glushkov automaton: its positions are the bytes and brackets of the pattern,
 * a state of a run is a set of positions (bits), and there are no empty transitions. One step for
 * one byte c is
 *
 *	S' = (follow(S) | first) & of[c]
 *
 * with first in every step, as a match may begin anywhere. A match ends wherever S' has a position
 * of last. follow is a shift for positions that lead to their successor (chain) and an "and" for
 * those that lead to themselves (loop); only the few others (odd) are handled one by one. Their
 * number is known when a pattern is compiled, so one that would cost more than ERE_COST_MAX steps a
 * byte is refused then, and no run needs a limit.
 *
 * Which bytes take part in a match depends on the bytes that follow too: a position of S is alive
 * if it is in last, or leads to one that is alive in the next step. So ere_mask() walks forward,
 * then backward. Of the forward walk it stores one set for each BLOCK bytes, and walks the block
 * again on the way back. A byte is masked if a marked position (one in the first group) is alive at
 * it. Every possible match counts: the rules of POSIX for which match is the longest and what a
 * group gets, which make regexec slow, are not needed, and for masking the union of all matches is
 * the safe result.
 *
 * The ends of the text are symbols of their own, which '^' and '$' match like bytes: as often as
 * the pattern asks.
 */
#include "util/ere.h"

#include <errno.h>
#include <stdlib.h>

#include "util/ere_internal.h"

#define BLOCK 256
/* Measured. Steps for a search, and for a byte: while a match may be under way; and for the bytes that take part. */
#define CALL_COST 4
#define MATCH_COST(ere) (2 + 2 * (ere)->cost)
#define MASK_COST(ere) (12 + 5 * (ere)->cost)
#define SKIPPED_IN_STEP 3 /* bytes with which no match begins */

struct ere {
	size_t words;
	size_t begins, ends; /* how often the text's ends may have to match */
	int64_t cost;	     /* at most ERE_COST_MAX */
	word first[WORDS_MAX], last[WORDS_MAX], chain[WORDS_MAX], loop[WORDS_MAX], odd[WORDS_MAX], marked[WORDS_MAX];
	bool may_begin[SYMBOL_MAX]; /* some first position takes it */
	word *of;		    /* SYMBOL_MAX sets: which positions take a symbol */
	word *follow;		    /* a set for each position */
	word *block;		    /* BLOCK sets: of the block at hand */
	word *blocks;		    /* a set for each block of the text */
	size_t blocks_max;	    /* sets */
};

/* Compiling. */

static void pack_position(struct ere *ere, const struct parser *parser, size_t position)
{
	struct set follow = parser->follow[position];
	word *words = ere->follow + position * ere->words, bit = (word)1 << position % WORD_BITS;
	size_t at = position / WORD_BITS;

	memcpy(words, follow.words, ere->words * sizeof(word));
	for (unsigned c = 0; c < SYMBOL_MAX; c++)
		if (parser->symbols[position][c / 32] >> c % 32 & 1)
			ere->of[c * ere->words + at] |= bit;
	if (parser->marked[position])
		ere->marked[at] |= bit;
	if (set_has(&follow, position)) {
		ere->loop[at] |= bit;
		follow.words[at] &= ~bit;
	}
	if (position + 1 < parser->positions && set_has(&follow, position + 1)) {
		ere->chain[at] |= bit;
		follow.words[(position + 1) / WORD_BITS] &= ~((word)1 << (position + 1) % WORD_BITS);
	}
	for (size_t i = 0; i < WORDS_MAX; i++)
		if (follow.words[i])
			ere->odd[at] |= bit;
}

static int pack(struct ere **ret, const struct parser *parser, const struct fragment *f)
{
	_cleanup_(ere_free_p) struct ere *ere = calloc(1, sizeof(*ere));
	size_t odd = 0;

	if (!ere)
		return -ENOMEM;
	ere->words = parser->positions / WORD_BITS + (parser->positions % WORD_BITS > 0);
	if (ere->words == 0)
		ere->words = 1;
	ere->of = calloc(SYMBOL_MAX * ere->words, sizeof(word));
	ere->follow = calloc((parser->positions + 1) * ere->words, sizeof(word));
	ere->block = calloc(BLOCK * ere->words, sizeof(word));
	if (!ere->of || !ere->follow || !ere->block)
		return -ENOMEM;
	memcpy(ere->first, f->first.words, sizeof(ere->first));
	memcpy(ere->last, f->last.words, sizeof(ere->last));
	for (size_t i = 0; i < parser->positions; i++) {
		pack_position(ere, parser, i);
		ere->begins += parser->symbols[i][SYMBOL_BEGIN / 32] >> SYMBOL_BEGIN % 32 & 1;
		ere->ends += parser->symbols[i][SYMBOL_END / 32] >> SYMBOL_END % 32 & 1;
	}
	for (unsigned c = 0; c < SYMBOL_MAX; c++)
		for (size_t i = 0; i < ere->words; i++)
			ere->may_begin[c] |= (ere->of[c * ere->words + i] & ere->first[i]) != 0;
	for (size_t i = 0; i < ere->words; i++)
		odd += (size_t)__builtin_popcountll(ere->odd[i]);
	ere->cost = (int64_t)(ere->words * (1 + odd));
	if (ere->cost > ERE_COST_MAX)
		return -E2BIG;
	*ret = TAKE_PTR(ere);
	return 0;
}

int ere_new(struct ere **ret, const char *pattern, const char **ret_reason)
{
	_cleanup_free_ struct parser *parser = calloc(1, sizeof(*parser));
	struct fragment f;
	int r;

	if (!parser)
		return -ENOMEM;
	parser->p = pattern;
	r = ere_parse(parser, &f);
	if (r < 0) {
		*ret_reason = parser->reason;
		return r;
	}
	r = pack(ret, parser, &f);
	if (r == -E2BIG) {
		*ret_reason = "the pattern takes too long to match: a large {m,n} of an ambiguous part; use * or +";
		return -EINVAL;
	}
	return r;
}

struct ere *ere_free(struct ere *ere)
{
	if (!ere)
		return NULL;
	free(ere->of);
	free(ere->follow);
	free(ere->block);
	free(ere->blocks);
	free(ere);
	return NULL;
}

/* Running. The symbols of a text are its beginning (begins times), its bytes, its end (ends
 * times). */

static inline size_t symbols_count(const struct ere *ere, struct bytes text)
{
	return ere->begins + text.size + ere->ends;
}

static inline unsigned symbol_at(const struct ere *ere, struct bytes text, size_t i)
{
	if (i < ere->begins)
		return SYMBOL_BEGIN;
	i -= ere->begins;
	return i < text.size ? (unsigned char)text.data[i] : SYMBOL_END;
}

/* The step of the file's head; true if the set is not empty. state and ret must not be the same. */
static inline bool step(const struct ere *ere, const word *state, unsigned symbol, word *ret)
{
	const word *of = ere->of + symbol * ere->words;
	word carry = 0, any = 0;

	for (size_t i = 0; i < ere->words; i++) {
		word chained = state[i] & ere->chain[i];

		ret[i] = chained << 1 | carry | (state[i] & ere->loop[i]) | ere->first[i];
		carry = chained >> (WORD_BITS - 1);
	}
	for (size_t i = 0; i < ere->words; i++) {
		for (word odd = state[i] & ere->odd[i]; odd; odd &= odd - 1) {
			size_t position = i * WORD_BITS + (size_t)__builtin_ctzll(odd);
			const word *follow = ere->follow + position * ere->words;

			for (size_t k = 0; k < ere->words; k++)
				ret[k] |= follow[k];
		}
	}
	for (size_t i = 0; i < ere->words; i++)
		any |= ret[i] &= of[i];
	return any != 0;
}

static inline bool meets(const struct ere *ere, const word *a, const word *b)
{
	word any = 0;

	for (size_t i = 0; i < ere->words; i++)
		any |= a[i] & b[i];
	return any != 0;
}

/* The first symbol from i on with which a match may begin, or the end. */
static size_t skip(const struct ere *ere, struct bytes text, size_t i, size_t n)
{
	size_t bytes_end = ere->begins + text.size;

	while (i < ere->begins && !ere->may_begin[SYMBOL_BEGIN])
		i++;
	if (i < ere->begins)
		return i;
	while (i < bytes_end && !ere->may_begin[(unsigned char)text.data[i - ere->begins]])
		i++;
	return i < bytes_end || ere->may_begin[SYMBOL_END] ? i : n;
}

/* From symbol i on, with which a match may begin. */
static __attribute__((noinline)) enum ere_result search(const struct ere *ere, struct bytes text, size_t i, size_t n,
							int64_t *steps)
{
	word sets[2][WORDS_MAX] = { { 0 } }, *state = sets[0], *next = sets[1];
	bool running = true; /* the state is not empty, or becomes so */
	int64_t left = *steps;

	for (; left >= 0; i++) {
		unsigned symbol;
		word *old = state;

		if (!running)
			i = skip(ere, text, i, n);
		if (i >= n)
			break;
		symbol = symbol_at(ere, text, i);
		left -= MATCH_COST(ere);
		running = step(ere, state, symbol, next);
		state = next;
		next = old;
		if (running && meets(ere, state, ere->last)) {
			*steps = left;
			return ERE_YES;
		}
	}
	*steps = left;
	return left < 0 ? ERE_UNKNOWN : ERE_NO;
}

enum ere_result ere_match(const struct ere *ere, struct bytes text, int64_t *steps)
{
	size_t n = symbols_count(ere, text), i;

	*steps -= CALL_COST + (int64_t)n / SKIPPED_IN_STEP;
	if (*steps < 0)
		return ERE_UNKNOWN;
	i = skip(ere, text, 0, n);
	return i < n ? search(ere, text, i, n, steps) : ERE_NO;
}

int64_t ere_mask_cost(const struct ere *ere, struct bytes text)
{
	return (int64_t)symbols_count(ere, text) * MASK_COST(ere);
}

/* alive: of the next symbol; becomes that of this one, whose state is given. */
static void step_back(const struct ere *ere, const word *state, word *alive)
{
	word new[WORDS_MAX];

	for (size_t i = 0; i < ere->words; i++) {
		word after = i + 1 < ere->words ? alive[i + 1] : 0;
		word next = alive[i] >> 1 | after << (WORD_BITS - 1);

		new[i] = state[i] & (ere->last[i] | (next & ere->chain[i]) | (alive[i] & ere->loop[i]));
		for (word odd = state[i] & ere->odd[i] & ~new[i]; odd; odd &= odd - 1) {
			size_t bit = (size_t)__builtin_ctzll(odd);

			if (meets(ere, ere->follow + (i * WORD_BITS + bit) * ere->words, alive))
				new[i] |= (word)1 << bit;
		}
	}
	memcpy(alive, new, ere->words * sizeof(word));
}

/* Walks over the symbols of one block; state becomes the one after it. each: BLOCK sets for those
 * after each symbol. */
static void walk_block(const struct ere *ere, struct bytes text, size_t from, size_t to, word *state, word *each)
{
	for (size_t i = from; i < to; i++) {
		word *next = each + (i - from) * ere->words;

		step(ere, state, symbol_at(ere, text, i), next);
		state = memcpy(state, next, ere->words * sizeof(word));
	}
}

int ere_mask(struct ere *ere, struct bytes text, unsigned char *mask)
{
	size_t n = symbols_count(ere, text), blocks = n / BLOCK + (n % BLOCK > 0);
	word state[WORDS_MAX] = { 0 }, alive[WORDS_MAX] = { 0 };

	if (ere->blocks_max < blocks) {
		free(ere->blocks);
		ere->blocks_max = 0;
		ere->blocks = calloc(blocks, ere->words * sizeof(word));
		if (!ere->blocks)
			return -ENOMEM;
		ere->blocks_max = blocks;
	}
	for (size_t i = 0; i < blocks; i++) {
		memcpy(ere->blocks + i * ere->words, state, ere->words * sizeof(word));
		if (i + 1 < blocks)
			walk_block(ere, text, i * BLOCK, (i + 1) * BLOCK, state, ere->block);
	}
	for (size_t i = blocks; i-- > 0;) {
		size_t from = i * BLOCK, to = i + 1 < blocks ? from + BLOCK : n;

		memcpy(state, ere->blocks + i * ere->words, ere->words * sizeof(word));
		walk_block(ere, text, from, to, state, ere->block);
		for (size_t k = to; k-- > from;) {
			step_back(ere, ere->block + (k - from) * ere->words, alive);
			if (meets(ere, alive, ere->marked) && k >= ere->begins && k - ere->begins < text.size)
				mask[k - ere->begins] = 1;
		}
	}
	return 0;
}
