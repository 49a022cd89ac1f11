/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One line a program: for spreadsheets (RFC 4180, with the ends of lines of this system), for a shell, for graphviz. */
#include <errno.h>
#include <inttypes.h>

#include "ctl/export/export.h"
#include "ctl/export/markup.h"
#include "ctl/text/event_text.h"

/* Each byte of the longest command line of Linux is four when it is shown: more than that is cut. */
#define COMMAND_SIZE (64U << 10)

static void put_field(FILE *out, struct bytes value)
{
	fputc(',', out);
	if (value.size > 0)
		put_csv(out, value);
}

static void put_csv_program(FILE *out, const struct program *program, char *command)
{
	bool has_ended = program->outcome >= OUTCOME_SUCCESS;
	char start[EVENT_TIME_SIZE], end[EVENT_TIME_SIZE];
	struct text text;

	text_begin(&text, command, COMMAND_SIZE);
	program_command(&text, program);
	event_time_format(start, program->start);
	event_time_format(end, program->end);
	fprintf(out, "%s,%s,%" PRIu64 ",%" PRIu32 ",%" PRIu32 ",%" PRIu32, start,
		program->outcome == OUTCOME_RUNNING ? "" : end, program->end - program->start, program->pid,
		program->ppid, program->uid);
	put_field(out, bytes_of(program->status));
	if (has_ended)
		fprintf(out, ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64, program->cpu_user_ns,
			program->cpu_system_ns, program->rss, program->read_bytes, program->written_bytes);
	else
		fputs(",,,,,", out);
	put_field(out, program->exe);
	put_field(out, program->cwd);
	put_field(out, program->unit);
	put_field(out, bytes_of(command));
	fputs("\n", out);
}

static void put_csv_failure(FILE *out, const struct failure *failure, char *command)
{
	const char *name = errno_name(failure->error);
	char time[EVENT_TIME_SIZE];
	struct text text;

	text_begin(&text, command, COMMAND_SIZE);
	failure_command(&text, failure);
	event_time_format(time, failure->time);
	fprintf(out, "%s,%s,0,%" PRIu32 ",,", time, time, failure->pid);
	put_field(out, bytes_of(name ? name : "error"));
	fputs(",,,,,", out);
	put_field(out, failure->filename);
	put_field(out, failure->cwd);
	put_field(out, BYTES_NONE);
	put_field(out, bytes_of(command));
	fputs("\n", out);
}

int export_csv(FILE *out, struct recording *recording, const struct export_options *options)
{
	_cleanup_free_ char *command = malloc(COMMAND_SIZE);
	const struct program *program;
	const struct failure *failure;

	if (!command)
		return -ENOMEM;
	fputs("start_time,end_time,running_time_ns,pid,ppid,uid,status,cpu_user_ns,cpu_system_ns,max_rss_bytes,"
	      "read_bytes,write_bytes,exe,cwd,unit,command\n",
	      out);
	STAILQ_FOREACH(program, &recording->programs, in_order)
	put_csv_program(out, program, command);
	STAILQ_FOREACH(failure, &recording->failures, in_order)
	if (!failure->search)
		put_csv_failure(out, failure, command);
	return 0;
}

int export_sh(FILE *out, struct recording *recording, const struct export_options *options)
{
	const struct program *program;
	bool guarded = false;

	STAILQ_FOREACH(program, &recording->programs, in_order)
	{
		const struct image image = { .args = program->args, .args_truncated = program->args_truncated };

		if (program->args.size > 0 && program->exec_time > 0 && put_sh(out, program->cwd, &image, &guarded) < 0)
			return -ENOMEM;
	}
	return 0;
}

static const char *dot_color(const struct program *program)
{
	switch (program->outcome) {
	case OUTCOME_EXIT_CODE:
		return "orange";
	case OUTCOME_SIGNAL:
		return "red";
	case OUTCOME_SUCCESS:
	case OUTCOME_REPLACED:
		return "black";
	default:
		return "gray";
	}
}

static void put_dot_program(FILE *out, const struct program *program, char *label)
{
	const struct program *from = program->previous ? program->previous : program->parent;
	struct text text;

	text_begin(&text, label, 512);
	program_command(&text, program);
	fprintf(out, "  n%zu [color=%s, label=", program->number, dot_color(program));
	put_dot(out, bytes_of(label));
	fputs("];\n", out);
	if (from)
		fprintf(out, "  n%zu -> n%zu%s;\n", from->number, program->number,
			program->previous ? " [style=dashed]" : "");
}

int export_dot(FILE *out, struct recording *recording, const struct export_options *options)
{
	const struct program *program;
	char label[512];

	fputs("digraph programs {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\", fontsize=10];\n", out);
	STAILQ_FOREACH(program, &recording->programs, in_order)
	put_dot_program(out, program, label);
	fputs("}\n", out);
	return 0;
}
