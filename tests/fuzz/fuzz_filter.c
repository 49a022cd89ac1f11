/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines "key=entry" until an empty line; what follows are the bytes of the event: comm, exe and
 * the arguments. Checked beyond "does not crash": what a filter took it gives back, a pattern
 * without wildcards matches itself alone, and an entry and its exclusion never let the same event
 * pass or both refuse it.
 *
 * What it costs is counted: a pattern takes no more steps than GLOB_STEPS_MAX, a filter no more
 * than all its patterns over all texts, and a filter that is asked in pieces gives the same
 * answer. The bytes of the event are repeated up to TEXT_MAX, so that what grows faster than they
 * do is seen. fuzz_filter_long is the same with long texts, and also holds the CPU time against
 * the steps.
 */
#include <stdint.h>
#include <time.h>

#include "model/filter.h"
#include "util/glob.h"
#include "util/nulstr.h"

#ifndef TEXT_MAX
#define TEXT_MAX 256
#endif
#define IS_LONG (TEXT_MAX > 4096)
#define PIECE 1000	   /* steps */
#define NS_PER_STEP 200	   /* generously: the sanitizers take ten times as long */
#define NS_FREE 50000000ll /* for a machine that is busy with something else, and a clock in ticks */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What all patterns of the filter may cost over the texts of the event, in steps; all other keys take a few each. */
static int64_t steps_max;

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

static int64_t cpu_ns(void)
{
	struct timespec ts;

	ASSERT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) == 0);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* All at once: what it costs. */
static bool check_cost(const struct filter *filter, const struct event *event)
{
	int64_t began = IS_LONG ? cpu_ns() : 0, steps = INT64_MAX, took;
	struct filter_place place = { 0 };
	enum filter_result r = filter_try(filter, event, &place, &steps);

	took = INT64_MAX - steps;
	ASSERT(r != FILTER_MORE && took <= steps_max);
	ASSERT(!IS_LONG || cpu_ns() - began <= NS_FREE + NS_PER_STEP * took);
	return r == FILTER_YES;
}

static void check_pieces(const struct filter *filter, const struct event *event)
{
	struct filter_place place = { 0 };
	enum filter_result r;

	do {
		int64_t steps = PIECE;

		r = filter_try(filter, event, &place, &steps);
		ASSERT(steps > -20000);
	} while (r == FILTER_MORE);
	ASSERT((r == FILTER_YES) == check_cost(filter, event));
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
	static char space[TEXT_MAX];
	size_t used = 0;

	if (text.size == 0 || text.size > sizeof(space))
		return text;
	for (; used + text.size <= sizeof(space); used += text.size)
		memcpy(space + used, text.data, text.size);
	return (struct bytes){ space, used };
}

/* No entry costs more than a glob over each argument and both ends of it (GLOB_STEPS_MAX), and a number or an error
 * less. */
static int64_t entry_steps(struct bytes entry, const struct process *process)
{
	struct bytes args = process->image.args, arg;
	int64_t ret = 64 + GLOB_STEPS_MAX(entry.size, process->comm.size);

	for (size_t at = 0; nulstr_next(args, &at, &arg);)
		ret += GLOB_STEPS_MAX(entry.size, arg.size) + (int64_t)arg.size / 16;
	return ret;
}

static void check_line(struct filter *filter, struct bytes line, const struct event *event)
{
	const char *is = line.size > 0 ? memchr(line.data, '=', line.size) : NULL, *reason = NULL;
	const struct process *process = event->process;
	struct bytes entry;
	enum filter_key key;

	if (!is || !filter_key_by_name((struct bytes){ line.data, (size_t)(is - line.data) }, &key))
		return;
	entry = (struct bytes){ is + 1, line.size - (size_t)(is + 1 - line.data) };
	if (filter_add(filter, key, entry, &reason) < 0)
		ASSERT(reason);
	else
		steps_max += entry_steps(entry, process);
	check_entry(key, entry, event);
	check_glob(entry, process->comm);
	check_glob(entry, process->image.args);
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
	steps_max = 0;
	while (p < rest) {
		const char *line = memchr(p, '\n', (size_t)(rest - p));

		if (!line)
			line = rest;
		check_line(filter, (struct bytes){ p, (size_t)(line - p) }, &event);
		p = line + 1;
	}
	if (filter_fork(filter, &process) == 0 && filter_fork(filter, &child) == 0)
		check_pieces(filter, &event);
	filter_exit(filter, &process);
	filter_exit(filter, &child);
	return 0;
}
