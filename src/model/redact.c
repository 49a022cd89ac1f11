/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What to mask must be decided without knowing the program, so the rules mask too much rather than
 * too little.
 *
 * Options. An entry of the list is a name, with or without its dashes:
 *
 *	--password  masks all after the first "--password=", and the argument that follows "--password"
 *	-passin     the same with one dash: -passin=x, -passin x
 *	-p          one letter: the rest of the argument (-px, -p=x); the next argument if there is no rest (-p x)
 *	password    as --password and -password; p: as --p and -p
 *
 * argv[0] is no option. The argument that follows is masked whatever it is, and is an option all
 * the same: in "--password --token x" it is unknown whether --password had a value, so "--token"
 * and "x" are both masked. "--" ends nothing: another command with its options may follow. Names
 * are compared exactly: no abbreviations, no letters in clusters (-vp x), no assignments
 * (PASSWORD=x); patterns are for these.
 *
 * An argument may be a command line itself (sh -c 'mysql --password=x'). So an option is also
 * recognised where a word begins within an argument, argv[0] too. Its value extends to the next
 * blank that the value itself has not quoted, or to the end of the quotes around it; where quotes
 * do not pair, more is masked. An empty value is not marked there. One pass over the argument finds
 * all options.
 *
 * Variables of the environment: the value is masked if the variable is named like an option,
 * whatever the case, with '_' for '-', also as a part of its name between '_' (password:
 * MYSQL_PASSWORD). Others are treated as arguments. The name is never masked.
 *
 * Patterns are applied to every argument as it was, argv[0] too, alone, and to every variable as
 * NAME=VALUE. They match every possible match (ere.h). Adjacent masked bytes read "[redacted]"
 * once. An empty value is masked too, since its emptiness is information.
 *
 * Any user can exec two megabytes of arguments, and all of this is work of the event loop. So a list has a number of
 * steps; what they do not suffice for is masked whole.
 *
 * The list is copied from the first change on. The copy stays in the object, for the next list; a
 * large one is freed soon. Each argument is decided alone, so none can be hidden by others.
 */
#include "model/redact.h"

#include <errno.h>

#include "model/redact_options.h"
#include "util/bytebuf.h"
#include "util/ere.h"
#include "util/nulstr.h"

#define BUFFER_MAX ((size_t)1 << 18) /* bytes; a larger buffer is freed before the next list */

struct redact {
	struct options options;
	struct ere **patterns;
	size_t patterns_count;
	struct bytebuf args, env; /* the latest lists */
	/* Of the current item, once something of it is masked: a byte for each of its bytes, 1:
	 * masked. */
	struct bytebuf mask;
	bool masked;
	int64_t steps; /* left for the list; below 0: what is not decided yet is masked whole */
};

/* What is configured. */

int redact_check_pattern(const char *pattern, const char **ret_reason)
{
	_cleanup_(ere_free_p) struct ere *ere = NULL;

	return ere_new(&ere, pattern, ret_reason);
}

