/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why not regexec(3): glibc's takes time quadratic in the text already for [a-z]+=(.*), two seconds for 32 KiB and
 * half a minute for the longest argument that Linux allows, exponential with back-references; and it may fail
 * halfway. Any user can exec such arguments, and the thread that masks them is the one that drains the ring buffer.
 *
 * A pattern becomes a Glushkov automaton: its positions are the bytes and brackets that stand in it, the states of a run
 * are sets of positions (bits), and there are no empty transitions. One step for one byte c is
 *
 *	S' = (follow(S) | first) & of[c]
 *
 * with first in every step, as a match may begin anywhere. A match ends wherever S' has a position of last. follow
 * is a shift for positions that lead to their successor (chain) and an "and" for those that lead to themselves (loop);
 * only the few others (odd) are gone through one by one. How many there are is known when a pattern is compiled,
 * so one that would cost more than ERE_COST_MAX steps a byte is refused there, and nothing has to be stopped later.
 *
 * Which bytes take part in a match needs the future too: a position of S counts (is alive) if it is in last, or leads
 * to one alive in the next step. So ere_mask walks forward, then backward. The sets of the walk forward are not all
 * kept: one each BLOCK bytes is, and the block is walked again. A byte is masked if a position is alive at it that is marked:
 * in the first group. As every possible match counts, the rules for which match is the longest, or which part a
 * group got, which make regexec slow, are not needed; for masking, the union of all is the safe answer anyway.
 *
 * The ends of the text are symbols of their own, which '^' and '$' match like bytes: as often as the pattern asks.
 * Counted repeats parse their operand again for each copy, so there is no syntax tree.
 */
#include "util/ere.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

#define BLOCK 256
#define REPEAT_MAX 255	/* as POSIX' RE_DUP_MAX */
#define DEPTH_MAX 64	/* of nested groups */
#define PARSE_MAX 20000 /* steps: empty groups may be repeated too */

typedef uint64_t word;
#define WORD_BITS 64
#define WORDS_MAX (ERE_POSITIONS_MAX / WORD_BITS)

enum { SYMBOL_BEGIN = 256, SYMBOL_END, SYMBOLS };

struct set {
	word words[WORDS_MAX];
};

struct ere {
	size_t words;
	size_t begins, ends; /* how often the text's ends may have to match */
	word first[WORDS_MAX], last[WORDS_MAX], chain[WORDS_MAX], loop[WORDS_MAX], odd[WORDS_MAX], marked[WORDS_MAX];
	bool may_begin[SYMBOLS]; /* some first position takes it */
	word *of;		 /* SYMBOLS sets: which positions take a symbol */
	word *follow;		 /* a set for each position */
	word *block;		 /* BLOCK sets */
	word *kept;		 /* a set for each block of the text */
	size_t kept_room;	 /* sets */
};

/* Parsing. */

struct fragment {
	bool nullable;
	struct set first, last;
};

struct parser {
	const char *begin, *p;
	const char *reason;
	unsigned steps, depth;
	size_t positions;
	const char *group; /* where the first group begins; NULL: not come to yet */
	unsigned in_group; /* > 0: inside it */
	struct set follow[ERE_POSITIONS_MAX];
	uint32_t symbols[ERE_POSITIONS_MAX][(SYMBOLS + 31) / 32];
	bool marked[ERE_POSITIONS_MAX];
};

static int refuse(struct parser *parser, const char *reason)
{
	parser->reason = reason;
	return -EINVAL;
}

static void set_add(struct set *set, size_t position)
{
	set->words[position / WORD_BITS] |= (word)1 << position % WORD_BITS;
}

static bool set_has(const struct set *set, size_t position)
{
	return set->words[position / WORD_BITS] >> position % WORD_BITS & 1;
}

static void set_join(struct set *set, const struct set *other)
{
	for (size_t i = 0; i < WORDS_MAX; i++)
		set->words[i] |= other->words[i];
}

static void link_up(struct parser *parser, const struct set *from, const struct set *to)
{
	for (size_t i = 0; i < parser->positions; i++)
		if (set_has(from, i))
			set_join(&parser->follow[i], to);
}

static void fragment_empty(struct fragment *f)
{
	*f = (struct fragment){ .nullable = true };
}

