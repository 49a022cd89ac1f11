/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both sides are sorted by name and read together, as merge sort does. Each command line is in one section, that of the
 * first difference: only one side ran its program, or this command line; one had another result; one ran it more often;
 * it cost more in one.
 */
#include "ctl/view/view_diff.h"

#include <errno.h>
#include <stdlib.h>

#include "ctl/text/time_spec.h"
#include "util/cleanup.h"
#include "util/quote.h"

#define COST_NS UINT64_C(100000000) /* a smaller difference is chance */
#define COUNT_WIDTH 7

enum section { SECTION_ONLY_A, SECTION_ONLY_B, SECTION_ARGS, SECTION_RESULT, SECTION_COUNT, SECTION_COST, SECTIONS };

/* One command line; NULL: that side has none. */
struct pair {
	const struct group *sides[2];
	enum section section; /* SECTIONS: they do not differ */
};

struct diff {
	const struct terminal *terminal;
	const struct diff_options *options;
	struct pair *pairs;
	size_t count;
};

static const char *name_of(const struct group *group, size_t key)
{
	return group->names[key] ? group->names[key] : "(other)";
}

static const struct group *any_side(const struct pair *pair)
{
	return pair->sides[0] ? pair->sides[0] : pair->sides[1];
}

static const char *program_of(const struct pair *pair)
{
	return name_of(any_side(pair), 0);
}

static bool is_program_of(const struct pair *pair, const char *program)
{
	return strcmp(program_of(pair), program) == 0;
}

/* A journal without starts has the ends. */
static uint64_t runs(const struct group *group)
{
	const struct sums *sums = &group->sums;

	return (sums->started > sums->ended ? sums->started : sums->ended) + sums->errors;
}

static uint64_t failures(const struct group *group)
{
	return group->sums.failed + group->sums.errors;
}

/* Per run: what ran twice as often costs twice as much. */
static bool costs_otherwise(const struct sums *a, const struct sums *b)
{
	uint64_t less, more;

	if (a->ended == 0 || b->ended == 0)
		return false;
	less = a->cpu_ns / a->ended;
	more = b->cpu_ns / b->ended;
	if (less > more) {
		uint64_t swap = less;

		less = more;
		more = swap;
	}
	return more - less >= COST_NS && more / 3 * 2 >= less;
}

static enum section section_of(const struct pair *pair)
{
	const struct group *a = pair->sides[0], *b = pair->sides[1];

	if (!a || !b)
		return SECTION_ARGS;
	/* Shares, compared without a division. */
	if (failures(a) * runs(b) != failures(b) * runs(a))
		return SECTION_RESULT;
	if (runs(a) != runs(b))
		return SECTION_COUNT;
	return costs_otherwise(&a->sums, &b->sums) ? SECTION_COST : SECTIONS;
}

/* As strcmp(3). `other` comes after all. */
static int compare(const struct group *a, const struct group *b)
{
	if (!a->names[0] || !b->names[0])
		return !a->names[0] - !b->names[0];
	return group_compare(a, b, ORDER_NAME);
}

/* Those that ran at all: a search along $PATH leaves groups without a run. */
static size_t skip_idle(struct group *const *groups, size_t at, size_t count)
{
	while (at < count && runs(groups[at]) == 0)
		at++;
	return at;
}

static int make_pairs(struct diff *diff, struct groups *a, struct groups *b)
{
	size_t counts[2], at[2] = { 0 };
	struct group *const *sides[2] = { groups_sort(a, ORDER_NAME, &counts[0]),
					  groups_sort(b, ORDER_NAME, &counts[1]) };

	diff->pairs = calloc(counts[0] + counts[1] + 1, sizeof(*diff->pairs));
	if (!diff->pairs)
		return -ENOMEM;
	for (;;) {
		struct pair *pair = &diff->pairs[diff->count];
		int r;

		for (int i = 0; i < 2; i++)
			at[i] = skip_idle(sides[i], at[i], counts[i]);
		if (at[0] == counts[0] && at[1] == counts[1])
			return 0;
		r = at[0] == counts[0] ? 1 : at[1] == counts[1] ? -1 : compare(sides[0][at[0]], sides[1][at[1]]);
		if (r <= 0)
			pair->sides[0] = sides[0][at[0]++];
		if (r >= 0)
			pair->sides[1] = sides[1][at[1]++];
		pair->section = section_of(pair);
		diff->count++;
	}
}

/* Programs of which one side has no command line at all. Those of a program follow one another. */
static void find_missing_programs(struct diff *diff)
{
	for (size_t i = 0, end; i < diff->count; i = end) {
		bool has[2] = { false, false };

		for (end = i; end < diff->count && is_program_of(&diff->pairs[end], program_of(&diff->pairs[i])); end++)
			for (int side = 0; side < 2; side++)
				has[side] |= diff->pairs[end].sides[side] != NULL;
		for (size_t at = i; at < end && !(has[0] && has[1]); at++)
			diff->pairs[at].section = has[0] ? SECTION_ONLY_A : SECTION_ONLY_B;
	}
}

