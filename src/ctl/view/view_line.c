/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A column is a name, a width and a function that writes its text. The last column takes what is left of the line;
 * where the output has no limit, it is whole. Unless the columns were chosen, they leave room for the last one: in a
 * narrow terminal they are narrower, in still narrower ones some are left out, first the parent. Text that is too long
 * for its column is cut on a terminal only; numbers, times and statuses never are, since what is left would be another
 * one.
 */
#include "ctl/view/view_line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "ctl/event/key_text.h"
#include "ctl/text/event_text.h"
#include "ctl/text/time_spec.h"
#include "util/bytebuf.h"

#define COLUMNS_MAX 32
#define CELL_SIZE 512 /* at least */
#define KEY_WIDTH 12
#define TIME_WIDTH 30 /* 2026-11-29T10:02:11.204000000Z */

/* How the usual columns are laid out; a layout is taken if it leaves so many columns to the command. */
enum layout { LAYOUT_WIDE, LAYOUT_NARROW, LAYOUT_ORPHAN, LAYOUT_SHORT, LAYOUT_SHORTEST, LAYOUT_MAX };
static const size_t command_min[LAYOUT_MAX] = {
	[LAYOUT_WIDE] = 40, [LAYOUT_NARROW] = 20, [LAYOUT_ORPHAN] = 8, [LAYOUT_SHORT] = 8
};

struct view_line;

struct column {
	const char *name, *title;
	unsigned width, narrow;
	bool right;
	void (*write)(const struct view_line *view, struct text *text, const struct parsed *parsed); /* NULL: a key */
	enum key key;
};

struct view_line {
	const struct terminal *terminal;
	const struct view_options *options;
	struct column columns[COLUMNS_MAX];
	size_t count;
	enum layout layout;
	bool headed;
	struct bytebuf buffer;
};

static void write_time(const struct view_line *view, struct text *text, const struct parsed *parsed)
{
	if (!parsed_has(parsed, KEY_TIME))
		return;
	if (view->layout == LAYOUT_WIDE)
		text_time(text, parsed->event.time, view->options->date, view->options->utc);
	else
		text_time_short(text, parsed->event.time, view->options->date, view->options->utc);
}

static void write_user(const struct view_line *view, struct text *text, const struct parsed *parsed)
{
	user_text(text, parsed, view->options->numeric);
}

static void write_parent(const struct view_line *view, struct text *text, const struct parsed *parsed)
{
	parent_text(text, parsed);
}

static void write_status(const struct view_line *view, struct text *text, const struct parsed *parsed)
{
	char status[64];

	parsed_status(parsed, status, sizeof(status));
	if (parsed->event.type == EVENT_STARTED && view->options->started)
		text_string(text, view->options->started);
	else
		text_string(text, status);
}

static void write_took(const struct view_line *view, struct text *text, const struct parsed *parsed)
{
	char span[32];

	if (!parsed_has(parsed, KEY_RUNNING_TIME_NS))
		return;
	time_span_format(span, sizeof(span), parsed->event.end.running_ns);
	text_string(text, span);
}

static void write_cpu(const struct view_line *view, struct text *text, const struct parsed *parsed)
{
	char span[32];

	if (!parsed->event.end.cpu_known)
		return;
	time_span_format(span, sizeof(span), parsed->event.end.cpu_user_ns + parsed->event.end.cpu_system_ns);
	text_string(text, span);
}

static void write_rss(const struct view_line *view, struct text *text, const struct parsed *parsed)
{
	char size[32];

	if (!parsed->event.end.rss_known)
		return;
	size_format(size, sizeof(size), parsed->event.end.max_rss_bytes);
	text_string(text, size);
}

static void write_command(const struct view_line *view, struct text *text, const struct parsed *parsed)
{
	/* Of a search along $PATH the name is what was searched. */
	if (parsed->event.type == EVENT_ERROR && parsed->event.path_tries <= 1)
		text_failed_command(text, &parsed->process);
	else
		text_command(text, &parsed->process);
}

static const struct column known[] = {
	{ "time", "TIME", 12, 8, false, write_time },	   { "user", "USER", 8, 8, false, write_user },
	{ "pid", "PID", 7, 7, true, NULL, KEY_PID },	   { "parent", "PARENT", 18, 12, false, write_parent },
	{ "status", "STATUS", 8, 8, false, write_status }, { "took", "TOOK", 9, 9, true, write_took },
	{ "cpu", "CPU", 9, 9, true, write_cpu },	   { "rss", "RSS", 6, 6, true, write_rss },
	{ "unit", "UNIT", 24, 24, false, NULL, KEY_UNIT }, { "command", "COMMAND", 30, 30, false, write_command },
};

