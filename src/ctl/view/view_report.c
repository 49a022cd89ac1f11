/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/view/view_report.h"

#include <inttypes.h>
#include <stdlib.h>

#include "ctl/collect/alone.h"
#include "ctl/collect/critical_path.h"
#include "ctl/collect/tally.h"
#include "ctl/text/time_spec.h"

#define ROWS_SHOWN 5
#define PATH_SHOWN 8
#define LINE_SIZE 4096
#define SPAN_SIZE 32

struct report {
	const struct terminal *terminal;
	struct recording *recording;
	const struct report_facts *facts;
	uint64_t running_ns, cpu_user_ns, cpu_system_ns, read_bytes, written_bytes, alone_ns;
	size_t programs, failed, running;
	const struct program *largest;
};

static void row(const struct report *report, const char *label, const struct text *text, enum color color)
{
	const struct terminal *terminal = report->terminal;
	size_t width = terminal->width > 30 ? terminal->width - 12 : 0;

	fprintf(terminal->out, "%10s  ", label);
	terminal_color(terminal, color);
	terminal_put(terminal, text->data, width);
	if (color != COLOR_NONE)
		terminal_color(terminal, COLOR_NONE);
	fputc('\n', terminal->out);
}

static void put_span(struct text *text, uint64_t ns)
{
	char span[SPAN_SIZE];

	time_span_format(span, sizeof(span), ns);
	text_string(text, span);
}

static void put_size(struct text *text, uint64_t bytes)
{
	char size[SPAN_SIZE];

	size_format(size, sizeof(size), bytes);
	text_string(text, size);
}

static void add_up(struct report *report)
{
	const struct recording *recording = report->recording;
	const struct program *program;

	STAILQ_FOREACH(program, &recording->programs, in_order)
	{
		report->programs += program->exec_time > 0;
		report->failed += program_failed(program);
		report->running += program->outcome == OUTCOME_RUNNING;
		report->cpu_user_ns += program->cpu_user_ns;
		report->cpu_system_ns += program->cpu_system_ns;
		report->read_bytes += program->read_bytes;
		report->written_bytes += program->written_bytes;
		if (program->rss > 0 && (!report->largest || program->rss > report->largest->rss))
			report->largest = program;
	}
	report->running_ns = report->facts->running_ns ? report->facts->running_ns : recording->end - recording->begin;
	/* A process without an exec has no event of its own, but the kernel counts it for the parent that waits. */
	if (report->facts->cpu_user_ns + report->facts->cpu_system_ns > report->cpu_user_ns + report->cpu_system_ns) {
		report->cpu_user_ns = report->facts->cpu_user_ns;
		report->cpu_system_ns = report->facts->cpu_system_ns;
	}
}

static void put_heading(const struct report *report)
{
	const struct recording *recording = report->recording;
	const struct report_facts *facts = report->facts;
	const struct terminal *terminal = report->terminal;
	size_t failures = recording->failure_count - recording->search_count;
	char line[LINE_SIZE];
	struct text text;

	text_begin(&text, line, sizeof(line));
	if (facts->status)
		text_printf(&text, "%s after ", facts->status);
	put_span(&text, report->running_ns);
	text_printf(&text, "; %zu program%s", report->programs, report->programs == 1 ? "" : "s");
	if (report->failed > 0)
		text_printf(&text, ", %zu failed", report->failed);
	if (failures > 0)
		text_printf(&text, "; %zu failed exec%s", failures, failures == 1 ? "" : "s");
	if (recording->search_count > 0)
		text_printf(&text, "; %zu exec%s of searches along PATH", recording->search_count,
			    recording->search_count == 1 ? "" : "s");
	terminal_color(terminal, COLOR_BOLD);
	if (facts->command) {
		terminal_put(terminal, facts->command, terminal->width > 80 ? terminal->width - 80 : 40);
		fputs(": ", terminal->out);
	}
	terminal_put(terminal, line, 0);
	terminal_color(terminal, COLOR_NONE);
	fputc('\n', terminal->out);
}

