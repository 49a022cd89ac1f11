/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <unistd.h>

#include "ctl/command/commands.h"
#include "ctl/command/lines.h"
#include "ctl/event/merge.h"

static bool has_shown_enough(const struct lines *lines)
{
	return lines->shown >= lines->options->lines;
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

static int watch_event(struct lines *lines, struct merge *merge, const struct parsed *parsed)
{
	int r = 0;

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

/* Event after event, as they come. merge NULL: starts are not held. */
static int follow(struct lines *lines, struct event_source *source, struct merge *merge)
{
	const struct parsed *parsed;
	int r = 0;

	while (!interrupted && !has_shown_enough(lines)) {
		if (lines->terminal.is_terminal)
			fflush(lines->terminal.out);
		r = source_wait(source, merge && !merge_is_empty(merge) ? (int)(MERGE_NS / 1000000) : -1);
		if (r == 0) {
			r = show_due(lines, merge, UINT64_MAX);
			if (r < 0)
				break;
			continue;
		}
		if (r > 0)
			r = source_next(source, &parsed);
		if (r <= 0)
			break;
		if (report_rejected(parsed))
			return -EPROTO;
		r = watch_event(lines, merge, parsed);
		if (r < 0)
			break;
	}
	return merge && r >= 0 ? show_due(lines, merge, UINT64_MAX) : r;
}

int command_watch(struct options *options)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	_cleanup_(merge_free_p) struct merge *merge = NULL;
	struct lines lines;
	int r = options_add_programs(options);

	if (r == 0)
		r = lines_open(&lines, options, false);
	if (r == 0 && options->format == FORMAT_SHORT && !options->events && (options->merge || !options->merge_set) &&
	    merge_new(&merge) < 0)
		r = CTL_FAILED;
	if (r > 0)
		return r;
	if (!isatty(STDOUT_FILENO) && options->format == FORMAT_SHORT)
		setvbuf(stdout, NULL, _IOLBF, 0);
	r = options_open(options, true, false, &source);
	if (r > 0)
		return r;
	catch_signals();
	r = follow(&lines, source, merge);
	r = lines_close(&lines, source, r);
	return r == CTL_NOTHING && interrupted ? CTL_OK : r;
}