static void concatenate(struct parser *parser, struct fragment *f, const struct fragment *next)
{
	link_up(parser, &f->last, &next->first);
	if (f->nullable)
		set_join(&f->first, &next->first);
	if (next->nullable)
		set_join(&f->last, &next->last);
	else
		f->last = next->last;
	f->nullable &= next->nullable;
}

static int position_new(struct parser *parser, struct fragment *f, size_t *ret)
{
	size_t n = parser->positions;

	if (n == ERE_POSITIONS_MAX)
		return refuse(parser, "the pattern is too long, or counts too far");
	parser->positions++;
	memset(parser->symbols[n], 0, sizeof(parser->symbols[n]));
	memset(&parser->follow[n], 0, sizeof(parser->follow[n]));
	parser->marked[n] = parser->in_group > 0;
	*f = (struct fragment){ .nullable = false };
	set_add(&f->first, n);
	set_add(&f->last, n);
	*ret = n;
	return 0;
}

static void position_take(struct parser *parser, size_t position, unsigned symbol)
{
	parser->symbols[position][symbol / 32] |= 1U << symbol % 32;
}

/* Only the 256 bytes are turned over: nothing else than '^' and '$' matches the ends. */
static void position_invert(struct parser *parser, size_t position)
{
	for (size_t i = 0; i < 256 / 32; i++)
		parser->symbols[position][i] = ~parser->symbols[position][i];
}

enum class {
	CLASS_ALNUM,
	CLASS_ALPHA,
	CLASS_BLANK,
	CLASS_CNTRL,
	CLASS_DIGIT,
	CLASS_GRAPH,
	CLASS_LOWER,
	CLASS_PRINT,
	CLASS_PUNCT,
	CLASS_SPACE,
	CLASS_UPPER,
	CLASS_XDIGIT,
	CLASSES,
	CLASS_WORD = CLASSES /* \w; has no name */
};
static const char *const class_names[CLASSES] = { "alnum", "alpha", "blank", "cntrl", "digit", "graph",
						  "lower", "print", "punct", "space", "upper", "xdigit" };

/* By hand, as isalpha(3) and the like ask the locale. */
static bool in_class(enum class class, unsigned c)
{
	bool lower = c >= 'a' && c <= 'z', upper = c >= 'A' && c <= 'Z', digit = c >= '0' && c <= '9';
	bool alnum = lower || upper || digit, graph = c > ' ' && c <= '~';

	switch (class) {
	case CLASS_ALNUM:
		return alnum;
	case CLASS_ALPHA:
		return lower || upper;
	case CLASS_BLANK:
		return c == ' ' || c == '\t';
	case CLASS_CNTRL:
		return c < ' ' || c == 0x7f;
	case CLASS_DIGIT:
		return digit;
	case CLASS_GRAPH:
		return graph;
	case CLASS_LOWER:
		return lower;
	case CLASS_PRINT:
		return graph || c == ' ';
	case CLASS_PUNCT:
		return graph && !alnum;
	case CLASS_SPACE:
		return c == ' ' || (c >= '\t' && c <= '\r');
	case CLASS_UPPER:
		return upper;
	case CLASS_XDIGIT:
		return digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
	case CLASS_WORD:
		return alnum || c == '_';
	}
	return false;
}

static void take_class(struct parser *parser, size_t position, enum class class)
{
	for (unsigned c = 0; c < 256; c++)
		if (in_class(class, c))
			position_take(parser, position, c);
}

