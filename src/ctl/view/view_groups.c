/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/view/view_groups.h"

#include <inttypes.h>

#include "ctl/text/time_spec.h"
#include "util/quote.h"

#define NAMES_WIDTH_MIN 20
#define OTHER "(other)"

static const struct {
	const char *title;
	unsigned width;
	unsigned rank; /* where the line is too narrow, the highest go first; 0: always there */
} columns[GROUP_COLS] = {
	[GROUP_COL_STARTED] = { "STARTED", 9, 0 },
	[GROUP_COL_START_RATE] = { "START/s", 8, 0 },
	[GROUP_COL_RUNNING] = { "RUNNING", 7, 4 },
	[GROUP_COL_FAILED] = { "FAILED", 7, 2 },
	[GROUP_COL_ERRORS] = { "NO EXEC", 7, 3 },
	[GROUP_COL_FAIL_RATE] = { "FAIL/s", 7, 1 },
	[GROUP_COL_SEARCHED] = { "PATH", 7, 9 },
	[GROUP_COL_CPU] = { "CPU", 9, 0 },
	[GROUP_COL_CPU_SHARE] = { "CPU%", 6, 0 },
	[GROUP_COL_SHORT] = { "SHORT%", 6, 5 },
	[GROUP_COL_MEAN] = { "MEAN", 9, 6 },
	[GROUP_COL_LONGEST] = { "LONGEST", 9, 7 },
	[GROUP_COL_RSS] = { "MEMORY", 6, 8 },
	[GROUP_COL_READ] = { "READ", 6, 11 },
	[GROUP_COL_WRITE] = { "WRITTEN", 7, 10 },
	[GROUP_COL_NAMES] = { "", 0, 0 },
	[GROUP_COL_LONGEST_COMMAND] = { "COMMAND", 0, 0 },
	[GROUP_COL_LARGEST_COMMAND] = { "COMMAND", 0, 0 },
};

static const unsigned key_widths[GROUP_KEYS] = {
	[GROUP_EXE] = 24,	[GROUP_UNIT] = 24,    [GROUP_USER] = 8,	    [GROUP_SPAWNER] = 20,
	[GROUP_CONTAINER] = 12, [GROUP_ARGS] = 40,    [GROUP_COMM] = 15,    [GROUP_STATUS] = 8,
	[GROUP_HOST] = 12,	[GROUP_PROGRAM] = 24, [GROUP_COMMAND] = 40,
};

/* One decimal where it matters. */
static void write_rate(struct text *text, double value)
{
	text_printf(text, value < 99.95 ? "%.1f" : "%.0f", value);
}

static double a_second(const struct group_table *table, uint64_t count)
{
	return table->interval_ns > 0 ? (double)count * 1e9 / (double)table->interval_ns : 0;
}

static void write_span(struct text *text, uint64_t ns)
{
	char span[32];

	time_span_format(span, sizeof(span), ns);
	text_string(text, span);
}

static void write_size(struct text *text, uint64_t bytes)
{
	char size[32];

	size_format(size, sizeof(size), bytes);
	text_string(text, size);
}

/* What only an ended process has. */
static void write_of_ended(struct text *text, enum group_column column, const struct group_table *table,
			   const struct sums *sums)
{
	switch (column) {
	case GROUP_COL_CPU:
		write_span(text, sums->cpu_ns);
		break;
	case GROUP_COL_CPU_SHARE:
		write_rate(text, table->interval_ns ? 100.0 * (double)sums->cpu_ns / (double)table->interval_ns : 0);
		break;
	case GROUP_COL_SHORT:
		text_printf(text, "%.0f", 100.0 * (double)sums->below_1s / (double)sums->ended);
		break;
	case GROUP_COL_MEAN:
		write_span(text, sums->running_ns / sums->ended);
		break;
	case GROUP_COL_LONGEST:
		write_span(text, sums->longest_ns);
		break;
	case GROUP_COL_RSS:
		write_size(text, sums->rss);
		break;
	case GROUP_COL_READ:
		write_size(text, sums->read_bytes);
		break;
	default:
		write_size(text, sums->write_bytes);
	}
}

