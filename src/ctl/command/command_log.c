/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/collect/history.h"
#include "ctl/command/commands.h"
#include "ctl/command/lines.h"
#include "ctl/event/event_parser.h"

/* Lines that are printed later, since their order is not that of the source: the last `most` of them. */
struct kept {
	char **lines; /* a ring once it is full */
	size_t most, count, size;
};

static int kept_add(struct kept *kept, char *line)
{
	size_t size = kept->size ? 2 * kept->size : 64;
	char **more;

	if (kept->count >= kept->most) {
		char **oldest = &kept->lines[kept->count++ % kept->most];

		free(*oldest);
		*oldest = line;
		return 0;
	}
	if (kept->count == kept->size) {
		if (size > kept->most)
			size = kept->most;
		more = reallocarray(kept->lines, size, sizeof(*more));
		if (!more)
			return -ENOMEM;
		kept->lines = more;
		kept->size = size;
	}
	kept->lines[kept->count++] = line;
	return 0;
}

static int keep(struct lines *lines, struct kept *kept, const struct parsed *parsed)
{
	FILE *out = lines->terminal.out;
	char *data = NULL;
	size_t size;
	int r;

	lines->terminal.out = open_memstream(&data, &size);
	r = lines->terminal.out ? lines_print(lines, parsed) : -ENOMEM;
	if (lines->terminal.out && fclose(lines->terminal.out) != 0)
		r = -ENOMEM;
	lines->terminal.out = out;
	if (r >= 0 && kept->most > 0)
		r = kept_add(kept, TAKE_PTR(data));
	free(data);
	return r;
}

static void print_kept(struct lines *lines, struct kept *kept, bool backwards)
{
	size_t n = kept->count < kept->most ? kept->count : kept->most, first = kept->count - n;

	for (size_t i = 0; i < n; i++)
		fputs(kept->lines[(backwards ? kept->count - 1 - i : first + i) % kept->most], lines->terminal.out);
	for (size_t i = 0; i < n; i++)
		free(kept->lines[i]);
	free(kept->lines);
	*kept = (struct kept){ 0 };
}

