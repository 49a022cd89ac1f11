/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pattern is compiled to segments: what stands between two '*'. Everything in a segment matches exactly one
 * byte, so a segment has a fixed length. The first is compared with the beginning of the text, the last with its end,
 * and each one between is searched for from left to right: the leftmost place is always good enough, since what
 * comes after it then has the most room. There is no backtracking, and nothing is ever tried twice.
 *
 * Why not fnmatch(3): it wants a NUL at the end, refuses bytes that are not valid in a multibyte locale, and takes
 * quadratic time (and, in older libraries, stack by the length of the text). Patterns come from subscribers and
 * texts from every process on the machine, and one thread serves them all, so the time of one match must be bounded:
 * segments of plain bytes are searched with memmem(3), which is linear; a segment with '?' or '[' is searched naively,
 * so it may have no more than GLOB_SEARCH_MAX bytes. Bracket expressions become bitmaps: one look-up a byte.
 */
#include "glob.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>

#define GLOB_SEARCH_MAX 64 /* length of a segment between two '*' that has a '?' or '[' in it */
#define GLOB_SETS_MAX 64   /* bracket expressions in a pattern */

/* What one byte of the text is compared with. From KIND_SET on: bracket expression number kind - KIND_SET. */
enum {
	KIND_BYTE,
	KIND_ANY,
	KIND_SET,
};

struct set {
	uint64_t bits[4];
};

struct segment {
	size_t begin, size; /* in bytes[] and kinds[] */
	bool plain;	    /* all KIND_BYTE */
};

struct glob {
	char *bytes;
	uint8_t *kinds;
	size_t size;
	struct set *sets;
	size_t n_sets;
	struct segment *segments; /* one more than there are runs of '*' */
	size_t n_segments;
};

static void set_add(struct set *set, unsigned char byte)
{
	set->bits[byte / 64] |= UINT64_C(1) << byte % 64;
}

static bool set_has(const struct set *set, unsigned char byte)
{
	return set->bits[byte / 64] >> byte % 64 & 1;
}

static bool class_add(struct set *set, struct bytes name)
{
	static const struct {
		const char *name;
		int (*is)(int);
	} classes[] = {
		{ "alnum", isalnum }, { "alpha", isalpha }, { "blank", isblank }, { "cntrl", iscntrl },
		{ "digit", isdigit }, { "graph", isgraph }, { "lower", islower }, { "print", isprint },
		{ "punct", ispunct }, { "space", isspace }, { "upper", isupper }, { "xdigit", isxdigit },
	};

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		if (!bytes_equal(name, bytes_of(classes[i].name)))
			continue;
		for (int c = 0; c < 256; c++)
			if (classes[i].is(c))
				set_add(set, (unsigned char)c);
		return true;
	}
	return false;
}

/* "[:name:]", "[.x.]" or "[=x=]" at `at`: the size of it all; 0: it is none. */
static size_t class_size(struct bytes pattern, size_t at)
{
	const char *p = pattern.data + at;
	size_t size = pattern.size - at;

	if (size < 2 || p[0] != '[' || !memchr(":.=", p[1], 3))
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
	BRACKET_E_OPEN = 1, /* it is never closed: the '[' is a plain one */
};

