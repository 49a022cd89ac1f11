/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * page.html with the programs in it. The data are JSON in an element that no browser executes, and put_json() writes no
 * '<': nothing in them can end that element. The page makes text nodes of them, never markup.
 */
#include <inttypes.h>

#include "ctl/export/export.h"
#include "ctl/export/interned.h"
#include "ctl/export/lanes.h"
#include "ctl/export/markup.h"
#include "ctl/text/event_text.h"

#define COMMAND_SIZE 2048

/* Made of page.html. */
static const char page[] =
#include "ctl/export/page.inc"
	;

struct html {
	FILE *out;
	const struct recording *recording;
	struct interned strings;
};

/* Written one by one, so that they can be shown by number. */
static int put_string(struct html *html, struct bytes string)
{
	size_t number;
	int r = interned_add(&html->strings, string.data ? string : BYTES(""), &number);

	fprintf(html->out, ",%zu", number);
	return r;
}

static uint64_t since_begin(const struct html *html, uint64_t time)
{
	return time > html->recording->begin ? time - html->recording->begin : 0;
}

static int put_program(struct html *html, const struct program *program, const size_t *lane_rows)
{
	const struct program *parent = program->parent, *before = program->previous;
	char command[COMMAND_SIZE];
	struct text text;
	FILE *out = html->out;
	int r;

	fprintf(out, "%s[%zd,%zd", program->number > 0 ? ",\n" : "\n", parent ? (ssize_t)parent->number : -1,
		before ? (ssize_t)before->number : -1);
	r = put_string(html, program_name(program));
	fprintf(out, ",%zu,%" PRIu64 ",%" PRIu64 ",%d", lane_rows[program->lane] + program->depth,
		since_begin(html, program->start), since_begin(html, program->end), program->outcome);
	if (r == 0)
		r = put_string(html, bytes_of(program->status));
	fprintf(out, ",%" PRIu32 ",%" PRIu32 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64, program->pid,
		program->uid, program->cpu_user_ns, program->cpu_system_ns, program->rss, program->read_bytes,
		program->written_bytes);
	if (r == 0)
		r = put_string(html, program->cwd);
	if (r == 0)
		r = put_string(html, program->unit);
	text_begin(&text, command, sizeof(command));
	program_command(&text, program);
	fputc(',', out);
	put_json(out, bytes_of(command));
	fputc(']', out);
	return r;
}

static int put_failure(struct html *html, const struct failure *failure)
{
	const char *name = errno_name(failure->error);
	char command[COMMAND_SIZE];
	struct text text;
	int r;

	fprintf(html->out, "%s[%zd,%" PRIu64, failure == STAILQ_FIRST(&html->recording->failures) ? "\n" : ",\n",
		failure->by ? (ssize_t)failure->by->number : -1, since_begin(html, failure->time));
	r = put_string(html, bytes_of(name ? name : "error"));
	fprintf(html->out, ",%d,", failure->search);
	put_json(html->out, failure->filename);
	text_begin(&text, command, sizeof(command));
	failure_command(&text, failure);
	fputc(',', html->out);
	put_json(html->out, bytes_of(command));
	fputc(']', html->out);
	return r;
}

static int put_data(struct html *html, const struct export_options *options, const struct lanes *lanes)
{
	const struct recording *recording = html->recording;
	uint64_t duration = recording->end - recording->begin;
	const struct program *program;
	const struct failure *failure;
	char time[64];
	struct text text;
	int r = 0;

	text_begin(&text, time, sizeof(time));
	text_time(&text, recording->begin, true, options->utc);
	fprintf(html->out,
		"{\"time\":\"%s\",\"duration\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"rows\":%zu,\n\"programs\":[", time,
		duration > 0 ? duration : 1, recording->lost, lanes->rows[lanes->count]);
	STAILQ_FOREACH(program, &recording->programs, in_order)
	if (r == 0)
		r = put_program(html, program, lanes->rows);
	fputs("],\n\"failures\":[", html->out);
	STAILQ_FOREACH(failure, &recording->failures, in_order)
	if (r == 0)
		r = put_failure(html, failure);
	fputs("],\n\"names\":[", html->out);
	for (size_t i = 0; i < html->strings.count; i++) {
		fputs(i > 0 ? ",\n" : "\n", html->out);
		put_json(html->out, html->strings.strings[i]);
	}
	fputs("]}", html->out);
	return r;
}

int export_html(FILE *out, struct recording *recording, const struct export_options *options)
{
	static const char place[] = "@DATA@";
	const char *data = strstr(page, place);
	struct html html = { .out = out, .recording = recording };
	struct lanes lanes;
	int r = lanes_make(&lanes, recording);

	if (r < 0)
		return r;
	fwrite(page, 1, (size_t)(data - page), out);
	r = put_data(&html, options, &lanes);
	fputs(data + strlen(place), out);
	interned_free(&html.strings);
	lanes_free(&lanes);
	return r;
}
