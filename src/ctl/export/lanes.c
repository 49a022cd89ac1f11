/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/export/lanes.h"

#include <errno.h>
#include <stdlib.h>

/* A shorter one, of which draw() would leave nothing, lies in no other, and takes this long in its lane. */
#define BAR_MIN_NS 1000

/* The bars of a lane at the moment that is being filled: each within the one before. */
struct lane {
	struct program **stack;
	size_t depth, size;
	size_t deepest;
};

/* There are as many lanes as programs; count: those that were used. */
struct layout {
	struct lane *lanes;
	size_t count;
	/* A heap of minima over the lanes, to find an empty one among thousands: that of lane i is at [leaves + i],
	 * that of two is above them, at half their index. */
	uint64_t *empty_from;
	size_t leaves;
};

static int compare(const void *a, const void *b)
{
	const struct program *x = *(const struct program *const *)a, *y = *(const struct program *const *)b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->number < y->number ? -1 : 1;
}

static uint64_t lasts_until(const struct program *program)
{
	uint64_t least = program->start + BAR_MIN_NS;

	return program->end > least ? program->end : least;
}

static void drop_ended(struct lane *lane, uint64_t now)
{
	while (lane->depth > 0) {
		if (lasts_until(lane->stack[lane->depth - 1]) > now)
			break;
		lane->depth--;
	}
}

static void set_empty_from(struct layout *layout, size_t lane, uint64_t time)
{
	uint64_t *heap = layout->empty_from;
	size_t i = layout->leaves + lane;

	heap[i] = time;
	while (i /= 2)
		heap[i] = heap[2 * i] < heap[2 * i + 1] ? heap[2 * i] : heap[2 * i + 1];
}

/* The first lane from there on that is empty at this time. There is one: a program needs no more than one. */
static size_t find_empty(const struct layout *layout, size_t from, uint64_t now)
{
	size_t i = layout->leaves + from;

	while (layout->empty_from[i] > now) {
		while (i % 2 == 1)
			i /= 2;
		i++;
	}
	while (i < layout->leaves) {
		i *= 2;
		i += layout->empty_from[i] > now;
	}
	return i - layout->leaves;
}

static void draw(struct program *program, const struct program *around)
{
	uint64_t from = around ? around->drawn_start : program->start, to = around ? around->drawn_end : program->end;

	program->drawn_end = (program->end < to ? program->end : to) - 1;
	program->drawn_start = program->start < program->drawn_end ? program->start : program->drawn_end;
	if (program->drawn_start < from)
		program->drawn_start = from;
	if (program->drawn_end < program->drawn_start)
		program->drawn_end = program->drawn_start;
}

static int push(struct layout *layout, size_t number, struct program *program)
{
	struct lane *lane = &layout->lanes[number];

	if (lane->depth == lane->size) {
		size_t size = lane->size ? 2 * lane->size : 8;
		struct program **stack = reallocarray(lane->stack, size, sizeof(struct program *));

		if (!stack)
			return -ENOMEM;
		lane->stack = stack;
		lane->size = size;
	}
	draw(program, lane->depth > 0 ? lane->stack[lane->depth - 1] : NULL);
	program->lane = number;
	program->depth = lane->depth;
	/* What lies within a bar ends before it. */
	if (lane->depth == 0)
		set_empty_from(layout, number, lasts_until(program));
	if (number >= layout->count)
		layout->count = number + 1;
	lane->stack[lane->depth++] = program;
	if (lane->depth > lane->deepest)
		lane->deepest = lane->depth;
	return 0;
}

/* Whether all that the process runs from here on can lie in a bar that ends there. */
static bool has_room(const struct program *program, uint64_t end)
{
	for (; program; program = program->next)
		if (program->end > end || program->end - program->start < BAR_MIN_NS)
			return false;
	return true;
}

/* Whether it can go on where the program that it replaces was, or within its parent's bar. */
static bool fits(struct layout *layout, const struct program *program)
{
	const struct program *near = program->previous ? program->previous : program->parent;
	struct lane *lane = near ? &layout->lanes[near->lane] : NULL;
	const struct program *top;

	if (!near)
		return false;
	drop_ended(lane, program->start);
	if (program->previous)
		return lane->depth == near->depth;
	top = lane->depth > 0 ? lane->stack[lane->depth - 1] : NULL;
	return top && top->first == near->first && has_room(program, top->end);
}

static int place(struct layout *layout, struct program *program)
{
	const struct program *near = program->previous ? program->previous : program->parent;
	size_t i;

	if (fits(layout, program))
		return push(layout, near->lane, program);
	i = find_empty(layout, near ? near->lane + 1 : 0, program->start);
	drop_ended(&layout->lanes[i], program->start);
	return push(layout, i, program);
}

static int layout_make(struct layout *ret, size_t programs)
{
	*ret = (struct layout){ .leaves = 1 };
	while (ret->leaves <= programs)
		ret->leaves *= 2;
	ret->lanes = calloc(ret->leaves, sizeof(*ret->lanes));
	ret->empty_from = calloc(2 * ret->leaves, sizeof(*ret->empty_from));
	return ret->lanes && ret->empty_from ? 0 : -ENOMEM;
}

static int place_all(struct layout *layout, const struct recording *recording)
{
	_cleanup_free_ struct program **all = calloc(recording->count + 1, sizeof(struct program *));
	struct program *program;
	size_t count = 0;
	int r = 0;

	if (!all)
		return -ENOMEM;
	STAILQ_FOREACH(program, &recording->programs, in_order)
	all[count++] = program;
	qsort(all, count, sizeof(struct program *), compare);
	for (size_t i = 0; i < count && r == 0; i++)
		r = place(layout, all[i]);
	return r;
}

static void layout_done(struct layout *layout)
{
	for (size_t i = 0; layout->lanes && i < layout->count; i++)
		free(layout->lanes[i].stack);
	free(layout->lanes);
	free(layout->empty_from);
}

int lanes_make(struct lanes *ret, const struct recording *recording)
{
	_cleanup_(layout_done) struct layout layout = { 0 };
	size_t *rows;
	int r = layout_make(&layout, recording->count);

	if (r == 0)
		r = place_all(&layout, recording);
	if (r < 0)
		return r;
	rows = calloc(layout.count + 1, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < layout.count; i++)
		rows[i + 1] = rows[i] + layout.lanes[i].deepest;
	*ret = (struct lanes){ .count = layout.count, .rows = rows };
	return 0;
}

void lanes_free(struct lanes *lanes)
{
	free(lanes->rows);
	*lanes = (struct lanes){ 0 };
}
