/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines "key=entry" until an empty line; what follows are the bytes of the event: comm, exe and the arguments. Checked
 * beyond "does not crash": what a filter took it gives back, a pattern without wildcards matches itself alone, and
 * an entry and its exclusion never let the same event pass or both refuse it. What it costs is counted: a pattern takes no
 * more steps than GLOB_STEPS_MAX, and a filter that is asked in pieces gives the same answer. The bytes of the event are
 * repeated up to 64 KiB, so that what grows faster than they do is seen.
 */
#include <stdint.h>

#include "model/filter.h"
#include "util/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool passes_alone(enum filter_key key, struct bytes entry, bool exclude, const struct event *event, bool *ret)
{
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	_cleanup_free_ char *text = malloc(entry.size + 1);
	const char *reason = NULL;

	if (!text || filter_new(&filter) < 0)
		return false;
	text[0] = '!';
	memcpy(text + exclude, entry.data, entry.size);
	if (filter_add(filter, key, (struct bytes){ text, entry.size + exclude }, &reason) < 0) {
		ASSERT(reason);
		return false;
	}
	ASSERT(strlen(filter_entry(filter, key, 0)) == entry.size + exclude);
	*ret = filter_pass(filter, event);
	return true;
}

static void check_entry(enum filter_key key, struct bytes entry, const struct event *event)
{
	bool plain, excluding;

	if (entry.size > 0 && entry.data[0] == '!')
		return;
	if (passes_alone(key, entry, false, event, &plain) && passes_alone(key, entry, true, event, &excluding))
		ASSERT(plain != excluding);
}

static void check_steps(const struct glob *glob, size_t pattern, struct bytes text, int64_t piece)
{
	struct glob_place place = { 0 };
	enum glob_result r;
	int64_t took = 0;

	do {
		int64_t steps = piece;

		r = glob_search(glob, text, &place, &steps);
		took += piece - steps;
		ASSERT(took <= GLOB_STEPS_MAX(pattern, text.size));
	} while (r == GLOB_MORE);
	ASSERT((r == GLOB_YES) == glob_match(glob, text));
}

static void check_pieces(const struct filter *filter, const struct event *event)
{
	struct filter_place place = { 0 };
	enum filter_result r;

	do {
		int64_t steps = 1000;

		r = filter_try(filter, event, &place, &steps);
		ASSERT(steps > -20000);
	} while (r == FILTER_MORE);
	ASSERT((r == FILTER_YES) == filter_pass(filter, event));
}

static void check_glob(struct bytes pattern, struct bytes text)
{
	_cleanup_(glob_free_p) struct glob *glob = NULL;
	const char *reason = NULL;
	struct bytes literal;

	if (glob_new(&glob, pattern, &reason) < 0) {
		ASSERT(reason);
		return;
	}
	check_steps(glob, pattern.size, text, INT64_MAX);
	check_steps(glob, pattern.size, text, 1 + (int64_t)text.size / 7);
	if (glob_is_literal(glob, &literal))
		ASSERT(glob_match(glob, text) == bytes_equal(text, literal) && glob_match(glob, literal));
}

/* As often as it fits; a long one as it is. */
static struct bytes repeated(struct bytes text)
{
	static char space[64 << 10];
	size_t used = 0;

	if (text.size == 0 || text.size > sizeof(space))
		return text;
	/* Most of the time, or there would be no more than a few hundred a second. */
	for (size_t most = text.data[0] & 15 ? 512 : sizeof(space); used + text.size <= most; used += text.size)
		memcpy(space + used, text.data, text.size);
	return used > 0 ? (struct bytes){ space, used } : text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	const char *p = (const char *)data, *end = p + size, *rest = NULL;
	struct process process = { .tgid = 100, .start = 1, .ppid = 10, .parent_start = 1, .uid = 1000, .gid = 1000 };
	struct process child = { .tgid = 101, .start = 2, .ppid = 100, .parent_start = 1 };
	struct event event = { .type = EVENT_ERROR, .error = 2, .process = &process };

	if (size == 0)
		return 0;
	rest = memmem(p, size, "\n\n", 2);
	rest = rest ? rest + 2 : end;
	process.image.exe = process.comm = (struct bytes){ rest, (size_t)(end - rest) };
	process.image.args = repeated(process.comm);
	if (filter_new(&filter) < 0)
		return 0;
	while (p < rest) {
		const char *line = memchr(p, '\n', (size_t)(rest - p)), *is;
		enum filter_key key;

		if (!line)
			line = rest;
		is = memchr(p, '=', (size_t)(line - p));
		if (is && filter_key_by_name((struct bytes){ p, (size_t)(is - p) }, &key)) {
			struct bytes entry = { is + 1, (size_t)(line - is - 1) };
			const char *reason = NULL;

			if (filter_add(filter, key, entry, &reason) < 0)
				ASSERT(reason);
			check_entry(key, entry, &event);
			check_glob(entry, process.comm);
			check_glob(entry, process.image.args);
		}
		p = line + 1;
	}
	if (filter_fork(filter, &process) == 0 && filter_fork(filter, &child) == 0)
		check_pieces(filter, &event);
	filter_exit(filter, &process);
	filter_exit(filter, &child);
	return 0;
}