static void write_cell(struct text *text, enum group_column column, const struct group_table *table,
		       const struct group *group)
{
	const struct sums *sums = &group->sums;

	switch (column) {
	case GROUP_COL_STARTED:
		text_number(text, sums->started);
		break;
	case GROUP_COL_START_RATE:
		write_rate(text, a_second(table, sums->started));
		break;
	case GROUP_COL_RUNNING:
		text_number(text, group->running);
		break;
	case GROUP_COL_FAILED:
		text_number(text, sums->failed);
		break;
	case GROUP_COL_ERRORS:
		text_number(text, sums->errors);
		break;
	case GROUP_COL_FAIL_RATE:
		write_rate(text, a_second(table, sums->failed + sums->errors));
		break;
	case GROUP_COL_SEARCHED:
		text_number(text, sums->searched);
		break;
	case GROUP_COL_LONGEST_COMMAND:
		text_string(text, group->longest ? group->longest : "-");
		break;
	case GROUP_COL_LARGEST_COMMAND:
		text_string(text, group->largest ? group->largest : "-");
		break;
	default:
		if (sums->ended > 0)
			write_of_ended(text, column, table, sums);
		else
			text_string(text, "-");
	}
}

/* Of the names before the last one. */
static unsigned names_width(const struct groups_options *keys)
{
	unsigned sum = 0;

	for (size_t i = 0; i + 1 < keys->key_count; i++)
		sum += key_widths[keys->keys[i]] + 1;
	return sum;
}

/* The highest rank that is shown, and the width of all before the last name or command. */
static unsigned fit(const struct terminal *terminal, const struct group_table *table, const struct groups_options *keys,
		    unsigned *ret_width)
{
	bool has_names = table->columns[table->count - 1] == GROUP_COL_NAMES;

	for (unsigned rank = 11;; rank--) {
		unsigned width = has_names ? names_width(keys) : 0;

		for (size_t i = 0; i + 1 < table->count; i++)
			if (columns[table->columns[i]].rank <= rank)
				width += columns[table->columns[i]].width + 1;
		*ret_width = width;
		if (rank == 0 || terminal->width == 0 || width + NAMES_WIDTH_MIN <= terminal->width)
			return rank;
	}
}

static void put_last(const struct terminal *terminal, const char *text, unsigned width)
{
	terminal_put(terminal, text, terminal->width == 0 ? 0 : terminal->width > width ? terminal->width - width : 1);
	fputc('\n', terminal->out);
}

static const char *name_of(const struct group *group, size_t key, size_t key_count)
{
	if (!group->names[0])
		return key + 1 == key_count ? OTHER : "";
	return group->names[key];
}

/* group NULL: the heading. */
static void put_names(const struct terminal *terminal, const struct groups_options *keys, const struct group *group,
		      unsigned width)
{
	char title[32];

	for (size_t i = 0; i < keys->key_count; i++) {
		const char *name = title;

		snprintf(title, sizeof(title), "%s", group_key_name(keys->keys[i]));
		for (char *c = title; *c; c++)
			*c = ascii_upper(*c);
		if (group)
			name = name_of(group, i, keys->key_count);
		if (i + 1 == keys->key_count) {
			put_last(terminal, name, width);
			return;
		}
		terminal_cell(terminal, name, key_widths[keys->keys[i]], false);
		fputc(' ', terminal->out);
	}
}