/* The bracket expression whose '[' is just before *at; *at is then behind its ']'. */
static int bracket_parse(struct bytes pattern, size_t *at, struct set *ret, const char **ret_reason)
{
	struct set set = { 0 };
	size_t i = *at, first;
	bool negated = false;

	if (i < pattern.size && (pattern.data[i] == '!' || pattern.data[i] == '^')) {
		negated = true;
		i++;
	}
	for (first = i; i < pattern.size && (pattern.data[i] != ']' || i == first);) {
		unsigned char low, high;
		size_t size = class_size(pattern, i);

		if (size > 0) {
			struct bytes name = { pattern.data + i + 2, size - 4 };

			if (pattern.data[i + 1] != ':') {
				*ret_reason = "[. .] and [= =] are not supported";
				return -EINVAL;
			}
			if (!class_add(&set, name)) {
				*ret_reason = "no such character class";
				return -EINVAL;
			}
			i += size;
			continue;
		}
		if (!bracket_byte(pattern, &i, &low))
			return BRACKET_E_OPEN;
		high = low;
		if (i + 1 < pattern.size && pattern.data[i] == '-' && pattern.data[i + 1] != ']') {
			i++;
			if (!bracket_byte(pattern, &i, &high))
				return BRACKET_E_OPEN;
		}
		for (unsigned c = low; c <= high; c++)
			set_add(&set, (unsigned char)c);
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
	segment->plain = segment->plain && kind == KIND_BYTE;
}

static void glob_begin_segment(struct glob *glob)
{
	glob->segments[glob->n_segments++] = (struct segment){ .begin = glob->size, .plain = true };
}

static int glob_put_bracket(struct glob *glob, struct bytes pattern, size_t *at, const char **ret_reason)
{
	struct set set, *sets;
	int r = bracket_parse(pattern, at, &set, ret_reason);

	if (r < 0)
		return r;
	if (r == BRACKET_E_OPEN) {
		glob_put(glob, KIND_BYTE, '[');
		return 0;
	}
	if (glob->n_sets == GLOB_SETS_MAX) {
		*ret_reason = "too many bracket expressions";
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

static int glob_compile(struct glob *glob, struct bytes pattern, const char **ret_reason)
{
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
			r = glob_put_bracket(glob, pattern, &i, ret_reason);
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
	for (size_t i = 1; i + 1 < glob->n_segments; i++) {
		if (!glob->segments[i].plain && glob->segments[i].size > GLOB_SEARCH_MAX) {
			*ret_reason = "more than 64 bytes with ? or [] between two *";
			return -EINVAL;
		}
	}
	return 0;
}

int glob_new(struct glob **ret, struct bytes pattern, const char **ret_reason)
{
	_cleanup_(glob_free_p) struct glob *glob = calloc(1, sizeof(*glob));
	const char *reason = NULL;
	size_t stars = 0;
	int r;

	if (!glob)
		return -ENOMEM;
	for (size_t i = 0; i < pattern.size; i++)
		stars += pattern.data[i] == '*';
	glob->bytes = malloc(pattern.size + 1);
	glob->kinds = malloc(pattern.size + 1);
	glob->segments = calloc(stars + 1, sizeof(*glob->segments));
	if (!glob->bytes || !glob->kinds || !glob->segments)
		return -ENOMEM;
	r = glob_compile(glob, pattern, &reason);
	if (r < 0) {
		if (reason)
			*ret_reason = reason;
		return r;
	}
	*ret = TAKE_PTR(glob);
	return 0;
}

struct glob *glob_free(struct glob *glob)
{
	if (!glob)
		return NULL;
	free(glob->bytes);
	free(glob->kinds);
	free(glob->sets);
	free(glob->segments);
	free(glob);
	return NULL;
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

/* text has at least the segment's size. */
static bool segment_is_at(const struct glob *glob, const struct segment *segment, const char *text)
{
	if (segment->plain)
		return memcmp(glob->bytes + segment->begin, text, segment->size) == 0;
	for (size_t i = 0; i < segment->size; i++)
		if (!kind_matches(glob, segment->begin + i, text[i]))
			return false;
	return true;
}

/* Where the segment is in the text for the first time; NULL: nowhere. */
static const char *segment_find(const struct glob *glob, const struct segment *segment, const char *text, size_t size)
{
	if (segment->plain)
		return memmem(text, size, glob->bytes + segment->begin, segment->size);
	for (; size >= segment->size; text++, size--)
		if (segment_is_at(glob, segment, text))
			return text;
	return NULL;
}

bool glob_match(const struct glob *glob, struct bytes text)
{
	const struct segment *first = &glob->segments[0], *last = &glob->segments[glob->n_segments - 1];
	const char *at, *end;

	if (text.size < first->size || !segment_is_at(glob, first, text.data))
		return false;
	if (first == last)
		return text.size == first->size;
	if (text.size - first->size < last->size)
		return false;
	at = text.data + first->size;
	end = text.data + text.size - last->size;
	if (!segment_is_at(glob, last, end))
		return false;
	for (const struct segment *segment = first + 1; segment < last; segment++) {
		at = segment_find(glob, segment, at, (size_t)(end - at));
		if (!at)
			return false;
		at += segment->size;
	}
	return true;
}

bool glob_is_literal(const struct glob *glob, struct bytes *ret)
{
	if (glob->n_segments > 1 || !glob->segments[0].plain)
		return false;
	*ret = (struct bytes){ glob->bytes, glob->size };
	return true;
}