static size_t list_count(const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

int redact_new(struct redact **ret, const char *const *options, const char *const *patterns)
{
	_cleanup_(redact_free_p) struct redact *redact = calloc(1, sizeof(*redact));
	size_t n = list_count(options), m = list_count(patterns);
	const char *reason;
	int r;

	if (!redact)
		return -ENOMEM;
	if (n > REDACT_OPTIONS_MAX || m > REDACT_PATTERNS_MAX)
		return -E2BIG;
	redact->patterns = calloc(m + 1, sizeof(struct ere *));
	if (!redact->patterns)
		return -ENOMEM;
	r = options_init(&redact->options, n);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = options_add(&redact->options, options[i]);
	if (r < 0)
		return r;
	for (; redact->patterns_count < m; redact->patterns_count++) {
		r = ere_new(&redact->patterns[redact->patterns_count], patterns[redact->patterns_count], &reason);
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(redact);
	return 0;
}

struct redact *redact_free(struct redact *redact)
{
	if (!redact)
		return NULL;
	options_finish(&redact->options);
	for (size_t i = 0; i < redact->patterns_count; i++)
		ere_free(redact->patterns[i]);
	free(redact->patterns);
	bytebuf_free(&redact->args);
	bytebuf_free(&redact->env);
	bytebuf_free(&redact->mask);
	free(redact);
	return NULL;
}

bool redact_is_empty(const struct redact *redact)
{
	return redact->options.count == 0 && redact->patterns_count == 0;
}

/* One argument or variable. */

static int mask_begin(struct redact *redact, size_t size)
{
	int r = redact->masked ? 0 : bytebuf_reserve(&redact->mask, size);

	if (r < 0 || redact->masked)
		return r;
	memset(redact->mask.data, 0, size);
	redact->masked = true;
	return 0;
}

struct marking {
	struct redact *redact;
	size_t size;
};

static int mark(void *userdata, size_t from, size_t to)
{
	struct marking *marking = userdata;
	int r = mask_begin(marking->redact, marking->size);

	if (r == 0)
		memset(marking->redact->mask.data + from, 1, to - from);
	return r;
}

static int text_match(struct redact *redact, struct bytes item, size_t from, bool *next)
{
	struct marking marking = { redact, item.size };

	return options_in_text(&redact->options, item, from, next, &redact->steps, mark, &marking);
}

static int patterns_match(struct redact *redact, struct bytes item)
{
	if (item.size == 0)
		return 0;
	for (size_t i = 0; i < redact->patterns_count && redact->steps >= 0; i++) {
		struct ere *pattern = redact->patterns[i];
		int r;

		if (ere_match(pattern, item, &redact->steps) != ERE_YES)
			continue;
		redact->steps -= ere_mask_cost(pattern, item);
		if (redact->steps < 0)
			break;
		r = mask_begin(redact, item.size);
		if (r == 0)
			r = ere_mask(pattern, item, (unsigned char *)redact->mask.data);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Decides what is masked of an item: all from *tail on, and the bytes of the mask. *value: whether
 * the item is a value; then whether the next one is. */
static int match_arg(struct redact *redact, struct bytes arg, bool first, bool *value, size_t *tail)
{
	int r = 0;

	*tail = *value ? 0 : NO_TAIL;
	*value = false;
	if (!first && redact->steps >= 0)
		options_match(&redact->options, arg, tail, value, &redact->steps);
	if (*tail == NO_TAIL && redact->steps >= 0)
		r = text_match(redact, arg, first, value);
	if (r == 0 && *tail != 0 && redact->steps >= 0)
		r = patterns_match(redact, arg);
	if (redact->steps < 0)
		*tail = 0;
	return r;
}

static int match_variable(struct redact *redact, struct bytes variable, size_t *tail)
{
	const char *sign = memchr(variable.data, '=', variable.size);
	size_t begin = sign ? (size_t)(sign - variable.data) + 1 : 0;
	bool next = false;
	int r = 0;

	*tail = NO_TAIL;
	if (sign && redact->steps >= 0 &&
	    options_name_variable(&redact->options, (struct bytes){ variable.data, begin - 1 }, &redact->steps))
		*tail = begin;
	else if (redact->steps >= 0)
		r = text_match(redact, variable, begin, &next);
	if (r == 0 && redact->steps >= 0)
		r = patterns_match(redact, variable);
	if (redact->steps < 0)
		*tail = begin;
	if (r == 0 && redact->masked)
		memset(redact->mask.data, 0, begin);
	return r;
}

/* Appends the item, masked from tail on and by the mask. */
static int put_masked(struct redact *redact, struct bytebuf *list, struct bytes item, size_t tail)
{
	size_t end = tail < item.size ? tail : item.size, at = 0;
	int r;

	while (redact->masked && at < end) {
		const char *mask = redact->mask.data, *from = memchr(mask + at, 1, end - at), *to;

		if (!from)
			break;
		r = bytebuf_add(list, (struct bytes){ item.data + at, (size_t)(from - mask) - at });
		if (r < 0)
			return r;
		to = memchr(from, 0, (size_t)(mask + end - from));
		at = to ? (size_t)(to - mask) : end;
		if (at < end || tail == NO_TAIL) {
			r = bytebuf_add(list, BYTES(REDACT_MARK));
			if (r < 0)
				return r;
		}
	}
	r = bytebuf_add(list, (struct bytes){ item.data + at, end - at });
	if (r == 0 && tail != NO_TAIL)
		r = bytebuf_add(list, BYTES(REDACT_MARK));
	return r;
}

/* The lists. */

static int redact_list(struct redact *redact, struct bytebuf *list, struct bytes from, bool variables,
		       struct bytes *ret)
{
	size_t at = 0, copied = 0; /* what is before it is in the new list, if there is one */
	bool value = false, changed = false;
	struct bytes item;
	int r;

	if (redact_is_empty(redact))
		return 0;
	bytebuf_reset(list, BUFFER_MAX);
	bytebuf_reset(&redact->mask, BUFFER_MAX);
	redact->steps = REDACT_STEPS_MAX;
	for (bool first = true; nulstr_next(from, &at, &item); first = false) {
		size_t tail, begin = (size_t)(item.data - from.data);

		redact->masked = false;
		if (variables)
			r = match_variable(redact, item, &tail);
		else
			r = match_arg(redact, item, first, &value, &tail);
		if (r < 0)
			return r;
		if (tail == NO_TAIL && (!redact->masked || !memchr(redact->mask.data, 1, item.size)))
			continue;
		r = bytebuf_add(list, (struct bytes){ from.data + copied, begin - copied });
		if (r == 0)
			r = put_masked(redact, list, item, tail);
		if (r < 0)
			return r;
		copied = begin + item.size;
		changed = true;
	}
	if (!changed)
		return 0;
	r = bytebuf_add(list, (struct bytes){ from.data + copied, from.size - copied });
	if (r < 0)
		return r;
	*ret = (struct bytes){ list->data, list->size };
	return REDACT_E_CHANGED;
}

int redact_args(struct redact *redact, struct bytes args, struct bytes *ret)
{
	return redact_list(redact, &redact->args, args, false, ret);
}

int redact_env(struct redact *redact, struct bytes env, struct bytes *ret)
{
	return redact_list(redact, &redact->env, env, true, ret);
}