/* One element of a bracket: a byte, or [:class:]. *ret is the byte, -1 for a class. */
static int parse_element(struct parser *parser, size_t position, int *ret)
{
	const char *p = parser->p;
	struct bytes name;
	const char *end;

	if ((signed char)*p < 0)
		return refuse(parser, "only ASCII may stand in brackets");
	if (*p == '\\' && in_class(CLASS_ALNUM, (unsigned char)p[1]))
		return refuse(parser, "in brackets a backslash stands for itself: write [[:space:]], not [\\s]");
	if (*p != '[' || (p[1] != ':' && p[1] != '.' && p[1] != '=')) {
		*ret = *p;
		parser->p++;
		return 0;
	}
	end = strchr(p + 2, ']');
	if (end == p + 2)
		end = strchr(p + 3, ']'); /* [.].] */
	if (!end || end - p < 4 || end[-1] != p[1])
		return refuse(parser, "a class in brackets is not closed");
	name = (struct bytes){ p + 2, (size_t)(end - p) - 3 };
	parser->p = end + 1;
	if (p[1] != ':') {
		if (name.size != 1 || (signed char)*name.data < 0)
			return refuse(parser, "only one ASCII byte may stand in [. .] and [= =]");
		*ret = *name.data;
		return 0;
	}
	for (enum class i = 0; i < CLASSES; i++) {
		if (bytes_equal(name, bytes_of(class_names[i]))) {
			take_class(parser, position, i);
			*ret = -1;
			return 0;
		}
	}
	return refuse(parser, "there is no such class");
}

static int parse_bracket(struct parser *parser, struct fragment *f)
{
	const char *first;
	bool invert;
	size_t position = 0;
	int r = position_new(parser, f, &position);

	if (r < 0)
		return r;
	invert = *parser->p == '^';
	parser->p += invert;
	first = parser->p;
	while (*parser->p != ']' || parser->p == first) {
		int low, high;

		if (!*parser->p)
			return refuse(parser, "a bracket is not closed");
		r = parse_element(parser, position, &low);
		if (r < 0)
			return r;
		high = low;
		if (*parser->p == '-' && parser->p[1] && parser->p[1] != ']') {
			parser->p++;
			r = parse_element(parser, position, &high);
			if (r < 0)
				return r;
			if (low < 0 || high < low)
				return refuse(parser, "a range in brackets ends before it begins");
		}
		for (int c = low; c >= 0 && c <= high; c++)
			position_take(parser, position, (unsigned)c);
	}
	parser->p++;
	if (invert)
		position_invert(parser, position);
	return 0;
}

static int parse_escape(struct parser *parser, struct fragment *f)
{
	unsigned char c = (unsigned char)*parser->p;
	size_t position = 0;
	int r;

	if (c == '\0')
		return refuse(parser, "there is nothing behind the backslash");
	parser->p++;
	if (c >= '1' && c <= '9')
		return refuse(parser, "back-references are not supported");
	if (strchr("<>`'", c) || (in_class(CLASS_ALNUM, c) && !strchr("wWsS", c)))
		return refuse(parser, "POSIX has no such escape (write [0-9] for \\d, [^ ] instead of a word's end)");
	r = position_new(parser, f, &position);
	if (r < 0)
		return r;
	if (in_class(CLASS_ALNUM, c))
		take_class(parser, position, (c | 0x20) == 'w' ? CLASS_WORD : CLASS_SPACE);
	else
		position_take(parser, position, c);
	if (c == 'W' || c == 'S')
		position_invert(parser, position);
	return 0;
}

static int parse_alternatives(struct parser *parser, struct fragment *f, bool outermost);

static int parse_group(struct parser *parser, struct fragment *f)
{
	bool first;
	int r;

	if (!parser->group)
		parser->group = parser->p;
	first = parser->group == parser->p;
	if (++parser->depth > DEPTH_MAX)
		return refuse(parser, "groups are nested too deeply");
	parser->in_group += first;
	r = parse_alternatives(parser, f, false);
	parser->in_group -= first;
	parser->depth--;
	if (r < 0)
		return r;
	if (*parser->p != ')')
		return refuse(parser, "a group is not closed");
	parser->p++;
	return 0;
}

/* A character of UTF-8 is one operand (for '*'), though each of its bytes is a position. */
static int parse_character(struct parser *parser, struct fragment *f)
{
	struct fragment byte;
	size_t position = 0;
	int r = position_new(parser, f, &position);

	if (r < 0)
		return r;
	position_take(parser, position, (unsigned char)*parser->p);
	if ((unsigned char)*parser->p++ < 0xc0)
		return 0;
	while (((unsigned char)*parser->p & 0xc0) == 0x80) {
		r = position_new(parser, &byte, &position);
		if (r < 0)
			return r;
		position_take(parser, position, (unsigned char)*parser->p++);
		concatenate(parser, f, &byte);
	}
	return 0;
}

