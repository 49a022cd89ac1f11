/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pattern is compiled to segments, the parts between two '*'. Each element of a segment matches
 * exactly one byte, so a segment has a fixed length. The first is compared with the beginning of
 * the text, the last with its end, and each one between is searched for from left to right: the
 * leftmost match is always good enough, since it leaves the most text for what follows. There is no
 * backtracking, and nothing is tried twice.
 *
 * Why not fnmatch(3): it needs a NUL at the end, refuses bytes that are not valid in a multibyte
 * locale, and takes quadratic time (and, in older libraries, stack by the length of the text).
 * Patterns come from subscribers and texts from every process on the machine, and one thread serves
 * all, so the time of one match must be bounded. A literal segment (bytes only) is searched for by
 * the algorithm of Knuth, Morris and Pratt, with memchr(3) for its first byte; one with '?' or '['
 * by Shift-And (Baeza-Yates and Gonnet 1992), which has each possible partial match as a bit of one
 * word, so it may have no more than 64 bytes. Either looks at each byte of the text once. A search
 * can stop at any byte and continue there later. Bracket expressions are bitmaps: one look-up a
 * byte.
 *
 * Compiling is linear too: each '[' is scanned to its end once. One that is never closed is a byte,
 * and what follows it is scanned again; where a ']' is ahead, that may happen a few times, then the
 * pattern is refused.
 */
#include "util/glob.h"

#include <ctype.h>
#include <errno.h>
#include <malloc.h>
#include <stdint.h>

#include "util/charge.h"

#define GLOB_SEARCH_MAX 64 /* length of a segment between two '*' that has a '?' or '[' in it */
#define GLOB_SETS_MAX 64   /* bracket expressions in a pattern */
#define GLOB_OPEN_MAX 8	   /* '[' in it that are not closed, though a ']' is ahead */

/* Steps (glob_search()) outside of a search. */
#define STEPS_CALL 8   /* a match that ends at once */
#define STEPS_MEMCHR 4 /* a call of memchr(3), */
#define STEP_BYTES 8   /* and how many bytes it looks at in one */

/* What one byte of the text is compared with. From KIND_SET on: bracket expression number kind -
 * KIND_SET. */
enum {
	KIND_BYTE,
	KIND_ANY,
	KIND_SET,
};

struct set {
	uint64_t bits[4];
};

/* Bit i of bits[b]: element i of the segment matches byte b. */
struct masks {
	uint64_t bits[256];
};

struct segment {
	size_t begin, size;  /* in bytes[] and kinds[] */
	bool is_literal;     /* all KIND_BYTE */
	struct masks *masks; /* of one that is searched for and not literal; else NULL */
};

struct glob {
	char *bytes;
	uint8_t *kinds;
	/* Of literal segments that are searched for: how many bytes still match if the next one
	 * does not. NULL: there are none. */
	uint16_t *borders;
	size_t size;
	struct set *sets;
	size_t n_sets;
	struct segment *segments; /* one more than there are runs of '*' */
	size_t n_segments;
	size_t n_masks;
};

/* A pattern that is being compiled. */
struct source {
	struct bytes text;
	size_t closed[256];  /* by c: after the last "c]" */
	size_t last_closing; /* after the last ']' */
	unsigned n_open;     /* '[' so far that are not closed, with a ']' ahead */
	const char *reason;
};

static void set_add(struct set *set, unsigned char byte)
{
	set->bits[byte / 64] |= UINT64_C(1) << byte % 64;
}

static bool set_has(const struct set *set, unsigned char byte)
{
	return set->bits[byte / 64] >> byte % 64 & 1;
}

/* Both included. */
static void set_add_range(struct set *set, unsigned low, unsigned high)
{
	for (unsigned i = low / 64; low <= high && i <= high / 64; i++) {
		uint64_t bits = UINT64_MAX;

		if (i == low / 64)
			bits &= UINT64_MAX << low % 64;
		if (i == high / 64)
			bits &= UINT64_MAX >> (63 - high % 64);
		set->bits[i] |= bits;
	}
}

