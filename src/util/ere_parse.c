/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a pattern to the positions of its automaton, by recursive descent. A counted repeat parses
 * its operand again for each copy, so there is no syntax tree.
 */
#include <errno.h>
#include <limits.h>

#include "util/ere_internal.h"

#define REPEAT_MAX 255	/* as POSIX' RE_DUP_MAX */
#define DEPTH_MAX 64	/* of nested groups */
#define PARSE_MAX 20000 /* steps: empty groups may be repeated too */

static int fail(struct parser *parser, const char *reason)
{
	parser->reason = reason;
	return -EINVAL;
}

static void set_add(struct set *set, size_t position)
{
	set->words[position / WORD_BITS] |= (word)1 << position % WORD_BITS;
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
		return fail(parser, "the pattern is too long, or its repeats are too large");
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

/* Only the 256 bytes are inverted: nothing but '^' and '$' matches the ends. */
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
	CLASS_MAX,
	CLASS_WORD = CLASS_MAX /* \w; has no name */
};
static const char *const class_names[CLASS_MAX] = { "alnum", "alpha", "blank", "cntrl", "digit", "graph",
						    "lower", "print", "punct", "space", "upper", "xdigit" };

/* Not isalpha(3) and the like, which depend on the locale. */
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
		return fail(parser, "only ASCII is supported in brackets");
	if (*p == '\\' && in_class(CLASS_ALNUM, (unsigned char)p[1]))
		return fail(parser, "in brackets a backslash is an ordinary character: write [[:space:]], not [\\s]");
	if (*p != '[' || (p[1] != ':' && p[1] != '.' && p[1] != '=')) {
		*ret = *p;
		parser->p++;
		return 0;
	}
	end = strchr(p + 2, ']');
	if (end == p + 2)
		end = strchr(p + 3, ']'); /* [.].] */
	if (!end || end - p < 4 || end[-1] != p[1])
		return fail(parser, "a class in brackets is not closed");
	name = (struct bytes){ p + 2, (size_t)(end - p) - 3 };
	parser->p = end + 1;
	if (p[1] != ':') {
		if (name.size != 1 || (signed char)*name.data < 0)
			return fail(parser, "[. .] and [= =] may contain only one ASCII character");
		*ret = *name.data;
		return 0;
	}
	for (enum class i = 0; i < CLASS_MAX; i++) {
		if (bytes_equal(name, bytes_of(class_names[i]))) {
			take_class(parser, position, i);
			*ret = -1;
			return 0;
		}
	}
	return fail(parser, "unknown character class");
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
			return fail(parser, "a bracket is not closed");
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
				return fail(parser, "a range in brackets ends before it begins");
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
		return fail(parser, "nothing follows the backslash");
	parser->p++;
	if (c >= '1' && c <= '9')
		return fail(parser, "back-references are not supported");
	if (strchr("<>`'", c) || (in_class(CLASS_ALNUM, c) && !strchr("wWsS", c)))
		return fail(parser, "POSIX has no such escape (write [0-9] for \\d, [^ ] instead of a word's end)");
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
		return fail(parser, "groups are nested too deeply");
	parser->in_group += first;
	r = parse_alternatives(parser, f, false);
	parser->in_group -= first;
	parser->depth--;
	if (r < 0)
		return r;
	if (*parser->p != ')')
		return fail(parser, "a group is not closed");
	parser->p++;
	return 0;
}

/* A UTF-8 character is one operand (for '*'), though each of its bytes is a position. */
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
		return fail(parser, "the repeats of the pattern are too large");
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
		return fail(parser, "nothing to repeat before * + ? or {");
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

/* m}, m,} or m,n}; *ret_max is UINT_MAX without a bound. */
static int parse_interval(struct parser *parser, unsigned *ret_min, unsigned *ret_max)
{
	unsigned bounds[2] = { 0, UINT_MAX };
	int n = 0;

	for (; n < 2; n++) {
		const char *digits = parser->p;
		unsigned value = 0;

		while (in_class(CLASS_DIGIT, (unsigned char)*parser->p) && value <= REPEAT_MAX)
			value = value * 10 + (unsigned)(*parser->p++ - '0');
		if (value > REPEAT_MAX)
			return fail(parser, "a {repeat} is 255 at most");
		if (parser->p > digits)
			bounds[n] = value;
		else if (n == 0)
			return fail(parser, "a {repeat} needs a number first");
		if (*parser->p != ',' || n == 1)
			break;
		parser->p++;
	}
	if (n == 0)
		bounds[1] = bounds[0];
	if (*parser->p != '}')
		return fail(parser, "a {repeat} is not closed");
	if (bounds[1] < bounds[0])
		return fail(parser, "a {repeat} ends before it begins");
	parser->p++;
	*ret_min = bounds[0];
	*ret_max = bounds[1];
	return 0;
}

/*
 * Repeats f, one copy of the operand at `from`. Each copy leads to the next; a match may end after
 * any copy from the `min`th on.
 */
static int repeat(struct parser *parser, const char *from, unsigned min, unsigned max, struct fragment *f)
{
	const char *after = parser->p;
	struct fragment copy = *f;
	unsigned copies = max != UINT_MAX ? max : min > 0 ? min : 1;
	int r;

	if (f->nullable)
		min = 0; /* an empty match of a copy is the same as fewer copies */
	for (unsigned i = 2; i <= copies; i++) {
		struct fragment next;

		parser->p = from;
		r = parse_operand(parser, &next);
		if (r < 0)
			return r;
		link_up(parser, &copy.last, &next.first);
		copy = next;
		if (i <= min)
			f->last = next.last;
		else
			set_join(&f->last, &next.last);
	}
	if (max == UINT_MAX)
		link_up(parser, &copy.last, &copy.first);
	f->nullable = min == 0;
	if (max == 0)
		fragment_empty(f); /* its positions stay, but nothing leads to them */
	parser->p = after;
	return 0;
}

static bool is_repeat(char c)
{
	return c == '*' || c == '+' || c == '?' || c == '{';
}

static int parse_repeated(struct parser *parser, struct fragment *f)
{
	const char *from = parser->p;
	unsigned min, max;
	char c;
	int r = parse_operand(parser, f);

	if (r < 0)
		return r;
	c = *parser->p;
	if (!is_repeat(c))
		return 0;
	parser->p++;
	min = c == '+';
	max = c == '?' ? 1 : UINT_MAX;
	if (c == '{') {
		r = parse_interval(parser, &min, &max);
		if (r < 0)
			return r;
	}
	if (is_repeat(*parser->p))
		return fail(parser, "repeats of repeats need a group: (a+)*");
	return repeat(parser, from, min, max, f);
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

int ere_parse(struct parser *parser, struct fragment *ret)
{
	int r = parse_alternatives(parser, ret, true);

	if (r == 0 && *parser->p)
		return fail(parser, "unmatched ); write \\) for the character");
	return r;
}
