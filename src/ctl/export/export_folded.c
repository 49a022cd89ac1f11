/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stacks as flamegraph.pl, inferno and speedscope take them: a program under those that led to it, and its own share.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "ctl/export/export.h"

#define FRAMES_MAX 128 /* a longer chain lacks its beginning */
#define NAME_SIZE 128

struct stack {
	char *frames;
	uint64_t value;
};

struct span {
	uint64_t start, end;
};

static int compare_spans(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* Of its time, in us, that in which no child of it ran: a parent's bar is as wide as those above it and this. */
static int own_time(const struct program *program, uint64_t *ret)
{
	const struct program *child;
	size_t count = 0;
	struct span *spans;
	uint64_t own = program->end - program->start, covered = program->start;

	STAILQ_FOREACH(child, &program->children, sibling)
	count++;
	spans = calloc(count + 1, sizeof(*spans));
	if (!spans)
		return -ENOMEM;
	count = 0;
	STAILQ_FOREACH(child, &program->children, sibling)
	{
		const struct program *last = child;

		while (last->next)
			last = last->next;
		spans[count++] = (struct span){ child->start, last->end < program->end ? last->end : program->end };
	}
	qsort(spans, count, sizeof(*spans), compare_spans);
	for (size_t i = 0; i < count; i++) {
		uint64_t from = spans[i].start > covered ? spans[i].start : covered;

		if (spans[i].end <= from)
			continue;
		own -= spans[i].end - from;
		covered = spans[i].end;
	}
	free(spans);
	*ret = own / 1000;
	return 0;
}

static int value_of(const struct program *program, enum weight weight, uint64_t *ret)
{
	switch (weight) {
	case WEIGHT_CPU:
		*ret = (program->cpu_user_ns + program->cpu_system_ns) / 1000;
		return 0;
	case WEIGHT_WALL:
		return own_time(program, ret);
	default:
		*ret = program->exec_time > 0;
		return 0;
	}
}

/* A frame ends at a semicolon. */
static void put_frame(struct text *text, const struct program *program)
{
	char name[NAME_SIZE];
	struct text frame;

	text_begin(&frame, name, sizeof(name));
	text_name(&frame, program_name(program));
	for (char *c = name; *c; c++)
		if (*c == ';')
			*c = ':';
	text_string(text, name);
}

static char *frames_of(const struct program *program)
{
	const struct program *chain[FRAMES_MAX];
	char frames[FRAMES_MAX * (NAME_SIZE + 1)];
	struct text text;
	size_t count = 0;

	for (; program && count < FRAMES_MAX; program = program->parent)
		chain[count++] = program;
	text_begin(&text, frames, sizeof(frames));
	while (count-- > 0) {
		put_frame(&text, chain[count]);
		if (count > 0)
			text_string(&text, ";");
	}
	return strdup(frames);
}

static int compare_stacks(const void *a, const void *b)
{
	return strcmp(((const struct stack *)a)->frames, ((const struct stack *)b)->frames);
}

static void print(FILE *out, const struct stack *stacks, size_t count)
{
	for (size_t i = 0, next; i < count; i = next) {
		uint64_t sum = 0;

		for (next = i; next < count && strcmp(stacks[i].frames, stacks[next].frames) == 0; next++)
			sum += stacks[next].value;
		if (sum > 0)
			fprintf(out, "%s %" PRIu64 "\n", stacks[i].frames, sum);
	}
}

int export_folded(FILE *out, struct recording *recording, const struct export_options *options)
{
	struct stack *stacks = calloc(recording->count + 1, sizeof(*stacks));
	const struct program *program;
	size_t count = 0;
	int r = stacks ? 0 : -ENOMEM;

	STAILQ_FOREACH(program, &recording->programs, in_order)
	{
		if (r < 0)
			break;
		r = value_of(program, options->weight, &stacks[count].value);
		if (r < 0)
			break;
		stacks[count].frames = frames_of(program);
		r = stacks[count].frames ? 0 : -ENOMEM;
		count += r == 0;
	}
	if (r == 0) {
		qsort(stacks, count, sizeof(*stacks), compare_stacks);
		print(out, stacks, count);
	}
	for (size_t i = 0; i < count; i++)
		free(stacks[i].frames);
	free(stacks);
	return r;
}
