/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A still picture of the lanes, as systemd-analyze plot draws them: time from left to right, a title on each bar. */
#include <inttypes.h>

#include "ctl/export/export.h"
#include "ctl/export/lanes.h"
#include "ctl/export/markup.h"
#include "ctl/text/event_text.h"
#include "ctl/text/time_spec.h"

#define WIDTH 1600
#define MARGIN 10
#define HEAD 60 /* above the first row */
#define ROW 16
#define LETTER 6.1 /* width of one, at most, in a font of 10 px */
#define TICKS 12
#define COMMAND_SIZE 1024
#define LABEL_SIZE 256
#define SPAN_SIZE 32

struct svg {
	FILE *out;
	const struct recording *recording;
	const struct lanes *lanes;
	double scale; /* px a ns */
};

static const char style[] =
	"<style>\n"
	"svg { background: #fff; color-scheme: light dark; }\n"
	"text { font: 10px 'DejaVu Sans', sans-serif; fill: #1b1f24; white-space: pre; }\n"
	".title { font-size: 14px; font-weight: bold; } .dim { fill: #5c6570; } .tick { stroke: #d5d9de; }\n"
	".success { fill: #9bd0a8; } .exit { fill: #f5a742; } .signal { fill: #ee6b60; } .running { fill: #9db7dd; }\n"
	".replaced { fill: #c3ccd5; } .failure { fill: #d9822b; }\n"
	"@media (prefers-color-scheme: dark) {\n"
	"svg { background: #14171a; } text { fill: #e3e6e9; } .dim { fill: #9aa4ae; } .tick { stroke: #343b42; }\n"
	".success { fill: #2f6b40; } .exit { fill: #9a5f14; } .signal { fill: #a3362d; } .running { fill: #3f5a83; }\n"
	".replaced { fill: #4b555f; } }\n"
	"</style>\n";

static const char *class_of(const struct program *program)
{
	static const char *const classes[] = {
		[OUTCOME_RUNNING] = "running", [OUTCOME_REPLACED] = "replaced", [OUTCOME_SUCCESS] = "success",
		[OUTCOME_EXIT_CODE] = "exit",  [OUTCOME_SIGNAL] = "signal",	[OUTCOME_UNKNOWN] = "running",
	};

	return classes[program->outcome];
}

static double x_of(const struct svg *svg, uint64_t time)
{
	uint64_t begin = svg->recording->begin;

	return MARGIN + (time > begin ? (double)(time - begin) * svg->scale : 0);
}

static size_t y_of(const struct svg *svg, const struct program *program)
{
	return HEAD + ROW * (program ? svg->lanes->rows[program->lane] + program->depth : 0);
}

static void put_text(const struct svg *svg, double x, double y, const char *class, const char *string)
{
	fprintf(svg->out, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, class);
	put_xml(svg->out, bytes_of(string));
	fputs("</text>\n", svg->out);
}

/* Cut to the width of the bar, at a character. */
static void put_label(const struct svg *svg, const struct program *program, double x, double width)
{
	size_t room = (size_t)((width - 6) / LETTER);
	char label[LABEL_SIZE];
	struct text text;

	if (width < 6 + 2 * LETTER)
		return;
	text_begin(&text, label, room + 4 < sizeof(label) ? room + 4 : sizeof(label));
	if (room > program_name(program).size + 8)
		program_command(&text, program);
	else
		text_name(&text, program_name(program));
	put_text(svg, x + 3, (double)y_of(svg, program) + 11.5, "", label);
}

static void put_title(const struct svg *svg, const struct program *program)
{
	char command[COMMAND_SIZE], took[SPAN_SIZE], cpu[SPAN_SIZE];
	struct text text;

	time_span_format(took, sizeof(took), program->end - program->start);
	time_span_format(cpu, sizeof(cpu), program->cpu_user_ns + program->cpu_system_ns);
	text_begin(&text, command, sizeof(command));
	text_printf(&text, "%" PRIu32 " %s%s%s, cpu %s: ", program->pid, program->status, *program->status ? ", " : "",
		    took, cpu);
	program_command(&text, program);
	fputs("<title>", svg->out);
	put_xml(svg->out, bytes_of(command));
	fputs("</title>", svg->out);
}

static void put_program(const struct svg *svg, const struct program *program)
{
	double x = x_of(svg, program->start), width = x_of(svg, program->end) - x;

	fprintf(svg->out, "<rect x=\"%.2f\" y=\"%zu\" width=\"%.2f\" height=\"%d\" class=\"%s\">", x,
		y_of(svg, program), width > 0.5 ? width : 0.5, ROW - 2, class_of(program));
	put_title(svg, program);
	fputs("</rect>\n", svg->out);
	put_label(svg, program, x, width);
}

