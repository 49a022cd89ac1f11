/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/view/view_top.h"

#include "ctl/text/time_spec.h"
#include "ctl/view/view_groups.h"
#include "ctl/view/view_stats.h"
#include "util/quote.h"

#define HEAD_LINES 3 /* with the table's */

static void put_count(struct text *text, uint64_t count, const char *what)
{
	char number[32];

	count_format(number, sizeof(number), count);
	text_printf(text, "%s %s", number, what);
}

static double percent(uint64_t part, double whole)
{
	return whole > 0 ? 100.0 * (double)part / whole : 0;
}

static void put_line(const struct terminal *terminal, const struct text *text)
{
	terminal_put(terminal, text->data, terminal->width);
	fputc('\n', terminal->out);
}

static void put_head(const struct terminal *terminal, const struct groups *groups, const struct top_view *view)
{
	const struct sums *sums = groups_total(groups);
	char line[512], span[32];
	struct text text;

	time_span_format(span, sizeof(span), view->interval_ns);
	text_begin(&text, line, sizeof(line));
	put_count(&text, sums->started, "programs started in ");
	text_printf(&text, "%s; %.0f%% lived < 100 ms; those < 1 s used %.1f%% of ", span,
		    percent(sums->below_100ms, (double)sums->ended),
		    percent(sums->below_1s_cpu_ns, (double)view->interval_ns * (view->cpus > 0 ? view->cpus : 1)));
	if (view->cpus > 0)
		text_printf(&text, "%u CPUs", view->cpus);
	else
		text_string(&text, "a CPU");
	put_line(terminal, &text);
	text_begin(&text, line, sizeof(line));
	put_count(&text, groups_running(groups), "running, ");
	put_count(&text, sums->ended, "ended, ");
	put_count(&text, sums->failed, "of them in failure, ");
	put_count(&text, sums->errors, "could not be executed");
	if (view->lost > 0) {
		text_string(&text, ", ");
		put_count(&text, view->lost, "events LOST");
	}
	if (view->note)
		text_printf(&text, "  %s", view->note);
	put_line(terminal, &text);
}

static bool matches(const struct group *group, const char *filter)
{
	for (size_t i = 0; i < GROUP_KEYS_MAX && group->names[i]; i++)
		if (strstr(group->names[i], filter))
			return true;
	return *filter == '\0';
}

void view_top(const struct terminal *terminal, struct groups *groups, const struct top_view *view)
{
	static const enum group_column usual[] = {
		GROUP_COL_START_RATE, GROUP_COL_RUNNING, GROUP_COL_FAIL_RATE, GROUP_COL_CPU_SHARE, GROUP_COL_SHORT,
		GROUP_COL_MEAN,	      GROUP_COL_LONGEST, GROUP_COL_RSS,	      GROUP_COL_NAMES,
	};
	static const enum group_column io[] = {
		GROUP_COL_START_RATE, GROUP_COL_RUNNING, GROUP_COL_FAIL_RATE, GROUP_COL_CPU_SHARE, GROUP_COL_SHORT,
		GROUP_COL_READ,	      GROUP_COL_WRITE,	 GROUP_COL_RSS,	      GROUP_COL_NAMES,
	};
	_Static_assert(sizeof(usual) == sizeof(io), "one count");
	struct group_table table = { .columns = view->order == ORDER_IO ? io : usual,
				     .count = sizeof(usual) / sizeof(usual[0]),
				     .interval_ns = view->interval_ns,
				     .legend = view->legend };
	size_t count, shown = 0;
	struct group *const *sorted = groups_sort(groups, view->order, &count);

	put_head(terminal, groups, view);
	view_groups(terminal, &table, groups_options(groups), NULL, 0);
	table.legend = false;
	for (size_t i = 0; i < count && (view->lines == 0 || shown + HEAD_LINES < view->lines); i++) {
		if (!matches(sorted[i], view->filter))
			continue;
		view_groups(terminal, &table, groups_options(groups), &sorted[i], 1);
		shown++;
	}
}
