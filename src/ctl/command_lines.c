/* SPDX-License-Identifier: GPL-2.0-or-later */
/* watch, log and cat: event after event, in a format. */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "ctl/commands.h"
#include "ctl/event_parser.h"
#include "ctl/history.h"
#include "ctl/merge.h"
#include "ctl/view_json.h"
#include "util/quote.h"

struct lines {
	struct options *options;
	struct terminal terminal;
	struct view_line *view;
	struct view_json *json;
	uint64_t shown;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
	interrupted = 1;
}

/* Calls that wait return EINTR. */
static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
}

static int print(struct lines *lines, const struct parsed *parsed)
{
	int r;

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

static int lines_open(struct lines *lines, struct options *options, bool pager)
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

static int lines_close(struct lines *lines, const struct event_source *source, int r)
{
	int closed = terminal_close(&lines->terminal);

	view_line_free(lines->view);
	view_json_free(lines->json);
	if (r == -EINTR || r == -EIO)
		r = 0;
	if (closed < 0)
		fprintf(stderr, "execsnoopctl: standard output: %s\n", strerror(-closed));
	if (r < 0 || closed < 0)
		return CTL_FAILED;
	if (source && source->bad > 0)
		return CTL_DATA;
	return lines->shown > 0 ? CTL_OK : CTL_NOTHING;
}

static bool report_rejected(const struct parsed *parsed)
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

static bool has_shown_enough(const struct lines *lines)
{
	return lines->shown >= lines->options->lines;
}

static int show(struct lines *lines, const struct parsed *parsed)
{
	return query_pass(lines->options->query, parsed) ? print(lines, parsed) : 0;
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
			return CTL_USAGE;
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

/* What was printed, line by line, for an order that is not that of the source. */
struct kept {
	char **lines;
	size_t count, size;
};

static int keep(struct lines *lines, struct kept *kept, const struct parsed *parsed)
{
	FILE *out = lines->terminal.out;
	char *data = NULL;
	size_t size, room = kept->size ? 2 * kept->size : 64;
	char **more;
	int r;

	if (kept->count == kept->size) {
		more = reallocarray(kept->lines, room, sizeof(*more));
		if (!more)
			return -ENOMEM;
		kept->lines = more;
		kept->size = room;
	}
	lines->terminal.out = open_memstream(&data, &size);
	r = lines->terminal.out ? print(lines, parsed) : -ENOMEM;
	if (lines->terminal.out && fclose(lines->terminal.out) != 0)
		r = -ENOMEM;
	lines->terminal.out = out;
	if (r < 0)
		free(data);
	else
		kept->lines[kept->count++] = data;
	return r;
}

static void print_kept(struct lines *lines, struct kept *kept, bool backwards)
{
	size_t most = lines->options->lines < kept->count ? (size_t)lines->options->lines : kept->count;

	for (size_t i = 0; i < most; i++)
		fputs(kept->lines[backwards ? kept->count - 1 - i : kept->count - most + i], lines->terminal.out);
	for (size_t i = 0; i < kept->count; i++)
		free(kept->lines[i]);
	free(kept->lines);
	*kept = (struct kept){ 0 };
}

/* Whether it has a line of its own: a process has one, at its end. */
static bool has_line(const struct options *options, const struct parsed *parsed)
{
	enum event_type type = parsed->event.type;

	return options->events ? type != EVENT_LIVE : type == EVENT_EXITED || type == EVENT_ERROR || type == EVENT_LOST;
}

/* Those that have started and not ended. Read backwards, a start comes after its end. */
static int remember(struct history *running, const struct parsed *parsed)
{
	struct life *life;
	int r;

	if (parsed->event.type == EVENT_EXITED) {
		r = history_add(running, parsed);
		life = parsed->id.data ? history_find(running, parsed->id) : NULL;
		if (life && life->json) {
			free(life->json);
			life->json = NULL;
		}
		return r;
	}
	life = parsed->id.data ? history_find(running, parsed->id) : NULL;
	return parsed->event.type == EVENT_STARTED && !(life && life->ended) ? history_add(running, parsed) : 0;
}

static int show_running(struct lines *lines, const struct history *running, struct kept *kept)
{
	_cleanup_(event_parser_free_p) struct event_parser *parser = NULL;
	const char *reason;
	struct parsed parsed;
	int r = event_parser_new(&parser);

	for (const struct life *life = history_first(running); life && r >= 0; life = STAILQ_NEXT(life, in_order)) {
		if (!life->json || life->ended)
			continue;
		r = event_parser_line(parser, bytes_of(life->json), &parsed, &reason);
		if (r >= 0 && query_pass(lines->options->query, &parsed))
			r = kept ? keep(lines, kept, &parsed) : print(lines, &parsed);
	}
	return r;
}

static int read_log(struct lines *lines, struct event_source *source, struct history *running, struct kept *kept,
		    bool bounded)
{
	const struct parsed *parsed;
	int r;

	for (;;) {
		if (interrupted)
			return 0;
		r = source_next(source, &parsed);
		if (r <= 0)
			return r;
		if (parsed->event.type == EVENT_TYPE_MAX || parsed->event.snapshot ||
		    !query_pass(lines->options->query, parsed))
			continue;
		if (!lines->options->events && !lines->options->follow) {
			r = remember(running, parsed);
			if (r < 0)
				return r;
		}
		if (!has_line(lines->options, parsed))
			continue;
		r = kept ? keep(lines, kept, parsed) : print(lines, parsed);
		if (r < 0 || (bounded && has_shown_enough(lines)))
			return r;
		if (lines->options->follow)
			fflush(lines->terminal.out);
	}
}

/*
 * The journal can be read backwards: its last N are the first N then, and come out in order again. A stream is read to
 * its end, and what is wanted of it is kept until then. The heading is printed by itself, since it is a line of
 * neither.
 */
int command_log(struct options *options)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	_cleanup_(history_free_p) struct history *running = NULL;
	bool reverse = options->reverse, stream = options->input || options->from_socket;
	bool last = options->lines != UINT64_MAX && !options->follow;
	bool keeps = (last && !reverse) || (reverse && stream);
	struct kept kept = { 0 };
	struct lines lines;
	int r = options_add_programs(options);

	options->view.date = true;
	options->view.started = "running";
	options->reverse |= last && !stream;
	if (r == 0)
		r = options_open(options, false, true, &source);
	if (r == 0)
		r = lines_open(&lines, options, !options->follow);
	if (r > 0)
		return r;
	if (history_new(&running, true) < 0)
		return CTL_FAILED;
	if (options->follow)
		catch_signals();
	if (options->format == FORMAT_SHORT)
		view_line_head(lines.view);
	r = read_log(&lines, source, running, keeps ? &kept : NULL, last && !(keeps && stream));
	if (r >= 0 && !options->follow && !(last && !stream))
		r = show_running(&lines, running, keeps ? &kept : NULL);
	print_kept(&lines, &kept, stream ? reverse : true);
	return lines_close(&lines, source, r);
}

/* The daemon's lines as they are; nothing else goes to standard output. */
int command_cat(struct options *options)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	const struct parsed *parsed;
	struct lines lines;
	int r = options_add_programs(options);

	options->format = options->format == FORMAT_SHORT ? FORMAT_JSON : options->format;
	if (r == 0)
		r = lines_open(&lines, options, false);
	if (r == 0)
		r = options_open(options, true, true, &source);
	if (r > 0)
		return r;
	catch_signals();
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (!interrupted && (r = source_next(source, &parsed)) > 0) {
		if (report_rejected(parsed))
			return CTL_USAGE;
		if (parsed->event.type != EVENT_TYPE_MAX && !query_pass(options->query, parsed))
			continue;
		r = print(&lines, parsed);
		if (r < 0)
			break;
	}
	r = lines_close(&lines, source, r);
	return r == CTL_NOTHING && interrupted ? CTL_OK : r;
}
