/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "ctl/command/commands.h"
#include "ctl/command/lines.h"
#include "ctl/event/merge.h"

#define BUFFER_SIZE (1U << 16)

static bool has_shown_enough(const struct lines *lines)
{
	return lines->shown >= lines->options->lines;
}

static bool source_is_daemon(const struct options *options)
{
	return !options->input && !options->from_journal;
}

static int show(struct lines *lines, const struct parsed *parsed)
{
	return query_pass(lines->options->query, parsed) ? lines_print(lines, parsed) : 0;
}

/* Those whose time is over. */
static int show_due(struct lines *lines, struct merge *merge, uint64_t now_ns)
{
	const struct parsed *parsed;
	int r;

	while ((r = merge_due(merge, now_ns, &parsed)) > 0) {
		r = show(lines, parsed);
		if (r < 0)
			return r;
	}
	return r;
}

static int watch_event(struct lines *lines, const struct event_source *source, struct merge *merge,
		       const struct parsed *parsed)
{
	int r = 0;

	if (source_is_unknown(parsed))
		return source->passes_unknown ? lines_print(lines, parsed) : 0;
	query_follow(lines->options->query, parsed);
	if (parsed->event.type == EVENT_LIVE || parsed->event.type == EVENT_TYPE_MAX || parsed->event.snapshot)
		return 0;
	if (merge) {
		r = show_due(lines, merge, parsed->event.time);
		if (r >= 0)
			r = merge_add(merge, parsed);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return show(lines, parsed);
}

/* What is printed is written when nothing more is there: a storm is written in pieces, not line by line. */
static int wait_for_event(struct lines *lines, struct event_source *source, int timeout_ms)
{
	int r = source_wait(source, 0);

	if (r != 0)
		return r;
	/* A reader that is gone is no reason to wait for the next event. */
	return terminal_flush(&lines->terminal) < 0 ? -EIO : source_wait(source, timeout_ms);
}

/* Event after event, as they come. merge NULL: starts are not held. 1: enough was shown; 0: there are no more. */
static int follow(struct lines *lines, struct event_source *source, struct merge *merge)
{
	const struct parsed *parsed;
	int r = 0;

	while (!interrupted && !has_shown_enough(lines)) {
		r = wait_for_event(lines, source, merge && !merge_is_empty(merge) ? (int)(MERGE_NS / 1000000) : -1);
		if (r == 0) {
			r = show_due(lines, merge, UINT64_MAX);
			if (r < 0)
				return r;
			continue;
		}
		if (r > 0)
			r = source_next(source, &parsed);
		if (r <= 0)
			break;
		/* On an idle machine, too, it is seen that watch runs. */
		lines_head(lines);
		r = watch_event(lines, source, merge, parsed);
		if (r < 0)
			return r;
	}
	if (merge && (r >= 0 || r == -EINTR))
		r = show_due(lines, merge, UINT64_MAX);
	return r < 0 ? r : interrupted || has_shown_enough(lines);
}

int command_watch(struct options *options)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	_cleanup_(merge_free_p) struct merge *merge = NULL;
	struct lines lines;
	bool ended;
	int r = options_add_programs(options);

	options->fold_searches = !options->events && options->format == FORMAT_SHORT;
	/* Without a snapshot the daemon would not report the end of what runs already: execsnoopd-events(7), "exited".
	 */
	if (r == 0)
		r = options_open(options, true, true, &source);
	if (r == 0 && options->format == FORMAT_SHORT && !options->events && (options->merge || !options->merge_set) &&
	    merge_new(&merge) < 0)
		r = CTL_FAILED;
	if (r == 0)
		r = lines_open(&lines, options, false);
	if (r > 0)
		return r;
	source->passes_unknown = !options->from_journal && lines_pass_unknown(options);
	setvbuf(stdout, NULL, _IOFBF, BUFFER_SIZE);
	if (options->format == FORMAT_CSV)
		lines_head(&lines);
	catch_signals();
	r = follow(&lines, source, merge);
	ended = r == 0 && source_is_daemon(options);
	r = lines_close(&lines, r);
	die_of_signal();
	if (ended)
		fputs("execsnoopctl: the daemon ended the connection\n", stderr);
	return ended && r != CTL_FAILED ? CTL_UNAVAILABLE : r;
}
