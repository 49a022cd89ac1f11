/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/view/view_stats.h"

#include <inttypes.h>

#include "ctl/text/event_text.h"
#include "ctl/text/time_spec.h"
#include "ctl/view/view_groups.h"
#include "util/quote.h"

void count_format(char *ret, size_t size, uint64_t count)
{
	char digits[32];
	size_t n = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, count), used = 0;

	for (size_t i = 0; i < n && used + 2 < size; i++) {
		if (i > 0 && (n - i) % 3 == 0)
			ret[used++] = ',';
		ret[used++] = digits[i];
	}
	ret[used] = '\0';
}

static void put_count(struct text *text, uint64_t count, const char *what)
{
	char number[32];

	count_format(number, sizeof(number), count);
	text_printf(text, "%s %s", number, what);
}

static unsigned percent(uint64_t part, uint64_t whole)
{
	return whole > 0 ? (unsigned)((double)part * 100 / (double)whole + 0.5) : 0;
}

static void put_text(const struct terminal *terminal, const struct text *text)
{
	terminal_put(terminal, text->data, terminal->width);
	fputc('\n', terminal->out);
}

static void put_head(const struct terminal *terminal, const struct sums *sums, const struct stats_options *options)
{
	char line[256], span[32];
	struct text text;

	text_begin(&text, line, sizeof(line));
	if (options->first_ns > 0) {
		text_time(&text, options->first_ns, true, options->utc);
		text_string(&text, " to ");
		text_time(&text, options->last_ns, true, options->utc);
		put_text(terminal, &text);
		text_begin(&text, line, sizeof(line));
	}
	put_count(&text, sums->started, "programs started, ");
	put_count(&text, sums->ended, "ended, ");
	put_count(&text, sums->failed, "of them in failure; ");
	put_count(&text, sums->errors, "could not be executed");
	put_text(terminal, &text);
	text_begin(&text, line, sizeof(line));
	time_span_format(span, sizeof(span), sums->cpu_ns);
	text_printf(&text, "%u%% lived less than a second; they used %u%% of %s of CPU time",
		    percent(sums->below_1s, sums->ended), percent(sums->below_1s_cpu_ns, sums->cpu_ns), span);
	put_text(terminal, &text);
	if (sums->searched > 0) {
		text_begin(&text, line, sizeof(line));
		put_count(&text, sums->searched, "more failed execs were steps of a search along $PATH");
		put_text(terminal, &text);
	}
	if (options->lost > 0) {
		text_begin(&text, line, sizeof(line));
		put_count(&text, options->lost, "events were lost");
		terminal_color(terminal, COLOR_RED);
		terminal_put(terminal, line, terminal->width);
		terminal_color(terminal, COLOR_NONE);
		fputc('\n', terminal->out);
	}
}

static const struct list {
	const char *title;
	enum group_order order;
	enum group_column columns[3];
} lists[] = {
	{ "Most started", ORDER_STARTED, { GROUP_COL_STARTED, GROUP_COL_MEAN, GROUP_COL_NAMES } },
	{ "Most CPU time", ORDER_CPU, { GROUP_COL_CPU, GROUP_COL_STARTED, GROUP_COL_NAMES } },
	{ "Most failed", ORDER_FAILED, { GROUP_COL_FAILED, GROUP_COL_ERRORS, GROUP_COL_NAMES } },
	{ "Longest", ORDER_LONGEST, { GROUP_COL_LONGEST, GROUP_COL_CPU, GROUP_COL_LONGEST_COMMAND } },
	{ "Largest", ORDER_RSS, { GROUP_COL_RSS, GROUP_COL_CPU, GROUP_COL_LARGEST_COMMAND } },
};

/* Those that have what the list is about. */
static bool counts(const struct group *group, enum group_order order)
{
	const struct sums *sums = &group->sums;

	switch (order) {
	case ORDER_STARTED:
		return sums->started > 0;
	case ORDER_CPU:
		return sums->cpu_ns > 0;
	case ORDER_FAILED:
		return sums->failed + sums->errors > 0;
	case ORDER_LONGEST:
		return sums->longest_ns > 0;
	default:
		return sums->rss > 0;
	}
}

void view_stats_lists(const struct terminal *terminal, struct groups *groups, const struct stats_options *options)
{
	put_head(terminal, groups_total(groups), options);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		const struct list *list = &lists[i];
		const struct group_table table = { .columns = list->columns, .count = 3, .legend = options->legend };
		size_t count, shown = 0;
		struct group *const *sorted = groups_sort(groups, list->order, &count);

		while (shown < count && shown < options->lines && counts(sorted[shown], list->order))
			shown++;
		if (shown == 0)
			continue;
		fputc('\n', terminal->out);
		terminal_color(terminal, COLOR_BOLD);
		fputs(list->title, terminal->out);
		terminal_color(terminal, COLOR_NONE);
		fputc('\n', terminal->out);
		view_groups(terminal, &table, groups_options(groups), sorted, shown);
	}
}

void view_stats_table(const struct terminal *terminal, struct groups *groups, enum group_order order,
		      const struct stats_options *options)
{
	static const enum group_column columns[] = {
		GROUP_COL_STARTED, GROUP_COL_FAILED, GROUP_COL_ERRORS, GROUP_COL_SEARCHED,
		GROUP_COL_CPU,	   GROUP_COL_SHORT,  GROUP_COL_MEAN,   GROUP_COL_LONGEST,
		GROUP_COL_RSS,	   GROUP_COL_WRITE,  GROUP_COL_NAMES,
	};
	const struct group_table table = { .columns = columns,
					   .count = sizeof(columns) / sizeof(columns[0]),
					   .legend = options->legend };
	size_t count;
	struct group *const *sorted = groups_sort(groups, order, &count);

	view_groups(terminal, &table, groups_options(groups), sorted, count < options->lines ? count : options->lines);
}
