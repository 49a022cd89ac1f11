/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/command/lines.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "output/journal_entry.h"
#include "util/quote.h"

#define MESSAGE_SIZE 2048 /* as the daemon writes it */

volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	interrupted = number;
}

void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
}

/* journalctl(1) leaves these signals as they are, so a shell sees that one ended it. */
void die_of_signal(void)
{
	if (!interrupted)
		return;
	signal(interrupted, SIG_DFL);
	raise(interrupted);
}

/* What MESSAGE of a journal entry would be. */
static int print_message(const struct terminal *terminal, const struct parsed *parsed)
{
	char message[MESSAGE_SIZE];

	if (parsed->event.type >= EVENT_LIVE)
		return 0;
	journal_message(message, sizeof(message), &parsed->event);
	terminal_put(terminal, message, 0);
	fputc('\n', terminal->out);
	return ferror(terminal->out) ? -EIO : 0;
}

bool lines_pass_unknown(const struct options *options)
{
	bool is_json = options->format == FORMAT_JSON || options->format == FORMAT_JSON_PRETTY ||
		       options->format == FORMAT_VERBOSE;

	return is_json && query_takes_all(options->query) && options->since == 0 && options->until == 0;
}

void lines_head(struct lines *lines)
{
	if (lines->options->format == FORMAT_SHORT)
		view_line_head(lines->view);
	else if (lines->csv && lines->options->view.legend && !lines->headed)
		event_csv_head(lines->csv);
	lines->headed = true;
}

int lines_print(struct lines *lines, const struct parsed *parsed)
{
	int r;

	terminal_resize(&lines->terminal);
	lines_head(lines);
	switch (lines->options->format) {
	case FORMAT_JSON:
		r = view_json_event(lines->json, parsed);
		break;
	case FORMAT_JSON_PRETTY:
	case FORMAT_VERBOSE:
		r = view_json_pretty(lines->json, parsed);
		break;
	case FORMAT_SH:
		r = view_sh_event(lines->json, parsed);
		break;
	case FORMAT_CAT:
		r = print_message(&lines->terminal, parsed);
		break;
	case FORMAT_CSV:
		r = event_csv_event(lines->csv, parsed);
		break;
	default:
		r = view_line_event(lines->view, parsed);
	}
	lines->printed++;
	lines->shown += parsed->event.type != EVENT_LOST;
	return r;
}

/* An exit status, or 0. */
static int open_columns(struct lines *lines)
{
	const struct view_options *view = &lines->options->view;
	bool csv = lines->options->format == FORMAT_CSV;
	const char *reason = "out of memory";
	int r;

	if (csv)
		r = event_csv_new(&lines->csv, &lines->terminal.out, view->columns, view->numeric, &reason);
	else
		r = view_line_new(&lines->view, &lines->terminal, view, &reason);
	if (r < 0) {
		fprintf(stderr, "execsnoopctl: --columns: %s, see execsnoopctl(1) and execsnoopd-events(7)\n", reason);
		return CTL_USAGE;
	}
	return 0;
}

int lines_open(struct lines *lines, struct options *options, bool pager)
{
	int r;

	*lines = (struct lines){ .options = options };
	terminal_open(&lines->terminal, options->color, pager && !options->no_pager, options->full);
	r = open_columns(lines);
	if (r > 0)
		return r;
	if (view_json_new(&lines->json, &lines->terminal) < 0)
		return CTL_FAILED;
	return 0;
}

int lines_close(struct lines *lines, int r)
{
	int closed = terminal_close(&lines->terminal);

	view_line_free(lines->view);
	view_json_free(lines->json);
	event_csv_free(lines->csv);
	if (r == -EINTR || r == -EIO)
		r = 0;
	if (r == -EPROTO)
		return CTL_USAGE;
	if (r < 0 || closed < 0)
		return CTL_FAILED;
	return lines->shown > 0 ? CTL_OK : CTL_NOTHING;
}