static void put_lost(const struct report *report)
{
	char line[LINE_SIZE];
	struct text text;

	if (report->recording->lost == 0)
		return;
	text_begin(&text, line, sizeof(line));
	text_printf(&text, "%llu event%s: this report is not complete", (unsigned long long)report->recording->lost,
		    report->recording->lost == 1 ? "" : "s");
	row(report, "lost", &text, COLOR_RED);
}

static void put_cost(const struct report *report)
{
	uint64_t cpu = report->cpu_user_ns + report->cpu_system_ns;
	char line[LINE_SIZE];
	struct text text;

	text_begin(&text, line, sizeof(line));
	put_span(&text, cpu);
	if (report->running_ns > 0)
		text_printf(&text, ", %.1f", (double)cpu / (double)report->running_ns);
	if (report->running_ns > 0 && report->facts->cpus > 0)
		text_printf(&text, " of %u CPUs", report->facts->cpus);
	else if (report->running_ns > 0)
		text_string(&text, " CPUs");
	text_string(&text, "; user ");
	put_span(&text, report->cpu_user_ns);
	text_string(&text, ", system ");
	put_span(&text, report->cpu_system_ns);
	row(report, "cpu", &text, COLOR_NONE);
	text_begin(&text, line, sizeof(line));
	put_size(&text, report->read_bytes);
	text_string(&text, " read, ");
	put_size(&text, report->written_bytes);
	text_string(&text, " written");
	row(report, "disk", &text, COLOR_NONE);
	if (!report->largest)
		return;
	text_begin(&text, line, sizeof(line));
	put_size(&text, report->largest->rss);
	text_string(&text, "  ");
	program_command(&text, report->largest);
	row(report, "largest", &text, COLOR_NONE);
}

static const char *times(const struct report *report)
{
	return report->terminal->utf8 ? "×" : "x";
}

static void put_names(const struct report *report, const char *label, struct tallies *tallies, enum tally_value value,
		      const char *before)
{
	char line[LINE_SIZE];
	struct text text;
	size_t shown = 0;

	tallies_sort(tallies, value);
	text_begin(&text, line, sizeof(line));
	text_string(&text, before);
	for (size_t i = 0; i < tallies->count && i < ROWS_SHOWN; i++) {
		const struct tally *tally = &tallies->all[i];

		if (tally->values[value] == 0)
			break;
		text_string(&text, shown++ > 0 ? ", " : "");
		text_name(&text, program_name(tally->program));
		if (tally->values[TALLY_COUNT] > 1)
			text_printf(&text, " %s%" PRIu64, times(report), tally->values[TALLY_COUNT]);
		text_string(&text, " ");
		put_span(&text, tally->values[value]);
	}
	if (shown > 0)
		row(report, label, &text, COLOR_NONE);
}

static int put_by_name(const struct report *report)
{
	struct tallies tallies;
	char before[2 * SPAN_SIZE + 16];
	struct text text;
	int r = tallies_make(&tallies, report->recording, tally_by_name);

	if (r < 0)
		return r;
	put_names(report, "most cpu", &tallies, TALLY_CPU, "");
	text_begin(&text, before, sizeof(before));
	put_span(&text, report->alone_ns);
	text_string(&text, " of ");
	put_span(&text, report->running_ns);
	text_string(&text, ": ");
	put_names(report, "alone", &tallies, TALLY_ALONE, before);
	tallies_free(&tallies);
	return 0;
}

static int compare_path_start(const void *a, const void *b)
{
	const struct tally *x = a, *y = b;

	return (x->path_start > y->path_start) - (x->path_start < y->path_start);
}

static void put_in_path(const struct report *report, const struct tally *tally, bool first)
{
	char line[LINE_SIZE], start[SPAN_SIZE], span[SPAN_SIZE];
	struct text text;

	time_span_format(start, sizeof(start), tally->path_start - report->recording->begin);
	time_span_format(span, sizeof(span), tally->values[TALLY_PATH]);
	text_begin(&text, line, sizeof(line));
	text_printf(&text, "+%-7s %7s %3.0f%%  ", start, span,
		    report->running_ns > 0 ? 100.0 * (double)tally->values[TALLY_PATH] / (double)report->running_ns
					   : 0);
	if (tally->path_count > 1)
		text_printf(&text, "%zu%s ", tally->path_count, times(report));
	program_command(&text, tally->program);
	row(report, first ? "path" : "", &text, COLOR_NONE);
}

