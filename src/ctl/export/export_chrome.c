/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trace Event JSON, for ui.perfetto.dev, chrome://tracing and speedscope.app. Viewers draw no slices of one thread that
 * overlap but do not lie one within the other; so a thread is a lane (lanes.h). Times are in us, from the beginning of
 * the recording on.
 */
#include <inttypes.h>

#include "ctl/export/export.h"
#include "ctl/export/lanes.h"
#include "ctl/export/markup.h"

#define COMMAND_SIZE 4096

static void put_time(FILE *out, const char *key, uint64_t ns)
{
	fprintf(out, ",\"%s\":%" PRIu64 ".%03u", key, ns / 1000, (unsigned)(ns % 1000));
}

/* Names that the viewers' palettes have. */
static const char *color_of(const struct program *program)
{
	switch (program->outcome) {
	case OUTCOME_SUCCESS:
		return "good";
	case OUTCOME_EXIT_CODE:
		return "bad";
	case OUTCOME_SIGNAL:
		return "terrible";
	case OUTCOME_REPLACED:
		return "generic_work";
	default:
		return "grey";
	}
}

static void put_text(FILE *out, const char *key, struct bytes value)
{
	if (value.size == 0)
		return;
	fprintf(out, ",\"%s\":", key);
	put_json(out, value);
}

static void put_program(FILE *out, const struct recording *recording, const struct program *program)
{
	char command[COMMAND_SIZE];
	struct text text;

	fputs(",\n{\"ph\":\"X\",\"pid\":1", out);
	fprintf(out, ",\"tid\":%zu", program->lane + 1);
	put_time(out, "ts", program->drawn_start - recording->begin);
	put_time(out, "dur", program->drawn_end - program->drawn_start);
	put_text(out, "name", program_name(program));
	fprintf(out, ",\"cat\":\"program\",\"cname\":\"%s\",\"args\":{\"pid\":%" PRIu32, color_of(program),
		program->pid);
	fprintf(out, ",\"ppid\":%" PRIu32 ",\"uid\":%" PRIu32, program->ppid, program->uid);
	text_begin(&text, command, sizeof(command));
	program_command(&text, program);
	put_text(out, "command", bytes_of(command));
	put_text(out, "cwd", program->cwd);
	put_text(out, "exe", program->exe);
	put_text(out, "unit", program->unit);
	put_text(out, "id", program->id);
	put_text(out, "status", bytes_of(program->status));
	if (program->outcome >= OUTCOME_SUCCESS)
		fprintf(out,
			",\"cpu_user_ns\":%" PRIu64 ",\"cpu_system_ns\":%" PRIu64 ",\"max_rss_bytes\":%" PRIu64
			",\"read_bytes\":%" PRIu64 ",\"write_bytes\":%" PRIu64,
			program->cpu_user_ns, program->cpu_system_ns, program->rss, program->read_bytes,
			program->written_bytes);
	fputs("}}", out);
}

static void put_failure(FILE *out, const struct recording *recording, const struct failure *failure)
{
	const char *name = errno_name(failure->error);
	char words[COMMAND_SIZE];
	struct text text;

	text_begin(&text, words, sizeof(words));
	text_printf(&text, "%s ", name ? name : "error");
	text_name(&text, failure->filename);
	fprintf(out, ",\n{\"ph\":\"i\",\"s\":\"t\",\"pid\":1,\"tid\":%zu", failure->by ? failure->by->lane + 1 : 1);
	put_time(out, "ts", failure->time > recording->begin ? failure->time - recording->begin : 0);
	put_text(out, "name", bytes_of(words));
	fprintf(out, ",\"cat\":\"%s\",\"cname\":\"%s\",\"args\":{\"pid\":%" PRIu32,
		failure->search ? "search" : "failure", failure->search ? "grey" : "yellow", failure->pid);
	text_begin(&text, words, sizeof(words));
	failure_command(&text, failure);
	put_text(out, "command", bytes_of(words));
	put_text(out, "cwd", failure->cwd);
	fputs("}}", out);
}

static void put_lanes(FILE *out, const struct recording *recording, size_t count)
{
	char time[EVENT_TIME_SIZE];

	event_time_format(time, recording->begin);
	fprintf(out,
		"{\"displayTimeUnit\":\"ms\",\"otherData\":{\"begin\":\"%s\",\"lost\":%" PRIu64
		"},\n\"traceEvents\":[\n",
		time, recording->lost);
	fputs("{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{\"name\":\"programs\"}}", out);
	for (size_t i = 1; i <= count; i++)
		fprintf(out,
			",\n{\"ph\":\"M\",\"pid\":1,\"tid\":%zu,\"name\":\"thread_name\",\"args\":{\"name\":\"lane %zu\"}}"
			",\n{\"ph\":\"M\",\"pid\":1,\"tid\":%zu,\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%zu}}",
			i, i, i, i);
}

int export_chrome(FILE *out, struct recording *recording, const struct export_options *options)
{
	const struct program *program;
	const struct failure *failure;
	struct lanes lanes;
	int r = lanes_make(&lanes, recording);

	if (r < 0)
		return r;
	put_lanes(out, recording, lanes.count);
	lanes_free(&lanes);
	STAILQ_FOREACH(program, &recording->programs, in_order)
	put_program(out, recording, program);
	STAILQ_FOREACH(failure, &recording->failures, in_order)
	put_failure(out, recording, failure);
	fputs("\n]}\n", out);
	return 0;
}
