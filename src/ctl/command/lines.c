/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/command/lines.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "util/quote.h"

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

int lines_print(struct lines *lines, const struct parsed *parsed)
{
	int r;

	terminal_resize(&lines->terminal);
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
	default:
		r = view_line_event(lines->view, parsed);
	}
	lines->shown += parsed->event.type != EVENT_LOST;
	return r;
}

int lines_open(struct lines *lines, struct options *options, bool pager)
{
	const char *reason = "out of memory";
	int r;

	*lines = (struct lines){ .options = options };
	terminal_open(&lines->terminal, options->color, pager && !options->no_pager, options->full);
	r = view_line_new(&lines->view, &lines->terminal, &options->view, &reason);
	if (r < 0) {
		fprintf(stderr, "execsnoopctl: --columns: %s\n", reason);
		return CTL_USAGE;
	}
	if (view_json_new(&lines->json, &lines->terminal) < 0)
		return CTL_FAILED;
	return 0;
}

int lines_close(struct lines *lines, const struct event_source *source, int r)
{
	int closed = terminal_close(&lines->terminal);

	view_line_free(lines->view);
	view_json_free(lines->json);
	if (r == -EINTR || r == -EIO)
		r = 0;
	if (closed < 0)
		fprintf(stderr, "execsnoopctl: standard output: %s\n", strerror(-closed));
	if (r == -EPROTO)
		return CTL_USAGE;
	if (r < 0 || closed < 0)
		return CTL_FAILED;
	if (source && source->bad > 0)
		return CTL_DATA;
	return lines->shown > 0 ? CTL_OK : CTL_NOTHING;
}

bool report_rejected(const struct parsed *parsed)
{
	char reason[256];
	struct text text;

	if (!bytes_equal(parsed->type, BYTES("rejected")))
		return false;
	text_begin(&text, reason, sizeof(reason));
	text_name(&text, parsed->reason);
	fprintf(stderr, "execsnoopctl: the daemon rejects the request: %s\n", reason);
	return true;
}
