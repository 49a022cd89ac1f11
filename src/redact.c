/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is masked must be told without knowing the program, so the rules err on the side of masking too much.
 *
 * Options. An entry of the list is a name, with or without its dashes:
 *
 *	--password  masks all behind the first "--password=", and the argument that follows "--password"
 *	-passin     the same with one dash: -passin=x, -passin x
 *	-p          one letter: all that follows in the same argument (-px, -p=x); the next argument if nothing does (-p x)
 *	password    as --password and -password; p: as --p and -p
 *
 * argv[0] is no option. The argument that follows is masked whatever it looks like, and is an option all the same: after
 * "--password --token x" nobody can tell whether --password had a value, so "--token" and "x" are masked both. "--"
 * ends nothing: behind it may stand another command with its options. Names are compared exactly: no abbreviations, no
 * letters in clusters (-vp x), nothing inside an argument (sh -c 'mysql --password=x'); patterns are for these.
 *
 * Patterns see every argument as it was, argv[0] too, alone. What they match is ere.h's: every possible match. Bytes that
 * are masked in a row read "[redacted]" once. A value that is empty is masked too: that it is empty tells something.
 *
 * The list is copied from the first change on only. The copy is kept in the object, for the next list; a large one is
 * not kept for long. What may be masked is decided by argument alone, so nobody can hide an argument behind others.
 */
#include "redact.h"

#include <errno.h>
#include <stdint.h>

#include "ere.h"
#include "process.h"

#define KEEP ((size_t)1 << 18) /* bytes; what is larger is given back at the next list */
#define NO_TAIL SIZE_MAX

struct option {
	char *name; /* without dashes */
	size_t size;
	bool one_dash, two_dashes;
};

struct room {
	char *data;
	size_t size, room;
};

struct redact {
	struct option *options;
	size_t options_count;
	struct ere **patterns;
	size_t patterns_count;
	struct room list, mask;
};

static int room_grow(struct room *room, size_t size)
{
	size_t want = room->room < 1024 ? 1024 : room->room;
	char *data;

	if (size <= room->room)
		return 0;
	while (want < size) {
		if (want > SIZE_MAX / 2)
			return -ENOMEM;
		want *= 2;
	}
	data = realloc(room->data, want);
	if (!data)
		return -ENOMEM;
	room->data = data;
	room->room = want;
	return 0;
}

static void room_shrink(struct room *room)
{
	room->size = 0;
	if (room->room <= KEEP)
		return;
	free(room->data);
	*room = (struct room){ .data = NULL };
}

static int room_put(struct room *room, struct bytes bytes)
{
	int r;

	if (bytes.size == 0)
		return 0;
	if (bytes.size > SIZE_MAX - room->size)
		return -ENOMEM;
	r = room_grow(room, room->size + bytes.size);
	if (r < 0)
		return r;
	memcpy(room->data + room->size, bytes.data, bytes.size);
	room->size += bytes.size;
	return 0;
}

/* What is configured. */

int redact_check_option(const char *option, const char **ret_reason)
{
	size_t dashes = strspn(option, "-");

	if (!option[dashes])
		*ret_reason = "there is no name";
	else if (dashes > 2)
		*ret_reason = "an option begins with one or two dashes, or is given without";
	else if (strchr(option, '='))
		*ret_reason = "the name of an option ends before the =";
	else
		return 0;
	return -EINVAL;
}

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

static int options_add(struct redact *redact, const char *text)
{
	struct option *option = &redact->options[redact->options_count];
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
	redact->options_count++;
	return 0;
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
	redact->options = calloc(n + 1, sizeof(*redact->options));
	redact->patterns = calloc(m + 1, sizeof(struct ere *));
	if (!redact->options || !redact->patterns)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		r = options_add(redact, options[i]);
		if (r < 0)
			return r;
	}
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
	for (size_t i = 0; i < redact->options_count; i++)
		free(redact->options[i].name);
	for (size_t i = 0; i < redact->patterns_count; i++)
		ere_free(redact->patterns[i]);
	free(redact->options);
	free(redact->patterns);
	free(redact->list.data);
	free(redact->mask.data);
	free(redact);
	return NULL;
}

bool redact_is_empty(const struct redact *redact)
{
	return redact->options_count == 0 && redact->patterns_count == 0;
}