static const struct set *class_by_name(struct bytes name)
{
	static const struct {
		const char *name;
		int (*is)(int);
	} classes[] = {
		{ "alnum", isalnum }, { "alpha", isalpha }, { "blank", isblank }, { "cntrl", iscntrl },
		{ "digit", isdigit }, { "graph", isgraph }, { "lower", islower }, { "print", isprint },
		{ "punct", ispunct }, { "space", isspace }, { "upper", isupper }, { "xdigit", isxdigit },
	};
	static struct set sets[sizeof(classes) / sizeof(classes[0])]; /* empty: not made yet */

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		if (!bytes_equal(name, bytes_of(classes[i].name)))
			continue;
		if (!(sets[i].bits[0] | sets[i].bits[1]))
			for (int c = 0; c < 256; c++)
				if (classes[i].is(c))
					set_add(&sets[i], (unsigned char)c);
		return &sets[i];
	}
	return NULL;
}

/* "[:name:]", "[.x.]" or "[=x=]" at `at`: its size; 0: there is none. */
static size_t class_size(const struct source *source, size_t at)
{
	const char *p = source->text.data + at;
	size_t size = source->text.size - at;

	/* Searches for the end only if there is one ahead. */
	if (size < 4 || p[0] != '[' || !memchr(":.=", p[1], 3) || source->closed[(unsigned char)p[1]] < at + 4)
		return 0;
	for (size_t i = 2; i + 1 < size; i++) {
		if (p[i] == p[1] && p[i + 1] == ']')
			return i + 2;
		if (p[1] == ':' && !islower((unsigned char)p[i]))
			return 0;
	}
	return 0;
}

/* One byte of a bracket expression, which a backslash may quote. False at the pattern's end. */
static bool bracket_byte(struct bytes pattern, size_t *at, unsigned char *ret)
{
	if (*at < pattern.size && pattern.data[*at] == '\\')
		(*at)++;
	if (*at >= pattern.size)
		return false;
	*ret = (unsigned char)pattern.data[(*at)++];
	return true;
}

enum {
	BRACKET_E_OPEN = 1, /* it is never closed: the '[' is a byte */
};

/* The class at *at of a bracket expression. 1; 0: there is none; -EINVAL. */
static int bracket_class(struct source *source, size_t *at, struct set *set)
{
	size_t size = class_size(source, *at);
	const struct set *class;

	if (size == 0)
		return 0;
	if (source->text.data[*at + 1] != ':') {
		source->reason = "[. .] and [= =] are not supported";
		return -EINVAL;
	}
	class = class_by_name((struct bytes){ source->text.data + *at + 2, size - 4 });
	if (!class) {
		source->reason = "no such character class";
		return -EINVAL;
	}
	for (size_t k = 0; k < 4; k++)
		set->bits[k] |= class->bits[k];
	*at += size;
	return 1;
}

/* The bracket expression whose '[' is just before *at; *at is then after its ']'. */
static int bracket_parse(struct source *source, size_t *at, struct set *ret)
{
	const struct bytes pattern = source->text;
	struct set set = { 0 };
	size_t i = *at, first;
	bool negated = false;

	if (i < pattern.size && (pattern.data[i] == '!' || pattern.data[i] == '^')) {
		negated = true;
		i++;
	}
	for (first = i; i < pattern.size && (pattern.data[i] != ']' || i == first);) {
		unsigned char low, high;
		int r = bracket_class(source, &i, &set);

		if (r < 0)
			return r;
		if (r > 0)
			continue;
		if (!bracket_byte(pattern, &i, &low))
			return BRACKET_E_OPEN;
		high = low;
		if (i + 1 < pattern.size && pattern.data[i] == '-' && pattern.data[i + 1] != ']') {
			i++;
			if (!bracket_byte(pattern, &i, &high))
				return BRACKET_E_OPEN;
		}
		set_add_range(&set, low, high);
	}
	if (i >= pattern.size)
		return BRACKET_E_OPEN;
	if (negated)
		for (size_t k = 0; k < 4; k++)
			set.bits[k] = ~set.bits[k];
	*at = i + 1;
	*ret = set;
	return 0;
}

