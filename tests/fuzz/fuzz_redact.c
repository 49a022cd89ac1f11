/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines "option=NAME" and "pattern=ERE" until an empty line; what follows are the arguments. Checked beyond "does not
 * crash": the number of arguments stays, values of options are gone, and where regexec(3) finds a match all of it is
 * masked. No length, as those are what it takes hours for.
 */
#include <errno.h>
#include <regex.h>
#include <stdint.h>

#include "model/redact.h"
#include "util/ere.h"
#include "util/nulstr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OPTIONS_MAX 8
#define PATTERNS_MAX 4

struct input {
	char *options[OPTIONS_MAX + 1];
	char *patterns[PATTERNS_MAX + 1];
	size_t options_count, patterns_count;
	struct bytes args;
};

static void input_free(struct input *input)
{
	for (size_t i = 0; i < input->options_count; i++)
		free(input->options[i]);
	for (size_t i = 0; i < input->patterns_count; i++)
		free(input->patterns[i]);
}

static void input_line(struct input *input, struct bytes line)
{
	const char *reason = NULL;
	char *text;

	if (line.size >= 7 && memcmp(line.data, "option=", 7) == 0 && input->options_count < OPTIONS_MAX) {
		text = strndup(line.data + 7, line.size - 7);
		if (text && redact_check_option(text, &reason) == 0)
			input->options[input->options_count++] = text;
		else
			free(text);
	} else if (line.size >= 8 && memcmp(line.data, "pattern=", 8) == 0 && input->patterns_count < PATTERNS_MAX) {
		text = strndup(line.data + 8, line.size - 8);
		if (text && redact_check_pattern(text, &reason) == 0)
			input->patterns[input->patterns_count++] = text;
		else
			free(text);
	} else {
		return;
	}
}

static void input_read(struct input *input, struct bytes all)
{
	while (all.size > 0) {
		const char *end = memchr(all.data, '\n', all.size);
		size_t size = end ? (size_t)(end - all.data) : all.size;

		input_line(input, (struct bytes){ all.data, size });
		all = (struct bytes){ all.data + size + (end != NULL), all.size - size - (end != NULL) };
		if (size == 0)
			break;
	}
	input->args = all;
}

static bool begins(struct bytes arg, const char *start)
{
	return arg.size >= strlen(start) && memcmp(arg.data, start, strlen(start)) == 0;
}

/* Where the value of an option begins; SIZE_MAX: there is none. Said in other words than redact.c does. */
static size_t value_begins(const char *option, struct bytes arg, bool *next)
{
	const char *name = option + strspn(option, "-");
	size_t found = SIZE_MAX;

	for (int dashes = 1; dashes <= 2; dashes++) {
		char text[300];

		if (name != option && name - option != dashes)
			continue;
		snprintf(text, sizeof(text), "%.*s%s", dashes, "--", name);
		if (arg.size == strlen(text) && begins(arg, text))
			*next = true;
		else if (dashes == 1 && strlen(name) == 1 && begins(arg, text) && (arg.data[1] != '-'))
			found = 2;
		strcat(text, "=");
		if (begins(arg, text) && strlen(text) < found)
			found = strlen(text);
	}
	return found;
}

/* The name of some option is in it, behind a dash, and not at its beginning: what is masked then is not said again
 * here. */
static bool has_option_within(const struct input *input, struct bytes arg)
{
	for (size_t k = 0; k < input->options_count; k++) {
		const char *name = input->options[k] + strspn(input->options[k], "-");
		struct bytes rest = { arg.data, arg.size };
		const char *found;

		while (rest.size > 0 && (found = memmem(rest.data, rest.size, name, strlen(name)))) {
			if (found > arg.data && found[-1] == '-')
				return true;
			rest.size -= (size_t)(found + 1 - rest.data);
			rest.data = found + 1;
		}
	}
	return false;
}

/* Words as a shell ends them, without quotes: the value of each option's word is gone. */
static void check_words(const struct input *input, struct bytes arg, struct bytes is)
{
	for (size_t at = 0; at < arg.size;) {
		struct bytes word = { arg.data + at, 0 };
		bool next = false;

		while (at + word.size < arg.size && !strchr(" \t\n", word.data[word.size]))
			word.size++;

		for (size_t k = 0; k < input->options_count; k++) {
			size_t value = value_begins(input->options[k], word, &next);

			/* Long enough not to be in it by chance; with what is before it, or it may be within a word. */
			if (at > 0 && value != SIZE_MAX && word.size >= value + 8)
				ASSERT(!memmem(is.data, is.size, word.data - 1, word.size + 1));
		}
		at += word.size + 1;
	}
}

