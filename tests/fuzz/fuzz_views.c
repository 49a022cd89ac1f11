/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines of JSON through the reader's parser and each of its views, in three widths and two locales: whatever an event
 * holds, what is printed is valid UTF-8 in which nothing acts on a terminal, and a line is no wider than the terminal.
 */
#include <locale.h>
#include <stdint.h>
#include <string.h>

#include "ctl/collect/groups.h"
#include "ctl/collect/history.h"
#include "ctl/event/event_parser.h"
#include "ctl/export/export.h"
#include "ctl/view/view_diff.h"
#include "ctl/export/event_csv.h"
#include "ctl/view/view_json.h"
#include "ctl/view/view_line.h"
#include "ctl/view/view_stats.h"
#include "ctl/view/view_status.h"
#include "ctl/view/view_top.h"
#include "ctl/view/view_tree.h"
#include "ctl/view/view_verify.h"
#include "util/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))

/* Eight bytes of 0x20 to 0x7e: adding 1 to 0x7f, or taking 0x20 from less, changes the highest bit. */
static bool is_printable(const char *text)
{
	uint64_t word;

	memcpy(&word, text, sizeof(word));
	return ((word | (word + EACH_BYTE(1)) | (word - EACH_BYTE(0x20))) & EACH_BYTE(0x80)) == 0;
}

/* A page of HTML is mostly its constant text. */
static void check_safe(const char *text, size_t size)
{
	ASSERT(utf8_valid(text, size) == size);
	for (size_t i = 0; i < size; i++) {
		unsigned char c;

		while (size - i > sizeof(uint64_t) && is_printable(text + i))
			i += sizeof(uint64_t);
		c = (unsigned char)text[i];
		if (c >= 0x20 && c < 0x7f)
			continue;
		ASSERT(c == '\n' || c >= 0x80);
		ASSERT(c < 0x80 || (c & 0xc0) == 0x80 || utf8_acts(text + i, size - i) == 0);
	}
}

/* A view's output, checked. */
struct output {
	struct terminal terminal;
	char *data;
	size_t size;
};

/* libsmartcols reads text by the locale, as terminal_open() sets it. */
__attribute__((constructor)) static void set_locale(void)
{
	ASSERT(setlocale(LC_CTYPE, "C.UTF-8"));
}

static void output_open(struct output *output, unsigned width, bool utf8)
{
	*output = (struct output){ .terminal = { .width = width, .utf8 = utf8, .is_terminal = true } };
	output->terminal.out = open_memstream(&output->data, &output->size);
	ASSERT(output->terminal.out);
}

static void output_close(struct output *output, bool fits)
{
	char *line, *newline;

	ASSERT(fclose(output->terminal.out) == 0);
	check_safe(output->data, output->size);
	for (line = output->data; fits && (newline = strchr(line, '\n')); line = newline + 1) {
		*newline = '\0';
		ASSERT(terminal_columns(&output->terminal, line) <= output->terminal.width);
	}
	free(output->data);
}

static void check_lines(const struct parsed *parsed, unsigned width, bool utf8, const char *columns)
{
	const struct view_options options = { .utc = true, .numeric = true, .legend = true, .columns = columns };
	_cleanup_(view_line_free_p) struct view_line *view = NULL;
	struct output output;
	const char *reason;

	output_open(&output, width, utf8);
	ASSERT(view_line_new(&view, &output.terminal, &options, &reason) == 0);
	ASSERT(view_line_event(view, parsed) == 0);
	output_close(&output, parsed->event.type != EVENT_LOST && width >= 120);
}

static void check_json(const struct parsed *parsed)
{
	_cleanup_(view_json_free_p) struct view_json *view = NULL;
	struct output output;

	output_open(&output, 80, true);
	ASSERT(view_json_new(&view, &output.terminal) == 0);
	ASSERT(view_json_event(view, parsed) == 0);
	ASSERT(view_json_pretty(view, parsed) == 0);
	ASSERT(view_sh_event(view, parsed) == 0);
	output_close(&output, false);
}

static void check_csv(const struct parsed *parsed)
{
	_cleanup_(event_csv_free_p) struct event_csv *csv = NULL;
	struct output output;
	const char *reason;

	output_open(&output, 80, true);
	ASSERT(event_csv_new(
		       &csv, &output.terminal.out,
		       "type,id,tty,source,host,user,parent,status,cpu,command,args,env,ancestors,filename,cgroup,"
		       "parent_args,error,exit_signal,time",
		       true, &reason) == 0);
	event_csv_head(csv);
	ASSERT(event_csv_event(csv, parsed) == 0);
	output_close(&output, false);
}

static void check_tree(const struct history *history, unsigned width, bool fold)
{
	const struct tree_options options = { .numeric = true, .legend = true, .fold = fold };
	struct output output;

	output_open(&output, width, true);
	ASSERT(view_tree(&output.terminal, history, &options) >= 0);
	output_close(&output, false);
}