static void glob_put(struct glob *glob, unsigned kind, char byte)
{
	struct segment *segment = &glob->segments[glob->n_segments - 1];

	glob->bytes[glob->size] = byte;
	glob->kinds[glob->size++] = (uint8_t)kind;
	segment->size++;
	segment->is_literal = segment->is_literal && kind == KIND_BYTE;
}

static void glob_begin_segment(struct glob *glob)
{
	glob->segments[glob->n_segments++] = (struct segment){ .begin = glob->size, .is_literal = true };
}

static int glob_put_bracket(struct glob *glob, struct source *source, size_t *at)
{
	struct set set, *sets;
	int r = *at < source->last_closing ? bracket_parse(source, at, &set) : BRACKET_E_OPEN;

	if (r < 0)
		return r;
	if (r == BRACKET_E_OPEN) {
		if (*at < source->last_closing && source->n_open++ == GLOB_OPEN_MAX) {
			source->reason = "too many unclosed [";
			return -EINVAL;
		}
		glob_put(glob, KIND_BYTE, '[');
		return 0;
	}
	if (glob->n_sets == GLOB_SETS_MAX) {
		source->reason = "too many bracket expressions";
		return -EINVAL;
	}
	sets = reallocarray(glob->sets, glob->n_sets + 1, sizeof(*sets));
	if (!sets)
		return -ENOMEM;
	glob->sets = sets;
	glob->sets[glob->n_sets] = set;
	glob_put(glob, KIND_SET + (unsigned)glob->n_sets++, '[');
	return 0;
}

static int glob_compile(struct glob *glob, struct source *source)
{
	const struct bytes pattern = source->text;

	glob_begin_segment(glob);
	for (size_t i = 0; i < pattern.size;) {
		char c = pattern.data[i++];
		int r;

		switch (c) {
		case '*':
			while (i < pattern.size && pattern.data[i] == '*')
				i++;
			glob_begin_segment(glob);
			break;
		case '?':
			glob_put(glob, KIND_ANY, c);
			break;
		case '[':
			r = glob_put_bracket(glob, source, &i);
			if (r < 0)
				return r;
			break;
		case '\\':
			if (i < pattern.size)
				c = pattern.data[i++];
			/* fallthrough */
		default:
			glob_put(glob, KIND_BYTE, c);
		}
	}
	return 0;
}

static bool kind_matches(const struct glob *glob, size_t i, char byte)
{
	switch (glob->kinds[i]) {
	case KIND_BYTE:
		return glob->bytes[i] == byte;
	case KIND_ANY:
		return true;
	default:
		return set_has(&glob->sets[glob->kinds[i] - KIND_SET], (unsigned char)byte);
	}
}

static int segment_prepare_masks(struct glob *glob, struct segment *segment)
{
	struct masks *masks = calloc(1, sizeof(*masks));
	uint64_t any = 0;

	if (!masks)
		return -ENOMEM;
	for (size_t i = 0; i < segment->size; i++) {
		const uint64_t bit = UINT64_C(1) << i;
		const uint8_t kind = glob->kinds[segment->begin + i];

		if (kind == KIND_BYTE)
			masks->bits[(unsigned char)glob->bytes[segment->begin + i]] |= bit;
		else if (kind == KIND_ANY)
			any |= bit;
		else
			for (unsigned c = 0; c < 256; c++)
				masks->bits[c] |= set_has(&glob->sets[kind - KIND_SET], (unsigned char)c) ? bit : 0;
	}
	for (unsigned c = 0; c < 256; c++)
		masks->bits[c] |= any;
	segment->masks = masks;
	glob->n_masks++;
	return 0;
}

static void segment_prepare_borders(struct glob *glob, const struct segment *segment)
{
	const char *bytes = glob->bytes + segment->begin;
	uint16_t *borders = glob->borders + segment->begin;
	uint16_t border = 0;

	borders[0] = 0;
	for (size_t i = 1; i < segment->size; i++) {
		while (border > 0 && bytes[border] != bytes[i])
			border = borders[border - 1];
		border = (uint16_t)(border + (bytes[border] == bytes[i]));
		borders[i] = border;
	}
}