static void check_values(const struct input *input, struct bytes from, struct bytes to)
{
	size_t at = 0, to_at = 0;
	struct bytes arg, is;
	bool follows = false, unsure = false;

	for (size_t i = 0; nulstr_next(from, &at, &arg); i++) {
		size_t begin = follows ? 0 : SIZE_MAX, mark = strlen(REDACT_MARK);

		ASSERT(nulstr_next(to, &to_at, &is));
		if (unsure) {
			/* Nor does it matter for what follows, where it was one. */
			follows = false;
			for (size_t k = 0; i > 0 && k < input->options_count; k++)
				value_begins(input->options[k], arg, &follows);
			unsure = has_option_within(input, arg);
			continue;
		}
		follows = false;
		for (size_t k = 0; i > 0 && k < input->options_count; k++) {
			size_t here = value_begins(input->options[k], arg, &follows);

			if (here < begin)
				begin = here;
		}
		if (begin != SIZE_MAX) {
			ASSERT(is.size >= mark && memcmp(is.data + is.size - mark, REDACT_MARK, mark) == 0);
			if (input->patterns_count == 0)
				ASSERT(is.size == begin + mark && memcmp(is.data, arg.data, begin) == 0);
		} else if (input->patterns_count == 0 && !has_option_within(input, arg)) {
			ASSERT(bytes_equal(is, arg));
		} else if (i > 0 && arg.size > 0 && !memchr(arg.data, '"', arg.size) &&
			   !memchr(arg.data, '\'', arg.size)) {
			check_words(input, arg, is);
		}
		/* The last word's value is the next argument. */
		if (begin == SIZE_MAX && !follows && has_option_within(input, arg))
			unsure = true;
	}
	ASSERT(!nulstr_next(to, &to_at, &is));
	ASSERT(from.size == 0 || (from.data[from.size - 1] == '\0') == (to.data[to.size - 1] == '\0'));
}

/* As many variables as before, with their names. */
static void check_names(struct bytes from, struct bytes to)
{
	size_t at = 0, to_at = 0;
	struct bytes var, is;

	while (nulstr_next(from, &at, &var)) {
		const char *sign = memchr(var.data, '=', var.size);
		size_t name = sign ? (size_t)(sign - var.data) + 1 : 0;

		ASSERT(nulstr_next(to, &to_at, &is));
		ASSERT(is.size >= name && memcmp(is.data, var.data, name) == 0);
	}
	ASSERT(!nulstr_next(to, &to_at, &is));
}

/* Patterns of which regexec(3) surely means the same, in bytes, and soon comes to an end. */
static bool is_comparable(const char *pattern)
{
	size_t size = strlen(pattern);

	for (size_t i = 0; i < size; i++)
		if (pattern[i] < ' ' || pattern[i] == 0x7f)
			return false;
	return size <= 32 && !strchr(pattern, '{') && !(strpbrk(pattern, "^$") && strpbrk(pattern, "*+?"));
}

static void check_pattern(const char *pattern, struct bytes args)
{
	_cleanup_(ere_free_p) struct ere *ere = NULL;
	const char *reason;
	struct bytes arg;
	char group[40];
	regex_t regex;
	size_t at = 0;

	snprintf(group, sizeof(group), "(%s)", pattern);
	if (ere_new(&ere, group, &reason) < 0 || regcomp(&regex, pattern, REG_EXTENDED) != 0)
		return;
	while (nulstr_next(args, &at, &arg)) {
		unsigned char mask[64] = { 0 };
		char text[64 + 1];
		int64_t steps = INT64_MAX;
		regmatch_t match;

		/* glibc lets a '^' that is not first match behind a newline, also without REG_NEWLINE. */
		if (arg.size > 64 || (arg.size > 0 && memchr(arg.data, '\n', arg.size)))
			continue;
		memcpy(text, arg.data, arg.size);
		text[arg.size] = '\0';
		if (regexec(&regex, text, 1, &match, 0) != 0) {
			ASSERT(ere_match(ere, arg, &steps) == ERE_NO);
			continue;
		}
		ASSERT(ere_mask(ere, arg, mask) == 0);
		for (regoff_t i = match.rm_so; i < match.rm_eo; i++)
			ASSERT(mask[i]);
	}
	regfree(&regex);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(redact_free_p) struct redact *redact = NULL;
	struct input input = { .options_count = 0 };
	struct bytes ret;
	int r;

	input_read(&input, (struct bytes){ (const char *)data, size });
	r = redact_new(&redact, (const char *const *)input.options, (const char *const *)input.patterns);
	ASSERT(r == 0 || r == -ENOMEM);
	if (r == 0) {
		r = redact_env(redact, input.args, &ret);
		ASSERT(r == 0 || r == REDACT_E_CHANGED || r == -ENOMEM);
		if (r == REDACT_E_CHANGED)
			check_names(input.args, ret);
		r = redact_args(redact, input.args, &ret);
		ASSERT(r == 0 || r == REDACT_E_CHANGED || r == -ENOMEM);
		if (r >= 0)
			check_values(&input, input.args, r == REDACT_E_CHANGED ? ret : input.args);
		for (size_t i = 0; i < input.patterns_count; i++)
			if (is_comparable(input.patterns[i]))
				check_pattern(input.patterns[i], input.args);
	}
	input_free(&input);
	return 0;
}