static int parse_operand(struct parser *parser, struct fragment *f)
{
	char c = *parser->p;
	size_t position = 0;
	int r;

	if (++parser->steps > PARSE_MAX)
		return refuse(parser, "the pattern counts too far");
	switch (c) {
	case '(':
		parser->p++;
		return parse_group(parser, f);
	case '[':
		parser->p++;
		return parse_bracket(parser, f);
	case '\\':
		parser->p++;
		return parse_escape(parser, f);
	case '*':
	case '+':
	case '?':
	case '{':
		return refuse(parser, "there is nothing to repeat before * + ? or {");
	case '.':
	case '^':
	case '$':
		parser->p++;
		r = position_new(parser, f, &position);
		if (r < 0)
			return r;
		if (c == '.')
			position_invert(parser, position);
		else
			position_take(parser, position, c == '^' ? SYMBOL_BEGIN : SYMBOL_END);
		return 0;
	default:
		return parse_character(parser, f);
	}
}

/* {m}, {m,} or {m,n}; *ret_most is UINT_MAX without a bound. */
static int parse_interval(struct parser *parser, unsigned *ret_least, unsigned *ret_most)
{
	unsigned bounds[2] = { 0, UINT_MAX };
	int n = 0;

	for (; n < 2; n++) {
		const char *digits = parser->p;
		unsigned value = 0;

		while (in_class(CLASS_DIGIT, (unsigned char)*parser->p) && value <= REPEAT_MAX)
			value = value * 10 + (unsigned)(*parser->p++ - '0');
		if (value > REPEAT_MAX)
			return refuse(parser, "a {repeat} counts to 255 at most");
		if (parser->p > digits)
			bounds[n] = value;
		else if (n == 0)
			return refuse(parser, "a {repeat} needs a number first");
		if (*parser->p != ',' || n == 1)
			break;
		parser->p++;
	}
	if (n == 0)
		bounds[1] = bounds[0];
	if (*parser->p != '}')
		return refuse(parser, "a {repeat} is not closed");
	if (bounds[1] < bounds[0])
		return refuse(parser, "a {repeat} ends before it begins");
	parser->p++;
	*ret_least = bounds[0];
	*ret_most = bounds[1];
	return 0;
}

/*
 * f is one copy of the operand at from. The copies are a chain in which each leads to the next; all that are enough
 * may be the last one.
 */
static int repeat(struct parser *parser, const char *from, unsigned least, unsigned most, struct fragment *f)
{
	const char *after = parser->p;
	struct fragment copy = *f;
	unsigned copies = most != UINT_MAX ? most : least > 0 ? least : 1;
	int r;

	if (f->nullable)
		least = 0; /* a copy may be passed over, and then it is as well the last one that is */
	for (unsigned i = 2; i <= copies; i++) {
		struct fragment next;

		parser->p = from;
		r = parse_operand(parser, &next);
		if (r < 0)
			return r;
		link_up(parser, &copy.last, &next.first);
		copy = next;
		if (i <= least)
			f->last = next.last;
		else
			set_join(&f->last, &next.last);
	}
	if (most == UINT_MAX)
		link_up(parser, &copy.last, &copy.first);
	f->nullable = least == 0;
	if (most == 0)
		fragment_empty(f); /* its positions stay, but nothing leads to them */
	parser->p = after;
	return 0;
}

static int parse_repeated(struct parser *parser, struct fragment *f)
{
	const char *from = parser->p;
	int r = parse_operand(parser, f);

	if (r < 0)
		return r;
	if (*parser->p && strchr("*+?{", *parser->p)) {
		char c = *parser->p++;
		unsigned least = c == '+', most = c == '?' ? 1 : UINT_MAX;

		if (c == '{') {
			r = parse_interval(parser, &least, &most);
			if (r < 0)
				return r;
		}
		if (*parser->p && strchr("*+?{", *parser->p))
			return refuse(parser, "repeats of repeats need a group: (a+)*");
		return repeat(parser, from, least, most, f);
	}
	return 0;
}

static int parse_sequence(struct parser *parser, struct fragment *f)
{
	fragment_empty(f);
	while (*parser->p && *parser->p != '|' && *parser->p != ')') {
		struct fragment next;
		int r = parse_repeated(parser, &next);

		if (r < 0)
			return r;
		concatenate(parser, f, &next);
	}
	return 0;
}