static void put_line(const struct terminal *terminal, const struct group_table *table,
		     const struct groups_options *keys, const struct group *group)
{
	enum group_column last = table->columns[table->count - 1];
	unsigned width, rank = fit(terminal, table, keys, &width);
	char cell[512];
	struct text text;

	for (size_t i = 0; i + 1 < table->count; i++) {
		enum group_column column = table->columns[i];

		if (columns[column].rank > rank)
			continue;
		text_begin(&text, cell, sizeof(cell));
		if (group)
			write_cell(&text, column, table, group);
		terminal_cell(terminal, group ? cell : columns[column].title, columns[column].width, true);
		fputc(' ', terminal->out);
	}
	if (last == GROUP_COL_NAMES) {
		put_names(terminal, keys, group, width);
		return;
	}
	text_begin(&text, cell, sizeof(cell));
	if (group)
		write_cell(&text, last, table, group);
	put_last(terminal, group ? cell : columns[last].title, width);
}

void view_groups(const struct terminal *terminal, const struct group_table *table, const struct groups_options *keys,
		 struct group *const *groups, size_t count)
{
	if (table->legend) {
		terminal_color(terminal, COLOR_BOLD);
		put_line(terminal, table, keys, NULL);
		terminal_color(terminal, COLOR_NONE);
	}
	for (size_t i = 0; i < count; i++)
		put_line(terminal, table, keys, groups[i]);
}

/* The sums, for programs. */
static const struct {
	const char *name;
	size_t offset;
} fields[] = {
	{ "started", offsetof(struct sums, started) },
	{ "ended", offsetof(struct sums, ended) },
	{ "failed", offsetof(struct sums, failed) },
	{ "errors", offsetof(struct sums, errors) },
	{ "searched", offsetof(struct sums, searched) },
	{ "below_100ms", offsetof(struct sums, below_100ms) },
	{ "below_1s", offsetof(struct sums, below_1s) },
	{ "cpu_ns", offsetof(struct sums, cpu_ns) },
	{ "below_1s_cpu_ns", offsetof(struct sums, below_1s_cpu_ns) },
	{ "running_time_ns", offsetof(struct sums, running_ns) },
	{ "longest_ns", offsetof(struct sums, longest_ns) },
	{ "max_rss_bytes", offsetof(struct sums, rss) },
	{ "read_bytes", offsetof(struct sums, read_bytes) },
	{ "write_bytes", offsetof(struct sums, write_bytes) },
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static uint64_t field(const struct group *group, size_t i)
{
	uint64_t value;

	memcpy(&value, (const char *)&group->sums + fields[i].offset, sizeof(value));
	return value;
}

/* Safe text has no control characters. */
static void put_quoted(FILE *out, const char *text, char escape)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || (*text == '\\' && escape == '\\'))
			fputc(escape, out);
		fputc(*text, out);
	}
	fputc('"', out);
}

void view_groups_json(FILE *out, const struct groups_options *keys, struct group *const *groups, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		fputc('{', out);
		for (size_t key = 0; key < keys->key_count; key++) {
			fprintf(out, "\"%s\":", group_key_name(keys->keys[key]));
			put_quoted(out, name_of(groups[i], key, keys->key_count), '\\');
			fputc(',', out);
		}
		for (size_t at = 0; at < FIELDS; at++)
			fprintf(out, "\"%s\":%" PRIu64 "%s", fields[at].name, field(groups[i], at),
				at + 1 < FIELDS ? "," : "}\n");
	}
}

void view_groups_csv(FILE *out, const struct groups_options *keys, struct group *const *groups, size_t count)
{
	for (size_t key = 0; key < keys->key_count; key++)
		fprintf(out, "%s,", group_key_name(keys->keys[key]));
	for (size_t at = 0; at < FIELDS; at++)
		fprintf(out, "%s%s", fields[at].name, at + 1 < FIELDS ? "," : "\n");
	for (size_t i = 0; i < count; i++) {
		for (size_t key = 0; key < keys->key_count; key++) {
			put_quoted(out, name_of(groups[i], key, keys->key_count), '"');
			fputc(',', out);
		}
		for (size_t at = 0; at < FIELDS; at++)
			fprintf(out, "%" PRIu64 "%s", field(groups[i], at), at + 1 < FIELDS ? "," : "\n");
	}
}