static void put_failure(const struct svg *svg, const struct failure *failure)
{
	const char *name = errno_name(failure->error);
	double x = x_of(svg, failure->time), y = (double)y_of(svg, failure->by) + ROW;
	char words[COMMAND_SIZE];
	struct text text;

	if (failure->search)
		return;
	text_begin(&text, words, sizeof(words));
	text_printf(&text, "%s ", name ? name : "error");
	text_name(&text, failure->filename);
	fprintf(svg->out, "<path d=\"M%.2f %.1fl4 8h-8z\" class=\"failure\"><title>", x, y - 8);
	put_xml(svg->out, bytes_of(words));
	fputs("</title></path>\n", svg->out);
}

/* 1, 2 or 5 times a power of ten. */
static uint64_t tick_of(uint64_t duration)
{
	static const unsigned steps[] = { 1, 2, 5 };

	for (uint64_t power = 1; power < UINT64_MAX / 100; power *= 10)
		for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
			if (duration / (power * steps[i]) <= TICKS)
				return power * steps[i];
	return UINT64_MAX;
}

static void put_axis(const struct svg *svg, uint64_t duration, size_t height)
{
	uint64_t tick = tick_of(duration);

	for (uint64_t i = 0; i <= duration / tick; i++) {
		double x = MARGIN + (double)(i * tick) * svg->scale;
		char span[SPAN_SIZE];

		time_span_format(span, sizeof(span), i * tick);
		fprintf(svg->out, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%zu\" class=\"tick\"/>\n", x, HEAD - 14,
			x, height);
		put_text(svg, x + 3, HEAD - 5, "dim", i == 0 ? "0" : span);
	}
}

static void put_head(const struct svg *svg, const struct export_options *options, uint64_t duration)
{
	static const struct {
		const char *class, *words;
	} legend[] = {
		{ "success", "success" },
		{ "exit", "exit code" },
		{ "signal", "signal" },
		{ "running", "still ran" },
		{ "replaced", "then another program" },
		{ "failure", "failed exec" },
	};
	const struct program *first = STAILQ_FIRST(&svg->recording->programs);
	size_t failures = svg->recording->failure_count - svg->recording->search_count;
	char words[COMMAND_SIZE], span[SPAN_SIZE];
	struct text text;

	text_begin(&text, words, 120);
	if (first && first->exec_time > 0)
		program_command(&text, first);
	else
		text_string(&text, "Programs");
	put_text(svg, MARGIN, 18, "title", words);
	text_begin(&text, words, sizeof(words));
	text_time(&text, svg->recording->begin, true, options->utc);
	time_span_format(span, sizeof(span), duration);
	text_printf(&text, ", %s; %zu program%s, %zu failed exec%s", span, svg->recording->count,
		    svg->recording->count == 1 ? "" : "s", failures, failures == 1 ? "" : "s");
	if (svg->recording->lost > 0)
		text_printf(&text, "; %" PRIu64 " event%s lost", svg->recording->lost,
			    svg->recording->lost == 1 ? "" : "s");
	put_text(svg, MARGIN, 34, "dim", words);
	for (size_t i = 0; i < sizeof(legend) / sizeof(legend[0]); i++) {
		double x = WIDTH - 640 + 100 * (double)i + (i == 5 ? 40 : 0);

		fprintf(svg->out, "<rect x=\"%.0f\" y=\"26\" width=\"10\" height=\"10\" class=\"%s\"/>\n", x,
			legend[i].class);
		put_text(svg, x + 14, 35, "dim", legend[i].words);
	}
}

static void put_all(const struct svg *svg, const struct export_options *options)
{
	uint64_t duration = svg->recording->end - svg->recording->begin;
	size_t height = HEAD + ROW * svg->lanes->rows[svg->lanes->count] + MARGIN;
	const struct program *program;
	const struct failure *failure;

	fprintf(svg->out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%zu\" viewBox=\"0 0 %d %zu\">\n",
		WIDTH, height, WIDTH, height);
	fputs(style, svg->out);
	put_head(svg, options, duration);
	put_axis(svg, duration, height - MARGIN);
	STAILQ_FOREACH(program, &svg->recording->programs, in_order)
	put_program(svg, program);
	STAILQ_FOREACH(failure, &svg->recording->failures, in_order)
	put_failure(svg, failure);
	fputs("</svg>\n", svg->out);
}

int export_svg(FILE *out, struct recording *recording, const struct export_options *options)
{
	uint64_t duration = recording->end - recording->begin;
	struct svg svg = { .out = out, .recording = recording };
	struct lanes lanes;
	int r = lanes_make(&lanes, recording);

	if (r < 0)
		return r;
	svg.lanes = &lanes;
	svg.scale = (double)(WIDTH - 2 * MARGIN) / (double)(duration > 0 ? duration : 1);
	put_all(&svg, options);
	lanes_free(&lanes);
	return 0;
}