static int parse_alternatives(struct parser *parser, struct fragment *f, bool outermost)
{
	for (bool more = false;; more = true) {
		const char *from = parser->p;
		size_t position = parser->positions;
		struct fragment next;
		int r = parse_sequence(parser, &next);

		if (r < 0)
			return r;
		if (outermost && (!parser->group || parser->group < from))
			memset(parser->marked + position, true, parser->positions - position);
		if (more) {
			set_join(&f->first, &next.first);
			set_join(&f->last, &next.last);
			f->nullable |= next.nullable;
		} else {
			*f = next;
		}
		if (*parser->p != '|')
			return 0;
		parser->p++;
	}
}

/* From what was parsed to what is run. */

static void pack_position(struct ere *ere, const struct parser *parser, size_t position)
{
	struct set follow = parser->follow[position];
	word *words = ere->follow + position * ere->words, bit = (word)1 << position % WORD_BITS;
	size_t at = position / WORD_BITS;

	memcpy(words, follow.words, ere->words * sizeof(word));
	for (unsigned c = 0; c < SYMBOLS; c++)
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
	ere->of = calloc(SYMBOLS * ere->words, sizeof(word));
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
	for (unsigned c = 0; c < SYMBOLS; c++)
		for (size_t i = 0; i < ere->words; i++)
			ere->may_begin[c] |= (ere->of[c * ere->words + i] & ere->first[i]) != 0;
	for (size_t i = 0; i < ere->words; i++)
		odd += (size_t)__builtin_popcountll(ere->odd[i]);
	if (ere->words * (1 + odd) > ERE_COST_MAX)
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
	parser->begin = parser->p = pattern;
	r = parse_alternatives(parser, &f, true);
	if (r == 0 && *parser->p)
		r = refuse(parser, "there is a ) without its (; write \\) for the byte");
	if (r < 0) {
		*ret_reason = parser->reason;
		return r;
	}
	r = pack(ret, parser, &f);
	if (r == -E2BIG) {
		*ret_reason =
			"the pattern takes too long to match: large {m,n} of what may also go on otherwise; use * or +";
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
	free(ere->kept);
	free(ere);
	return NULL;
}

/* Running. The symbols of a text are its beginning (begins times), its bytes, its end (ends times). */

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

bool ere_matches(const struct ere *ere, struct bytes text)
{
	word sets[2][WORDS_MAX] = { { 0 } }, *state = sets[0], *next = sets[1];
	size_t n = symbols_count(ere, text);
	bool running = false; /* the state is not empty */

	for (size_t i = 0; i < n; i++) {
		unsigned symbol = symbol_at(ere, text, i);
		word *old = state;

		if (!running && !ere->may_begin[symbol])
			continue;
		running = step(ere, state, symbol, next);
		state = next;
		next = old;
		if (running && meets(ere, state, ere->last))
			return true;
	}
	return false;
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

/* Walks over the symbols of one block; state becomes the one behind it. each: BLOCK sets for those after each symbol. */
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

	if (ere->kept_room < blocks) {
		free(ere->kept);
		ere->kept_room = 0;
		ere->kept = calloc(blocks, ere->words * sizeof(word));
		if (!ere->kept)
			return -ENOMEM;
		ere->kept_room = blocks;
	}
	for (size_t i = 0; i < blocks; i++) {
		memcpy(ere->kept + i * ere->words, state, ere->words * sizeof(word));
		if (i + 1 < blocks)
			walk_block(ere, text, i * BLOCK, (i + 1) * BLOCK, state, ere->block);
	}
	for (size_t i = blocks; i-- > 0;) {
		size_t from = i * BLOCK, to = i + 1 < blocks ? from + BLOCK : n;

		memcpy(state, ere->kept + i * ere->words, ere->words * sizeof(word));
		walk_block(ere, text, from, to, state, ere->block);
		for (size_t k = to; k-- > from;) {
			step_back(ere, ere->block + (k - from) * ere->words, alive);
			if (meets(ere, alive, ere->marked) && k >= ere->begins && k - ere->begins < text.size)
				mask[k - ere->begins] = 1;
		}
	}
	return 0;
}