const char *view_line_column(size_t i)
{
	return i < sizeof(known) / sizeof(known[0]) ? known[i].name : NULL;
}

static struct column column_of(enum key key)
{
	unsigned width = parsed_kind(key) == PARSED_TIME ? TIME_WIDTH : KEY_WIDTH, title = strlen(key_name(key));

	if (width < title)
		width = title;
	return (struct column){
		key_name(key), key_name(key), width, width, parsed_kind(key) == PARSED_NUMBER, NULL, key
	};
}

static int add_column(struct view_line *view, struct bytes name, const char **ret_reason)
{
	enum key key;

	for (size_t i = 0; view->count < COLUMNS_MAX && i < sizeof(known) / sizeof(known[0]); i++) {
		if (!bytes_equal(name, bytes_of(known[i].name)))
			continue;
		view->columns[view->count] = known[i];
		if (known[i].write == write_time && view->options->date) {
			view->columns[view->count].width = 23;
			view->columns[view->count].narrow = 14;
		}
		view->count++;
		return 0;
	}
	if (view->count < COLUMNS_MAX && key_by_name(name, &key)) {
		view->columns[view->count++] = column_of(key);
		return 0;
	}
	*ret_reason = view->count == COLUMNS_MAX ? "too many columns" : "no such column";
	return -EINVAL;
}

static int add_columns(struct view_line *view, const char *names, const char **ret_reason)
{
	for (;;) {
		size_t size = strcspn(names, ",");
		int r = add_column(view, (struct bytes){ names, size }, ret_reason);

		if (r < 0 || names[size] == '\0')
			return r;
		names += size + 1;
	}
}

int view_line_new(struct view_line **ret, const struct terminal *terminal, const struct view_options *options,
		  const char **ret_reason)
{
	_cleanup_(view_line_free_p) struct view_line *view = calloc(1, sizeof(*view));
	int r;

	if (!view)
		return -ENOMEM;
	view->terminal = terminal;
	view->options = options;
	view->headed = !options->legend;
	r = add_columns(view, options->columns ? options->columns : "time,user,pid,parent,status,took,command",
			ret_reason);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(view);
	return 0;
}

struct view_line *view_line_free(struct view_line *view)
{
	if (!view)
		return NULL;
	bytebuf_free(&view->buffer);
	free(view);
	return NULL;
}

/* 0: it is left out. */
static size_t width_of(const struct column *column, enum layout layout)
{
	if ((layout >= LAYOUT_ORPHAN && column->write == write_parent) ||
	    (layout >= LAYOUT_SHORT && (column->write == write_user || column->write == write_took)) ||
	    (layout >= LAYOUT_SHORTEST && column->write == write_time))
		return 0;
	return layout == LAYOUT_WIDE ? column->width : column->narrow;
}

/* Of the columns before the last one, with the blanks between them. */
static size_t width_before_last(const struct view_line *view, enum layout layout)
{
	size_t sum = 0;

	for (size_t i = 0; i + 1 < view->count; i++)
		if (width_of(&view->columns[i], layout) > 0)
			sum += width_of(&view->columns[i], layout) + 1;
	return sum;
}

static enum layout choose_layout(const struct view_line *view)
{
	enum layout layout = LAYOUT_WIDE;

	if (view->options->columns || view->terminal->width == 0)
		return LAYOUT_WIDE;
	while (width_before_last(view, layout) + command_min[layout] > view->terminal->width &&
	       layout != LAYOUT_SHORTEST)
		layout++;
	return layout;
}

/* The last column is whole. */
static bool is_unlimited(const struct terminal *terminal)
{
	return terminal->width == 0 || terminal->scrolls;
}

static void put_cell(const struct view_line *view, size_t i, struct text *text, const struct parsed *parsed)
{
	const struct column *column = &view->columns[i];

	if (!parsed)
		text_string(text, column->title);
	else if (column->write)
		column->write(view, text, parsed);
	else
		key_text(text, parsed, column->key, column->name);
}

static bool is_whole(const struct column *column, const struct text *text)
{
	return column->right || column->write == write_status || column->write == write_time ||
	       (!column->write && parsed_kind(column->key) == PARSED_TIME) ||
	       strspn(text->data, "0123456789") == text->used; /* a user without a name */
}

/* Of a parent that is too long the name is cut, so that the pid is whole. */
static void put_parent(const struct view_line *view, size_t width, const struct parsed *parsed)
{
	const struct terminal *terminal = view->terminal;
	char name[CELL_SIZE], pid[16] = "";
	size_t room = width, used;
	struct text text;

	text_begin(&text, name, sizeof(name));
	text_name(&text, parsed->process.parent_comm);
	if (parsed_has(parsed, KEY_PPID))
		room -= (size_t)snprintf(pid, sizeof(pid), "(%" PRIu32 ")", parsed->process.ppid);
	used = width - room;
	if (room > 0)
		used += terminal_put(terminal, name, terminal->width > 0 ? room : 0);
	fputs(pid, terminal->out);
	if (used < width)
		fprintf(terminal->out, "%*s", (int)(width - used), "");
}