/* The longest of the critical path, the same command line counted together, in the order of time. */
static int put_path(const struct report *report)
{
	char line[LINE_SIZE];
	struct tallies tallies;
	struct text text;
	uint64_t rest = 0;
	size_t shown = 0, others = 0;
	int r = tallies_make(&tallies, report->recording, tally_by_command);

	if (r < 0)
		return r;
	tallies_sort(&tallies, TALLY_PATH);
	while (shown < tallies.count && shown < PATH_SHOWN && tallies.all[shown].values[TALLY_PATH] > 0)
		shown++;
	for (size_t i = shown; i < tallies.count && tallies.all[i].values[TALLY_PATH] > 0; i++) {
		others += tallies.all[i].path_count;
		rest += tallies.all[i].values[TALLY_PATH];
	}
	qsort(tallies.all, shown, sizeof(*tallies.all), compare_path_start);
	for (size_t i = 0; i < shown; i++)
		put_in_path(report, &tallies.all[i], i == 0);
	tallies_free(&tallies);
	if (others == 0)
		return 0;
	text_begin(&text, line, sizeof(line));
	text_printf(&text, "and %zu more, ", others);
	put_span(&text, rest);
	row(report, "", &text, COLOR_NONE);
	return 0;
}

static int put_longest(const struct report *report)
{
	struct tallies tallies;
	int r = tallies_make(&tallies, report->recording, NULL);

	if (r < 0)
		return r;
	tallies_sort(&tallies, TALLY_RUNNING);
	for (size_t i = 0, shown = 0; i < tallies.count && shown < ROWS_SHOWN; i++) {
		const struct program *program = tallies.all[i].program;
		char line[LINE_SIZE];
		struct text text;

		/* One that waits for another is as long as that. */
		if (!STAILQ_EMPTY(&program->children) || program->end == program->start)
			continue;
		text_begin(&text, line, sizeof(line));
		put_span(&text, program->end - program->start);
		if (program->alone_ns > 0) {
			text_string(&text, " (");
			put_span(&text, program->alone_ns);
			text_string(&text, " alone)");
		}
		text_string(&text, "  ");
		program_command(&text, program);
		row(report, shown++ == 0 ? "longest" : "", &text, COLOR_NONE);
	}
	tallies_free(&tallies);
	return 0;
}

static int put_repeated(const struct report *report)
{
	struct tallies tallies;
	int r = tallies_make(&tallies, report->recording, tally_by_command);

	if (r < 0)
		return r;
	tallies_sort(&tallies, TALLY_COUNT);
	for (size_t i = 0; i < tallies.count && i < ROWS_SHOWN && tallies.all[i].values[TALLY_COUNT] > 1; i++) {
		const struct tally *tally = &tallies.all[i];
		char line[LINE_SIZE];
		struct text text;

		text_begin(&text, line, sizeof(line));
		text_printf(&text, "%" PRIu64 "%s", tally->values[TALLY_COUNT], times(report));
		if (tally->values[TALLY_CPU] > 0) {
			text_string(&text, ", cpu ");
			put_span(&text, tally->values[TALLY_CPU]);
		}
		text_string(&text, "  ");
		program_command(&text, tally->program);
		row(report, i == 0 ? "repeated" : "", &text, COLOR_NONE);
	}
	tallies_free(&tallies);
	return 0;
}

static bool has_failed_child(const struct program *program)
{
	for (; program; program = program->previous) {
		const struct program *child, *last;

		STAILQ_FOREACH(child, &program->children, sibling)
		{
			for (last = child; last->next; last = last->next)
				;
			if (program_failed(last))
				return true;
		}
	}
	return false;
}

