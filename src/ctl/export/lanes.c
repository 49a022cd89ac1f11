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

struct layout {
	struct lane *lanes;
	size_t count, size;
};

static int compare(const void *a, const void *b)
{
	const struct program *x = *(const struct program *const *)a, *y = *(const struct program *const *)b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->number < y->number ? -1 : 1;
}

static void drop_ended(struct lane *lane, uint64_t now)
{
	while (lane->depth > 0) {
		const struct program *top = lane->stack[lane->depth - 1];

		if (top->end > now || top->start + BAR_MIN_NS > now)
			break;
		lane->depth--;
	}
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
	lane->stack[lane->depth++] = program;
	if (lane->depth > lane->deepest)
		lane->deepest = lane->depth;
	return 0;
}

static int add_lane(struct layout *layout)
{
	if (layout->count == layout->size) {
		size_t size = layout->size ? 2 * layout->size : 16;
		struct lane *lanes = reallocarray(layout->lanes, size, sizeof(*lanes));

		if (!lanes)
			return -ENOMEM;
		layout->lanes = lanes;
		layout->size = size;
	}
	layout->lanes[layout->count++] = (struct lane){ 0 };
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
	size_t i = near ? near->lane + 1 : 0;

	if (fits(layout, program))
		return push(layout, near->lane, program);
	for (; i < layout->count; i++) {
		drop_ended(&layout->lanes[i], program->start);
		if (layout->lanes[i].depth == 0)
			break;
	}
	if (i == layout->count && add_lane(layout) < 0)
		return -ENOMEM;
	return push(layout, i, program);
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

int lanes_make(struct lanes *ret, const struct recording *recording)
{
	struct layout layout = { 0 };
	int r = place_all(&layout, recording);
	size_t *rows = r == 0 ? calloc(layout.count + 1, sizeof(*rows)) : NULL;

	for (size_t i = 0; i < layout.count; i++) {
		if (rows)
			rows[i + 1] = rows[i] + layout.lanes[i].deepest;
		free(layout.lanes[i].stack);
	}
	free(layout.lanes);
	if (!rows)
		return -ENOMEM;
	*ret = (struct lanes){ .count = layout.count, .rows = rows };
	return 0;
}

void lanes_free(struct lanes *lanes)
{
	free(lanes->rows);
	*lanes = (struct lanes){ 0 };
}