/* Any but the last one. parsed NULL: its title. */
static void put_padded(struct view_line *view, size_t i, size_t width, const struct parsed *parsed)
{
	const struct column *column = &view->columns[i];
	struct text text;

	if (parsed && column->write == write_parent) {
		put_parent(view, width, parsed);
		return;
	}
	text_begin(&text, view->buffer.data, view->buffer.capacity);
	put_cell(view, i, &text, parsed);
	if (view->terminal->width == 0 || is_whole(column, &text)) {
		size_t needed = terminal_columns(view->terminal, text.data);

		width = needed > width ? needed : width;
	}
	terminal_cell(view->terminal, text.data, width, column->right);
}

/* parsed NULL: the titles. */
static void put_cells(struct view_line *view, const struct parsed *parsed)
{
	const struct terminal *terminal = view->terminal;
	size_t before = width_before_last(view, view->layout), last = view->count - 1, most = 0;
	struct text text;

	for (size_t i = 0; i < last; i++) {
		size_t width = width_of(&view->columns[i], view->layout);

		if (width == 0)
			continue;
		put_padded(view, i, width, parsed);
		fputc(' ', terminal->out);
	}
	text_begin(&text, view->buffer.data, view->buffer.capacity);
	put_cell(view, last, &text, parsed);
	if (!is_unlimited(terminal))
		most = terminal->width > before ? terminal->width - before : 1;
	terminal_put(terminal, view->buffer.data, most);
}

/* For one cell: as much as the line can show, or all. */
static int need_buffer(struct view_line *view, const struct parsed *parsed)
{
	size_t size = is_unlimited(view->terminal) ? key_text_size_max(parsed) : 4 * (size_t)view->terminal->width + 64;

	return bytebuf_reserve(&view->buffer, size < CELL_SIZE ? CELL_SIZE : size);
}

static enum color color_of(const struct parsed *parsed)
{
	if (parsed->event.type == EVENT_ERROR)
		return COLOR_YELLOW;
	if (parsed_failed(parsed))
		return COLOR_RED;
	return parsed->event.snapshot || parsed->event.source != SOURCE_PROBE ? COLOR_GREY : COLOR_NONE;
}

static void put_lost(const struct view_line *view, const struct parsed *parsed)
{
	const struct event *event = &parsed->event;
	static const char *const places[] = { [LOST_KERNEL] = " in the kernel",
					      [LOST_SUBSCRIBER] = " by this reader",
					      [LOST_JOURNAL] = " by the journal" };
	const char *dash = view->terminal->utf8 ? "──" : "--";

	terminal_color(view->terminal, COLOR_RED);
	fprintf(view->terminal->out, "%s %" PRIu64 " event%s lost%s %s", dash, event->lost.count,
		event->lost.count == 1 ? "" : "s",
		/* A later version may have other places. */
		parsed_has(parsed, KEY_WHERE) ? places[event->lost.where] : "", dash);
	terminal_color(view->terminal, COLOR_NONE);
	fputc('\n', view->terminal->out);
}

/* The terminal may have another width than before. */
static void update_layout(struct view_line *view)
{
	enum layout layout = choose_layout(view);

	if (layout == view->layout)
		return;
	view->layout = layout;
	view->headed = !view->options->legend;
}

void view_line_head(struct view_line *view)
{
	static const struct parsed none;

	update_layout(view);
	if (view->headed || need_buffer(view, &none) < 0)
		return;
	view->headed = true;
	terminal_color(view->terminal, COLOR_BOLD);
	put_cells(view, NULL);
	terminal_color(view->terminal, COLOR_NONE);
	fputc('\n', view->terminal->out);
}

int view_line_event(struct view_line *view, const struct parsed *parsed)
{
	enum color color;
	int r = need_buffer(view, parsed);

	if (r < 0)
		return r;
	view_line_head(view);
	if (parsed->event.type == EVENT_LOST) {
		put_lost(view, parsed);
	} else {
		color = color_of(parsed);
		if (color != COLOR_NONE)
			terminal_color(view->terminal, color);
		put_cells(view, parsed);
		if (color != COLOR_NONE)
			terminal_color(view->terminal, COLOR_NONE);
		fputc('\n', view->terminal->out);
	}
	return ferror(view->terminal->out) ? -EIO : 0;
}