/* The first to fail of those that failed one after the other. */
static void put_failed(const struct report *report)
{
	const struct program *program;
	size_t count = 0;
	char line[LINE_SIZE];
	struct text text;

	STAILQ_FOREACH(program, &report->recording->programs, in_order)
	{
		if (!program_failed(program) || has_failed_child(program) || count++ >= ROWS_SHOWN)
			continue;
		text_begin(&text, line, sizeof(line));
		text_printf(&text, "%s  ", program->status);
		program_command(&text, program);
		if (program->cwd.size > 0) {
			text_string(&text, "  in ");
			text_name(&text, program->cwd);
		}
		row(report, count == 1 ? "failed" : "", &text, COLOR_RED);
	}
	if (count <= ROWS_SHOWN)
		return;
	text_begin(&text, line, sizeof(line));
	text_printf(&text, "and %zu more", count - ROWS_SHOWN);
	row(report, "", &text, COLOR_RED);
}

static void put_failures(const struct report *report)
{
	const struct failure *failure;
	size_t count = 0;
	char line[LINE_SIZE];
	struct text text;

	STAILQ_FOREACH(failure, &report->recording->failures, in_order)
	{
		const char *name = errno_name(failure->error);

		if (failure->search || count++ >= ROWS_SHOWN)
			continue;
		text_begin(&text, line, sizeof(line));
		text_printf(&text, "%s  ", name ? name : "error");
		text_name(&text, failure->filename);
		if (failure->by) {
			text_string(&text, "  by ");
			program_command(&text, failure->by);
		}
		row(report, count == 1 ? "not run" : "", &text, COLOR_YELLOW);
	}
	if (count <= ROWS_SHOWN)
		return;
	text_begin(&text, line, sizeof(line));
	text_printf(&text, "and %zu more", count - ROWS_SHOWN);
	row(report, "", &text, COLOR_YELLOW);
}

static void put_running(const struct report *report)
{
	/* An end may be among the lost events. */
	bool ends_early = report->facts->ends_early || report->recording->lost > 0;
	const struct program *program;
	size_t count = 0;
	char line[LINE_SIZE];
	struct text text;

	if (!report->facts->command)
		return;
	STAILQ_FOREACH(program, &report->recording->programs, in_order)
	{
		if (program->outcome != OUTCOME_RUNNING || count++ >= ROWS_SHOWN)
			continue;
		text_begin(&text, line, sizeof(line));
		text_printf(&text, "%u  ", program->pid);
		program_command(&text, program);
		row(report, count > 1 ? "" : ends_early ? "end unseen" : "still runs", &text, COLOR_YELLOW);
	}
	if (count <= ROWS_SHOWN)
		return;
	text_begin(&text, line, sizeof(line));
	text_printf(&text, "and %zu more", count - ROWS_SHOWN);
	row(report, "", &text, COLOR_YELLOW);
}

/* Also processes that never called exec. */
static void put_scope(const struct report *report)
{
	const struct report_facts *facts = report->facts;
	char line[LINE_SIZE];
	struct text text;

	if (!facts->scope || facts->scope_count == 0)
		return;
	text_begin(&text, line, sizeof(line));
	text_printf(&text, "%zu process%s still run%s in the scope; to stop them: systemctl %sstop ",
		    facts->scope_count, facts->scope_count == 1 ? "" : "es", facts->scope_count == 1 ? "s" : "",
		    facts->scope_of_user ? "--user " : "");
	text_string(&text, facts->scope);
	row(report, "scope", &text, COLOR_YELLOW);
}

int view_report(const struct terminal *terminal, struct recording *recording, const struct report_facts *facts)
{
	struct report report = { .terminal = terminal, .recording = recording, .facts = facts };
	int r = alone_find(recording, &report.alone_ns);

	if (r < 0)
		return r;
	r = critical_path_find(recording);
	if (r < 0)
		return r;
	add_up(&report);
	put_heading(&report);
	put_lost(&report);
	put_cost(&report);
	r = put_by_name(&report);
	if (r < 0)
		return r;
	r = put_path(&report);
	if (r < 0)
		return r;
	r = put_longest(&report);
	if (r < 0)
		return r;
	r = put_repeated(&report);
	if (r < 0)
		return r;
	put_failed(&report);
	put_failures(&report);
	put_running(&report);
	put_scope(&report);
	return 0;
}