/* Prepares the search for the segments in the middle. */
static int glob_prepare(struct glob *glob, const char **ret_reason)
{
	for (size_t i = 1; i + 1 < glob->n_segments; i++) {
		struct segment *segment = &glob->segments[i];
		int r = 0;

		if (!segment->is_literal && segment->size > GLOB_SEARCH_MAX) {
			*ret_reason = "more than 64 bytes with ? or [] between two *";
			return -EINVAL;
		}
		if (!segment->is_literal)
			r = segment_prepare_masks(glob, segment);
		else if (!glob->borders) {
			glob->borders = reallocarray(NULL, glob->size, sizeof(*glob->borders));
			r = glob->borders ? 0 : -ENOMEM;
		}
		if (r < 0)
			return r;
		if (segment->is_literal)
			segment_prepare_borders(glob, segment);
	}
	return 0;
}

int glob_new(struct glob **ret, struct bytes pattern, const char **ret_reason)
{
	_cleanup_(glob_free_p) struct glob *glob = calloc(1, sizeof(*glob));
	struct source source = { .text = pattern };
	size_t stars = 0;
	int r;

	if (!glob)
		return -ENOMEM;
	if (pattern.size > GLOB_SIZE_MAX) {
		*ret_reason = "too long";
		return -EINVAL;
	}
	for (size_t i = 0; i < pattern.size; i++) {
		stars += pattern.data[i] == '*';
		if (pattern.data[i] != ']')
			continue;
		source.last_closing = i + 1;
		if (i > 0)
			source.closed[(unsigned char)pattern.data[i - 1]] = i + 1;
	}
	glob->bytes = malloc(pattern.size + 1);
	glob->kinds = malloc(pattern.size + 1);
	glob->segments = calloc(stars + 1, sizeof(*glob->segments));
	if (!glob->bytes || !glob->kinds || !glob->segments)
		return -ENOMEM;
	r = glob_compile(glob, &source);
	if (r == 0)
		r = glob_prepare(glob, &source.reason);
	if (r < 0) {
		if (source.reason)
			*ret_reason = source.reason;
		return r;
	}
	*ret = TAKE_PTR(glob);
	return 0;
}

struct glob *glob_free(struct glob *glob)
{
	if (!glob)
		return NULL;
	for (size_t i = 0; glob->segments && i < glob->n_segments; i++)
		free(glob->segments[i].masks);
	free(glob->bytes);
	free(glob->kinds);
	free(glob->borders);
	free(glob->sets);
	free(glob->segments);
	free(glob);
	return NULL;
}

/* text has at least the segment's size. */
static bool segment_is_at(const struct glob *glob, const struct segment *segment, const char *text, int64_t *steps)
{
	size_t i = 0;

	if (segment->is_literal) {
		*steps -= (int64_t)(segment->size / STEP_BYTES);
		return memcmp(glob->bytes + segment->begin, text, segment->size) == 0;
	}
	while (i < segment->size && kind_matches(glob, segment->begin + i, text[i]))
		i++;
	*steps -= (int64_t)i;
	return i == segment->size;
}

/* Finds the first byte of a segment, from *at on; *at is then after it. False: there is none, or no
 * steps remain. */
static bool first_search(struct bytes text, size_t *at, char byte, int64_t *steps)
{
	size_t span, max = (size_t)*steps * STEP_BYTES;
	const char *found;

	/* memchr(3) would cost more where the byte is frequent. */
	for (unsigned i = 0; i < STEP_BYTES; i++) {
		if (*steps <= 0 || *at == text.size)
			return false;
		(*steps)--;
		if (text.data[(*at)++] == byte)
			return true;
	}
	span = text.size - *at;
	span = span < max ? span : max;
	found = memchr(text.data + *at, byte, span);
	span = found ? (size_t)(found - (text.data + *at)) + 1 : span;
	*steps -= STEPS_MEMCHR + (int64_t)(span / STEP_BYTES);
	*at += span;
	return found;
}