/* Whether it has a line of its own: a process has one, at its end. */
static bool has_line(const struct options *options, const struct parsed *parsed)
{
	enum event_type type = parsed->event.type;

	return options->events
		       ? type != EVENT_LIVE
		       : type == EVENT_EXITED || type == EVENT_ERROR || type == EVENT_LOST || type == EVENT_TYPE_MAX;
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

static int compare_starts(const void *a, const void *b)
{
	const struct life *x = *(const struct life *const *)a, *y = *(const struct life *const *)b;

	if (x->start_time != y->start_time)
		return x->start_time < y->start_time ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

/* They have no end by which they could be among the others. */
static int show_running(struct lines *lines, const struct history *running, bool reverse)
{
	_cleanup_free_ const struct life **lives = calloc(history_count(running) + 1, sizeof(*lives));
	_cleanup_(event_parser_free_p) struct event_parser *parser = NULL;
	const char *reason;
	struct parsed parsed;
	size_t count = 0;
	int r = event_parser_new(&parser);

	if (!lives)
		return -ENOMEM;
	for (const struct life *life = history_first(running); life; life = STAILQ_NEXT(life, in_order))
		if (life->json && !life->ended)
			lives[count++] = life;
	qsort(lives, count, sizeof(*lives), compare_starts);
	for (size_t i = 0; i < count && r >= 0; i++) {
		const struct life *life = lives[reverse ? count - 1 - i : i];

		r = event_parser_line(parser, bytes_of(life->json), &parsed, &reason);
		if (r >= 0 && query_pass(lines->options->query, &parsed))
			r = lines_print(lines, &parsed);
	}
	return r;
}

struct reading {
	struct lines *lines;
	struct event_source *source;
	struct history *running; /* NULL: starts are not remembered */
	struct kept *kept;	 /* NULL: lines are printed at once */
	uint64_t most;		 /* lines after which reading ends */
};

static int read_event(struct reading *reading, const struct parsed *parsed)
{
	struct lines *lines = reading->lines;
	int r;

	if (source_is_unknown(parsed)) {
		if (!reading->source->passes_unknown || !parsed->line.data)
			return 0;
	} else if (!query_pass(lines->options->query, parsed) || parsed->event.snapshot) {
		return 0;
	}
	if (reading->running) {
		r = remember(reading->running, parsed);
		if (r < 0)
			return r;
	}
	if (!has_line(lines->options, parsed))
		return 0;
	return reading->kept ? keep(lines, reading->kept, parsed) : lines_print(lines, parsed);
}

static int read_log(struct reading *reading)
{
	struct lines *lines = reading->lines;
	const struct parsed *parsed;
	int r = 0;

	while (r >= 0 && !interrupted && lines->printed < reading->most) {
		if (lines->options->follow)
			terminal_flush(&lines->terminal);
		r = source_next(reading->source, &parsed);
		if (r <= 0)
			return r;
		r = read_event(reading, parsed);
	}
	return r;
}

/* The last lines first, then what comes. */
static int follow(struct reading *reading)
{
	struct kept kept = { .most = SIZE_MAX };
	int r;

	catch_signals();
	reading->kept = &kept;
	reading->most = reading->lines->options->lines;
	r = read_log(reading);
	print_kept(reading->lines, &kept, true);
	if (r >= 0)
		r = source_journal_turn(reading->source);
	reading->kept = NULL;
	reading->most = UINT64_MAX;
	return r < 0 ? r : read_log(reading);
}

/*
 * The journal can be read backwards: its last N are the first N then, and are printed in reverse. A stream is read to
 * its end, and what is wanted of it is kept until then. The heading is printed by itself, since it is a line of
 * neither.
 */
static int print_log(struct reading *reading, bool stream, bool reverse)
{
	struct options *options = reading->lines->options;
	bool last = options->lines != UINT64_MAX;
	struct kept kept = { .most = stream && last ? (size_t)options->lines : SIZE_MAX };
	int r;

	if (options->follow && !stream)
		return follow(reading);
	reading->most = last && !stream ? options->lines : UINT64_MAX;
	if (options->follow)
		catch_signals();
	else if ((last && !reverse) || (reverse && stream))
		reading->kept = &kept;
	r = read_log(reading);
	print_kept(reading->lines, &kept, stream ? reverse : true);
	if (r >= 0 && reading->running && !last)
		r = show_running(reading->lines, reading->running, reverse);
	return r;
}

static bool is_file(const char *path)
{
	struct stat st;

	return (strcmp(path, "-") == 0 ? fstat(STDIN_FILENO, &st) : stat(path, &st)) == 0 && S_ISREG(st.st_mode);
}

/* An exit status, or 0. */
static int check_order(const struct options *options)
{
	if (options->from_socket && (options->reverse || (options->lines_set && !options->follow))) {
		fputs("execsnoopctl: --lines and --reverse need an end, which what the daemon sends has not\n", stderr);
		return CTL_USAGE;
	}
	if (options->follow && options->reverse) {
		fputs("execsnoopctl: --follow and --reverse contradict each other\n", stderr);
		return CTL_USAGE;
	}
	if (options->follow && options->input && is_file(options->input)) {
		fputs("execsnoopctl: --follow: a file is read to its end; of one that grows: "
		      "tail -n +1 -f FILE | execsnoopctl log -f -i -\n",
		      stderr);
		return CTL_USAGE;
	}
	if (options->follow && options->lines_set && (options->input || options->from_socket) && !options->quiet)
		fputs("execsnoopctl: --lines has no use with --follow, where nothing is from before\n", stderr);
	return 0;
}

int command_log(struct options *options)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	_cleanup_(history_free_p) struct history *running = NULL;
	bool reverse = options->reverse, stream = options->input || options->from_socket;
	bool last = options->lines != UINT64_MAX || options->follow;
	struct reading reading = { 0 };
	struct lines lines;
	int r = check_order(options);

	if (r == 0)
		r = options_add_programs(options);
	options->view.date = true;
	options->view.started = "running";
	options->reverse |= last && !stream;
	if (r == 0)
		r = options_open(options, false, true, &source);
	if (r == 0)
		r = lines_open(&lines, options, !options->follow);
	if (r > 0)
		return r;
	source->passes_unknown = stream && lines_pass_unknown(options);
	if (!options->events && !options->follow && history_new(&running, true) < 0)
		return CTL_FAILED;
	lines_head(&lines);
	reading = (struct reading){ .lines = &lines, .source = source, .running = running };
	r = print_log(&reading, stream, reverse);
	r = lines_close(&lines, r);
	die_of_signal();
	return r;
}