static void put_title(const struct diff *diff, enum section section)
{
	static const char *const titles[SECTIONS] = {
		[SECTION_ONLY_A] = "Programs only in",	 [SECTION_ONLY_B] = "Programs only in",
		[SECTION_ARGS] = "With other arguments", [SECTION_RESULT] = "With other results",
		[SECTION_COUNT] = "More or less often",	 [SECTION_COST] = "At another cost",
	};
	const struct terminal *terminal = diff->terminal;

	terminal_color(terminal, COLOR_BOLD);
	fputs(titles[section], terminal->out);
	if (section == SECTION_ONLY_A || section == SECTION_ONLY_B)
		fprintf(terminal->out, " %s", diff->options->names[section == SECTION_ONLY_B]);
	terminal_color(terminal, COLOR_NONE);
	fputc('\n', terminal->out);
}

static void put_rest(const struct terminal *terminal, const char *text, size_t used)
{
	terminal_put(terminal, text, terminal->width == 0 ? 0 : terminal->width > used ? terminal->width - used : 1);
	fputc('\n', terminal->out);
}

/* "<   12 cc -c a.c" */
static void put_side(const struct terminal *terminal, const struct pair *pair)
{
	const struct group *group = any_side(pair);
	bool is_first = pair->sides[0] != NULL;
	char count[32];

	terminal_color(terminal, is_first ? COLOR_RED : COLOR_GREEN);
	snprintf(count, sizeof(count), "%llu", (unsigned long long)runs(group));
	fputs(is_first ? "< " : "> ", terminal->out);
	terminal_cell(terminal, count, COUNT_WIDTH, true);
	fputc(' ', terminal->out);
	put_rest(terminal, name_of(group, 1), 2 + COUNT_WIDTH + 1);
	terminal_color(terminal, COLOR_NONE);
}

static void write_value(struct text *text, const struct group *group, enum section section)
{
	char span[32];

	if (section == SECTION_COUNT) {
		text_number(text, runs(group));
	} else if (section == SECTION_RESULT) {
		text_printf(text, "%llu of %llu", (unsigned long long)failures(group), (unsigned long long)runs(group));
	} else {
		time_span_format(span, sizeof(span), group->sums.cpu_ns / group->sums.ended);
		text_string(text, span);
	}
}

/* "   3 -> 12 cc -c a.c" */
static void put_change(const struct terminal *terminal, const struct pair *pair)
{
	static const char *const words[SECTIONS] = {
		[SECTION_RESULT] = "failed ", [SECTION_COUNT] = "ran ", [SECTION_COST] = "CPU "
	};
	char value[96];
	struct text text;

	text_begin(&text, value, sizeof(value));
	text_string(&text, words[pair->section]);
	write_value(&text, pair->sides[0], pair->section);
	text_string(&text, " -> ");
	write_value(&text, pair->sides[1], pair->section);
	text_string(&text, ":");
	fprintf(terminal->out, "  %s ", value);
	put_rest(terminal, name_of(pair->sides[0], 1), strlen(value) + 3);
}

static void put_section(const struct diff *diff, enum section section)
{
	const char *program = "";
	size_t shown = 0, all = 0;

	for (size_t i = 0; i < diff->count; i++) {
		const struct pair *pair = &diff->pairs[i];

		if (pair->section != section || all++ >= diff->options->lines)
			continue;
		if (shown++ == 0 && diff->options->legend)
			put_title(diff, section);
		if (!is_program_of(pair, program)) {
			program = program_of(pair);
			put_rest(diff->terminal, program, 0);
		}
		if (pair->sides[0] && pair->sides[1])
			put_change(diff->terminal, pair);
		else
			put_side(diff->terminal, pair);
	}
	if (all > shown)
		fprintf(diff->terminal->out, "  (%zu more)\n", all - shown);
	if (all > 0)
		fputc('\n', diff->terminal->out);
}

int view_diff(const struct terminal *terminal, struct groups *a, struct groups *b, const struct diff_options *options)
{
	struct diff diff = { .terminal = terminal, .options = options };
	bool differ = false;
	int r = make_pairs(&diff, a, b);

	if (r < 0)
		return r;
	find_missing_programs(&diff);
	for (size_t i = 0; i < diff.count; i++)
		differ |= diff.pairs[i].section != SECTIONS;
	for (enum section section = 0; section < SECTIONS; section++)
		put_section(&diff, section);
	free(diff.pairs);
	return differ;
}