/* place->partial: how many of its bytes are just before place->at. */
static enum glob_result literal_search(const struct glob *glob, const struct segment *segment, struct bytes text,
				       struct glob_place *place, int64_t *steps)
{
	const char *bytes = glob->bytes + segment->begin;
	const uint16_t *borders = glob->borders + segment->begin;
	size_t at = place->at, matched = place->partial;
	int64_t remaining = *steps;

	while (matched < segment->size && at < text.size && remaining > 0) {
		if (matched == 0) {
			matched = first_search(text, &at, bytes[0], &remaining);
			continue;
		}
		remaining--;
		if (text.data[at] == bytes[matched]) {
			matched++;
			at++;
		} else {
			matched = borders[matched - 1];
		}
	}
	*steps = remaining;
	place->at = at;
	place->partial = matched;
	return matched == segment->size ? GLOB_YES : at == text.size ? GLOB_NO : GLOB_MORE;
}

/* place->partial: bit i is set if its first i + 1 elements match just before place->at. */
static enum glob_result masks_search(const struct segment *segment, struct bytes text, struct glob_place *place,
				     int64_t *steps)
{
	const struct masks *masks = segment->masks;
	const uint64_t whole = UINT64_C(1) << (segment->size - 1);
	size_t begin = place->at, at = begin, end = text.size;
	uint64_t partial = place->partial;

	if (*steps < (int64_t)(end - begin))
		end = begin + (*steps > 0 ? (size_t)*steps : 0);
	while (at < end && !(partial & whole))
		partial = (partial << 1 | 1) & masks->bits[(unsigned char)text.data[at++]];
	*steps -= (int64_t)(at - begin);
	place->at = at;
	place->partial = partial;
	return partial & whole ? GLOB_YES : at == text.size ? GLOB_NO : GLOB_MORE;
}

/* The first segment and the last, which is in place. */
static bool ends_match(const struct glob *glob, struct bytes text, int64_t *steps)
{
	const struct segment *first = &glob->segments[0], *last = &glob->segments[glob->n_segments - 1];

	*steps -= STEPS_CALL;
	if (text.size < glob->size || !segment_is_at(glob, first, text.data, steps))
		return false;
	if (first == last)
		return text.size == first->size;
	return text.size - first->size >= last->size &&
	       segment_is_at(glob, last, text.data + text.size - last->size, steps);
}

enum glob_result glob_search(const struct glob *glob, struct bytes text, struct glob_place *place, int64_t *steps)
{
	size_t last = glob->n_segments - 1;

	if (place->segment == 0) {
		if (!ends_match(glob, text, steps))
			return GLOB_NO;
		*place = (struct glob_place){ .segment = 1, .at = glob->segments[0].size };
	}
	text.size -= last > 0 ? glob->segments[last].size : 0;
	while (place->segment < last) {
		const struct segment *segment = &glob->segments[place->segment];
		enum glob_result r = segment->is_literal ? literal_search(glob, segment, text, place, steps)
							 : masks_search(segment, text, place, steps);

		if (r != GLOB_YES)
			return r;
		place->segment++;
		place->partial = 0;
	}
	return GLOB_YES;
}

bool glob_match(const struct glob *glob, struct bytes text)
{
	struct glob_place place = { 0 };
	int64_t steps = INT64_MAX;

	return glob_search(glob, text, &place, &steps) == GLOB_YES;
}

bool glob_searches(const struct glob *glob)
{
	return glob->n_segments > 2;
}

static size_t taken(void *block)
{
	return block ? charge_of(malloc_usable_size(block)) : 0;
}

size_t glob_memory(const struct glob *glob)
{
	return taken((void *)glob) + taken(glob->bytes) + taken(glob->kinds) + taken(glob->borders) +
	       taken(glob->sets) + taken(glob->segments) + glob->n_masks * charge_of(sizeof(struct masks));
}

size_t glob_tables(const struct glob *glob)
{
	return glob->n_masks;
}

bool glob_is_literal(const struct glob *glob, struct bytes *ret)
{
	if (glob->n_segments > 1 || !glob->segments[0].is_literal)
		return false;
	*ret = (struct bytes){ glob->bytes, glob->size };
	return true;
}
