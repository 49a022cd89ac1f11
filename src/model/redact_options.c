/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/redact_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/redact.h"

/* Steps, measured: of a word that may be an option, of a byte that is looked at by itself, and of a dash. */
#define NAMES_COST(options) (8 + 4 * (int64_t)(options)->count)
#define TEXT_COST 4
#define DASH_COST 8
#define SEARCHED_IN_STEP 8 /* bytes, for a dash by memchr(3) */

struct option {
	char *name; /* without dashes */
	size_t size;
	bool one_dash, two_dashes;
};

int redact_check_option(const char *option, const char **ret_reason)
{
	size_t dashes = strspn(option, "-");

	if (!option[dashes])
		*ret_reason = "there is no name";
	else if (dashes > 2)
		*ret_reason = "an option begins with one or two dashes, or with none";
	else if (strchr(option, '='))
		*ret_reason = "the name of an option does not contain =";
	else
		return 0;
	return -EINVAL;
}

int options_init(struct options *options, size_t count)
{
	*options = (struct options){ .list = calloc(count + 1, sizeof(*options->list)) };
	return options->list ? 0 : -ENOMEM;
}

void options_finish(struct options *options)
{
	for (size_t i = 0; i < options->count; i++)
		free(options->list[i].name);
	free(options->list);
}

int options_add(struct options *options, const char *text)
{
	struct option *option = &options->list[options->count];
	size_t dashes = strspn(text, "-");
	const char *reason;
	int r = redact_check_option(text, &reason);

	if (r < 0)
		return r;
	option->name = strdup(text + dashes);
	if (!option->name)
		return -ENOMEM;
	option->size = strlen(option->name);
	option->one_dash = dashes < 2;
	option->two_dashes = dashes != 1;
	options->begins[(unsigned char)option->name[0]] = true;
	options->count++;
	return 0;
}

/* The number of dashes before the name of an option; 0: it is none. */
static size_t dashes_before_name(const struct options *options, struct bytes word)
{
	size_t dashes;

	if (word.size < 2 || word.data[0] != '-')
		return 0;
	dashes = word.data[1] == '-' ? 2 : 1;
	return word.size > dashes && options->begins[(unsigned char)word.data[dashes]] ? dashes : 0;
}

/* The end of the option's name in the word, after its dashes; 0: the word does not begin with
 * it. */
static size_t name_end(const struct option *option, struct bytes word, size_t dashes)
{
	size_t end = dashes + option->size;

	if (dashes == 2 ? !option->two_dashes : !option->one_dash)
		return 0;
	return word.size >= end && memcmp(word.data + dashes, option->name, option->size) == 0 ? end : 0;
}

/* Where a value in the same word as the name begins; NO_TAIL: there is none. */
static size_t own_value(const struct option *option, struct bytes word, size_t dashes, size_t end)
{
	if (end == word.size)
		return NO_TAIL;
	if (dashes == 1 && option->size == 1)
		return end;
	return word.data[end] == '=' ? end + 1 : NO_TAIL;
}

void options_match(const struct options *options, struct bytes arg, size_t *tail, bool *next, int64_t *steps)
{
	size_t dashes = dashes_before_name(options, arg);

	*steps -= dashes > 0 ? NAMES_COST(options) : 0;
	for (size_t i = 0; dashes > 0 && i < options->count; i++) {
		size_t end = name_end(&options->list[i], arg, dashes), value;

		if (end == 0)
			continue;
		value = own_value(&options->list[i], arg, dashes, end);
		if (end == arg.size)
			*next = true;
		else if (value < *tail)
			*tail = value;
	}
}

/* Within an argument. */

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_quote(char c)
{
	return c == '"' || c == '\'';
}