/* Whatever the daemon answers. */
static void check_status(const struct parsed *parsed)
{
	struct output output;

	output_open(&output, 80, true);
	ASSERT(view_status(&output.terminal, parsed->line, true) == 0);
	output_close(&output, false);
}

static void check_verify(struct verify *verify)
{
	struct output output;

	output_open(&output, 80, true);
	ASSERT(verify_end(verify) == 0);
	for (const struct verify_stream *stream = verify_first(verify); stream; stream = STAILQ_NEXT(stream, next))
		view_verify(&output.terminal, true, stream);
	output_close(&output, false);
}

/* Alike, they do not differ. */
static void check_diff(struct groups *groups, struct groups *odd, unsigned width)
{
	const struct diff_options options = { .names = { "a", "b" }, .lines = SIZE_MAX, .legend = true };
	_cleanup_(groups_free_p) struct groups *copy = NULL;
	struct output output;

	output_open(&output, width, true);
	ASSERT(groups_copy(groups, &copy) == 0);
	ASSERT(view_diff(&output.terminal, groups, copy, &options) == 0);
	ASSERT(view_diff(&output.terminal, groups, odd, &options) >= 0);
	output_close(&output, width >= 80);
}

static void check_stats(struct groups *groups, unsigned width)
{
	const struct stats_options options = { .lines = 100, .utc = true, .legend = true };
	const struct top_view top = { .interval_ns = 1000000000, .filter = "a", .lines = 24, .legend = true };
	struct output output;

	output_open(&output, width, true);
	view_top(&output.terminal, groups, &top);
	view_stats_lists(&output.terminal, groups, &options);
	view_stats_table(&output.terminal, groups, ORDER_CPU, &options);
	output_close(&output, width >= 80);
}

static void check_export(struct recording *recording, const char *name, enum weight weight)
{
	const struct export_options options = { .weight = weight, .utc = true };
	struct output output;

	output_open(&output, 0, true);
	ASSERT(export_find(name)(output.terminal.out, recording, &options) == 0);
	output_close(&output, false);
}

static void check_exports(struct recording *recording)
{
	recording_close(recording);
	for (size_t i = 0; export_name(i); i++)
		check_export(recording, export_name(i), WEIGHT_CPU);
	check_export(recording, "folded", WEIGHT_WALL);
	check_export(recording, "folded", WEIGHT_COUNT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct groups_options by = {
		.keys = { GROUP_ARGS, GROUP_UNIT }, .key_count = 2, .max = 16, .numeric = true, .commands = true
	};
	static const struct groups_options masked = { .keys = { GROUP_PROGRAM, GROUP_COMMAND }, .key_count = 2 };
	_cleanup_(groups_free_p) struct groups *groups = NULL, *even = NULL, *odd = NULL;
	unsigned count = 0;
	_cleanup_(event_parser_free_p) struct event_parser *parser = NULL;
	_cleanup_(history_free_p) struct history *history = NULL;
	_cleanup_(verify_free_p) struct verify *verify = NULL;
	_cleanup_(recording_free_p) struct recording *recording = NULL;
	const char *at = (const char *)data, *end = at + size, *reason;
	struct parsed parsed;

	ASSERT(event_parser_new(&parser) == 0);
	ASSERT(history_new(&history, true) == 0);
	ASSERT(recording_new(&recording) == 0);
	ASSERT(verify_new(&verify) == 0);
	ASSERT(groups_new(&groups, &by) == 0 && groups_new(&even, &masked) == 0 && groups_new(&odd, &masked) == 0);
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		struct bytes line = { at, (size_t)((newline ? newline : end) - at) };

		at += line.size + (newline != NULL);
		if (event_parser_line(parser, line, &parsed, &reason) < 0)
			continue;
		check_json(&parsed);
		check_csv(&parsed);
		if (bytes_equal(parsed.type, BYTES("stats")))
			check_status(&parsed);
		if (parsed.event.type == EVENT_TYPE_MAX)
			continue;
		check_lines(&parsed, 1, true, NULL);
		check_lines(&parsed, 120, true, NULL);
		check_lines(&parsed, 160, false, "pid,comm,args");
		check_lines(&parsed, 0, true, "id,tty,env,cgroup,exe,command");
		ASSERT(history_add(history, &parsed) == 0);
		ASSERT(verify_add(verify, &parsed) == 0);
		ASSERT(recording_add(recording, &parsed) == 0);
		ASSERT(groups_add(groups, &parsed) == 0);
		ASSERT(groups_add(count++ % 2 == 0 ? even : odd, &parsed) == 0);
	}
	history_mark_shown(history, false);
	ASSERT(history_set_shapes(history) == 0);
	check_tree(history, 0, false);
	check_stats(groups, 0);
	check_diff(even, odd, 80);
	check_stats(groups, 80);
	check_tree(history, 80, true);
	check_verify(verify);
	check_exports(recording);
	return 0;
}