/* One argument. */

/* What an option says of the argument: where the value begins (NO_TAIL: not here), and whether the next one is a value. */
static void option_match(const struct option *option, struct bytes arg, size_t *tail, bool *next)
{
	size_t dashes = arg.size > 1 && arg.data[1] == '-' ? 2 : 1, end = dashes + option->size, value;

	if (dashes == 2 ? !option->two_dashes : !option->one_dash)
		return;
	if (arg.size < end || memcmp(arg.data + dashes, option->name, option->size) != 0)
		return;
	if (arg.size == end) {
		*next = true;
		return;
	}
	if (dashes == 1 && option->size == 1)
		value = end;
	else if (arg.data[end] == '=')
		value = end + 1;
	else
		return;
	if (value < *tail)
		*tail = value;
}

static void options_match(const struct redact *redact, struct bytes arg, size_t *tail, bool *next)
{
	if (arg.size < 2 || arg.data[0] != '-')
		return;
	for (size_t i = 0; i < redact->options_count; i++)
		option_match(&redact->options[i], arg, tail, next);
}

/* 1 if some pattern matched: the mask then has a byte for each of the argument's, some not 0. */
static int patterns_match(struct redact *redact, struct bytes arg)
{
	bool masked = false;

	if (arg.size == 0)
		return 0;
	for (size_t i = 0; i < redact->patterns_count; i++) {
		int r;

		if (!ere_matches(redact->patterns[i], arg))
			continue;
		if (!masked) {
			r = room_grow(&redact->mask, arg.size);
			if (r < 0)
				return r;
			memset(redact->mask.data, 0, arg.size);
			masked = true;
		}
		r = ere_mask(redact->patterns[i], arg, (unsigned char *)redact->mask.data);
		if (r < 0)
			return r;
	}
	return masked && memchr(redact->mask.data, 1, arg.size);
}

/* Puts the argument, masked from tail on and, if by_mask, where the mask says. */
static int put_masked(struct redact *redact, struct bytes arg, size_t tail, bool by_mask)
{
	size_t end = tail < arg.size ? tail : arg.size, at = 0;
	int r;

	while (by_mask && at < end) {
		const char *mask = redact->mask.data, *from = memchr(mask + at, 1, end - at), *to;

		if (!from)
			break;
		r = room_put(&redact->list, (struct bytes){ arg.data + at, (size_t)(from - mask) - at });
		if (r < 0)
			return r;
		to = memchr(from, 0, (size_t)(mask + end - from));
		at = to ? (size_t)(to - mask) : end;
		if (at < end || tail == NO_TAIL) {
			r = room_put(&redact->list, BYTES(REDACT_MARK));
			if (r < 0)
				return r;
		}
	}
	r = room_put(&redact->list, (struct bytes){ arg.data + at, end - at });
	if (r == 0 && tail != NO_TAIL)
		r = room_put(&redact->list, BYTES(REDACT_MARK));
	return r;
}

/* The list. */

int redact_args(struct redact *redact, struct bytes args, struct bytes *ret)
{
	size_t at = 0, from = 0; /* all before from is in the new list, once there is one */
	bool value = false, changed = false;
	struct bytes arg;

	if (redact_is_empty(redact))
		return 0;
	room_shrink(&redact->list);
	room_shrink(&redact->mask);
	for (bool first = true; args_next(args, &at, &arg); first = false) {
		size_t tail = value ? 0 : NO_TAIL, begin = (size_t)(arg.data - args.data);
		int matched = 0, r;

		value = false;
		if (!first)
			options_match(redact, arg, &tail, &value);
		if (tail != 0)
			matched = patterns_match(redact, arg);
		if (matched < 0)
			return matched;
		if (!matched && tail == NO_TAIL)
			continue;
		r = room_put(&redact->list, (struct bytes){ args.data + from, begin - from });
		if (r == 0)
			r = put_masked(redact, arg, tail, matched);
		if (r < 0)
			return r;
		from = begin + arg.size;
		changed = true;
	}
	if (!changed)
		return 0;
	if (room_put(&redact->list, (struct bytes){ args.data + from, args.size - from }) < 0)
		return -ENOMEM;
	*ret = (struct bytes){ redact->list.data, redact->list.size };
	return REDACT_E_CHANGED;
}