/* What ends a word of a shell (bash(1), Word Splitting). A value may contain the other blanks. */
static bool ends_word(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* A byte within a word: an option does not begin after it. */
static bool is_of_word(char c)
{
	unsigned char b = (unsigned char)c;

	return b >= 0x80 || (b >= '0' && b <= '9') || ((b | 0x20) >= 'a' && (b | 0x20) <= 'z') || b == '-' ||
	       b == '_' || b == '.' || b == '/';
}

/* Bytes between an option and a value in the next word: also where both are quoted, or in a list of
 * JSON. */
static bool is_between(char c)
{
	return is_blank(c) || is_quote(c) || c == ',';
}

/* A pass over an argument. */
struct text {
	const struct options *options;
	struct bytes arg;
	size_t at;
	/* Which quote is open at `tracked`; '\0': none. */
	size_t tracked;
	char quote;
};

/* The quote that is open at `to`, not before `tracked`. */
static char quote_at(struct text *text, size_t to)
{
	for (; text->tracked < to; text->tracked++) {
		char c = text->arg.data[text->tracked];

		if (c == '\\' && text->quote != '\'')
			text->tracked++;
		else if (is_quote(c) && text->quote == '\0')
			text->quote = c;
		else if (c == text->quote)
			text->quote = '\0';
	}
	return text->quote;
}

/*
 * The end of the value that begins at `at`: a blank outside the quotes that the value itself opens,
 * or the quote in which it is. Where that is not clear it is what ends later.
 */
static size_t value_end(struct bytes arg, size_t at, char outer)
{
	char quote = '\0';

	for (size_t i = at; i < arg.size; i++) {
		char c = arg.data[i];

		if (c == '\\' && quote != '\'')
			i++;
		else if (quote != '\0')
			quote = c == quote ? '\0' : quote;
		else if (ends_word(c) || (c == outer && i > at))
			return i;
		else if (is_quote(c))
			quote = c;
	}
	return arg.size;
}

enum found { FOUND_NONE, FOUND_OWN, FOUND_NEXT };

/* An option at `at`, which begins a word. *ret: where its own value begins, or where the name of
 * one ends whose value is the next word. */
static enum found find_at(const struct text *text, size_t at, size_t *ret)
{
	struct bytes word = { text->arg.data + at, text->arg.size - at };
	size_t dashes = dashes_before_name(text->options, word), first = NO_TAIL, next = 0;

	for (size_t i = 0; dashes > 0 && i < text->options->count; i++) {
		const struct option *option = &text->options->list[i];
		size_t end = name_end(option, word, dashes), value;

		if (end == 0)
			continue;
		if (end == word.size || is_between(word.data[end])) {
			next = end;
			continue;
		}
		value = own_value(option, word, dashes, end);
		if (value < first)
			first = value;
	}
	if (next == 0 && first == NO_TAIL)
		return FOUND_NONE;
	*ret = at + (next > 0 ? next : first);
	return next > 0 ? FOUND_NEXT : FOUND_OWN;
}

/* The value in the next word. False: there is none in this argument. */
static bool next_word(struct text *text, size_t at, size_t *ret_from, size_t *ret_to)
{
	size_t from = at;
	bool quoted;

	while (from < text->arg.size && is_between(text->arg.data[from]))
		from++;
	if (from == text->arg.size)
		return false;
	/* A quote right before it is its own: it goes to the end of that. */
	quoted = is_quote(text->arg.data[from - 1]);
	*ret_from = from - quoted;
	*ret_to = value_end(text->arg, from - quoted, quote_at(text, from - quoted));
	return true;
}

/* The next place from text->at on where a word begins with a dash; the argument's size: there is none, or the steps are
 * used up. */
static size_t next_dash(const struct text *text, int64_t *steps)
{
	const char *arg = text->arg.data;
	size_t size = text->arg.size, at = text->at;

	for (; at < size; at++) {
		const char *dash = memchr(arg + at, '-', size - at);

		if (!dash)
			break;
		at = (size_t)(dash - arg);
		if (at == 0 || !is_of_word(arg[at - 1]))
			return at;
		*steps -= DASH_COST;
		if (*steps < 0)
			break;
	}
	return size;
}

int options_in_text(const struct options *options, struct bytes arg, size_t from, bool *next, int64_t *steps,
		    int (*mark)(void *userdata, size_t from, size_t to), void *userdata)
{
	struct text text = { .options = options, .arg = arg, .at = from };
	size_t begin, end;
	int r;

	*steps -= (int64_t)arg.size / SEARCHED_IN_STEP;
	while ((text.at = next_dash(&text, steps)) < arg.size && *steps >= 0) {
		size_t found = 0;
		enum found what = find_at(&text, text.at, &found);

		*steps -= NAMES_COST(options);
		if (what == FOUND_NONE) {
			text.at++;
			continue;
		}
		if (what == FOUND_OWN) {
			begin = found;
			/* A value that is the whole argument is options_match()'s: it may have
			 * blanks. */
			end = value_end(arg, begin, quote_at(&text, text.at));
		} else if (!next_word(&text, found, &begin, &end)) {
			*next = true;
			break;
		}
		r = mark(userdata, begin, end);
		if (r < 0)
			return r;
		*steps -= TEXT_COST * (int64_t)(end - text.at) + NAMES_COST(options);
		/* The next word may be an option too; beyond it nothing is scanned twice. */
		if (what == FOUND_NEXT && find_at(&text, begin, &found) == FOUND_NEXT && found >= end)
			text.at = begin;
		else
			text.at = end;
	}
	return 0;
}

/* Variables. */

static char folded(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c == '-' ? '_' : c;
}

static bool is_part_at(const struct option *option, struct bytes name, size_t at)
{
	size_t end = at + option->size;

	if (end > name.size || (at > 0 && name.data[at - 1] != '_') || (end < name.size && name.data[end] != '_'))
		return false;
	for (size_t i = 0; i < option->size; i++)
		if (folded(option->name[i]) != folded(name.data[at + i]))
			return false;
	return true;
}

bool options_name_variable(const struct options *options, struct bytes name, int64_t *steps)
{
	*steps -= (int64_t)(name.size * options->count) * TEXT_COST;
	if (*steps < 0)
		return false;
	for (size_t i = 0; i < options->count; i++) {
		/* A letter alone is an option's, and names no variable. */
		if (options->list[i].size == 1)
			continue;
		for (size_t at = 0; at < name.size; at++)
			if (is_part_at(&options->list[i], name, at))
				return true;
	}
	return false;
}
