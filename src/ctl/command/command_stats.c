/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What programs did over a time, by what they have in common. */

#include "ctl/command/commands.h"
#include "ctl/command/group_options.h"
#include "ctl/view/view_groups.h"
#include "ctl/view/view_stats.h"

#define LINES 5

static int read_all(struct options *options, struct event_source *source, struct groups *groups,
		    struct stats_options *stats)
{
	const struct parsed *parsed;
	int r;

	while ((r = source_next(source, &parsed)) > 0) {
		if (!query_pass(options->query, parsed))
			continue;
		if (parsed->event.type == EVENT_LOST)
			stats->lost += parsed->event.lost.count;
		/* Those that were there already: nothing happened. */
		if (parsed->event.snapshot || parsed->event.source == SOURCE_PROC)
			continue;
		if (parsed_has(parsed, KEY_TIME) && parsed->event.type < EVENT_LIVE) {
			if (stats->first_ns == 0)
				stats->first_ns = parsed->event.time;
			stats->last_ns = parsed->event.time;
		}
		r = groups_add(groups, parsed);
		if (r < 0)
			break;
	}
	return r;
}

static void show(const struct terminal *terminal, const struct options *options, struct groups *groups,
		 struct stats_options *stats)
{
	enum group_order order = ORDER_STARTED;
	struct group *const *sorted;
	size_t count;

	if (options->sort)
		group_order_by_name(options->sort, &order);
	sorted = groups_sort(groups, order, &count);
	if (options->lines < count)
		count = (size_t)options->lines;
	if (options->format == FORMAT_JSON) {
		view_groups_json(terminal->out, groups_options(groups), sorted, count);
	} else if (options->format == FORMAT_CSV) {
		view_groups_csv(terminal->out, groups_options(groups), sorted, count);
	} else if (options->by || options->sort) {
		stats->lines = count;
		view_stats_table(terminal, groups, order, stats);
	} else {
		stats->lines = options->lines == UINT64_MAX ? LINES : (size_t)options->lines;
		view_stats_lists(terminal, groups, stats);
	}
}

int command_stats(struct options *options)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	_cleanup_(groups_free_p) struct groups *groups = NULL;
	struct groups_options by = { .numeric = options->view.numeric, .commands = true };
	struct stats_options stats = { .utc = options->view.utc, .legend = options->view.legend };
	struct terminal terminal;
	int r = group_options(&by, options), closed;

	if (r == 0)
		r = options_add_programs(options);
	if (r == 0)
		r = options_open(options, false, false, &source);
	if (r > 0)
		return r;
	r = groups_new(&groups, &by);
	if (r >= 0)
		r = read_all(options, source, groups, &stats);
	if (r < 0)
		return CTL_FAILED;
	terminal_open(&terminal, options->color, !options->no_pager, options->full);
	show(&terminal, options, groups, &stats);
	closed = terminal_close(&terminal);
	if (closed < 0)
		return CTL_FAILED;
	return stats.first_ns > 0 ? CTL_OK : CTL_NOTHING;
}
