/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/collect/critical_path.h"

#include <errno.h>
#include <stdlib.h>

/* A process is its first program. */
struct node {
	struct program *process;
	struct program *last; /* its last program */
	size_t waiter; /* number of the process that can have waited for it: its parent; recording->count: none */
};

struct path {
	struct node *nodes; /* by waiter, of each the child that ended last first */
	size_t count;
	size_t *next; /* of each process by number: its next child in nodes */
};

static struct program *last_of(struct program *program)
{
	while (program->next)
		program = program->next;
	return program;
}

/* Nothing has waited for what outlives its parent, or has not ended. */
static size_t waiter_of(const struct recording *recording, struct program *process)
{
	struct program *parent = process->parent;

	return parent && last_of(process)->end <= last_of(parent)->end ? parent->first->number : recording->count;
}

static int compare(const void *a, const void *b)
{
	const struct node *x = a, *y = b;

	if (x->waiter != y->waiter)
		return x->waiter < y->waiter ? -1 : 1;
	if (x->last->end != y->last->end)
		return x->last->end > y->last->end ? -1 : 1;
	return x->process->number > y->process->number ? -1 : 1;
}

/* From `from` to `to` the process was in the path: each of its programs for its time. */
static void add_span(struct program *last, uint64_t from, uint64_t to)
{
	for (struct program *program = last; program && to > from; program = program->previous) {
		uint64_t start = program->previous && program->start > from ? program->start : from;

		if (start >= to)
			continue;
		program->path_ns += to - start;
		program->path_start = start;
		to = start;
	}
}

/* The child that ended last, at `time` or before it. NULL: there is none. */
static const struct node *take_child(const struct path *path, size_t waiter, uint64_t time)
{
	size_t *next = &path->next[waiter];

	while (*next < path->count && path->nodes[*next].waiter == waiter) {
		const struct node *child = &path->nodes[(*next)++];
		bool runs = child->last->outcome == OUTCOME_RUNNING && child->process->parent;

		if (!runs && child->last->end <= time && child->process->start < time)
			return child;
	}
	return NULL;
}

/* Back from `time` on, and from parent to child and back. */
static void walk(const struct recording *recording, const struct path *path, uint64_t time)
{
	struct program *last = NULL; /* of the process; NULL: root */

	for (;;) {
		size_t number = last ? last->first->number : recording->count;
		const struct node *child = take_child(path, number, time);

		if (child) {
			add_span(last, child->last->end, time);
			time = child->last->end;
			last = child->last;
			continue;
		}
		if (!last)
			return;
		add_span(last, last->first->start, time);
		if (last->first->start < time)
			time = last->first->start;
		last = last->first->parent ? last_of(last->first->parent) : NULL;
	}
}

static int make_nodes(struct recording *recording, struct path *path)
{
	struct program *program;

	path->nodes = calloc(recording->count + 1, sizeof(*path->nodes));
	path->next = calloc(recording->count + 1, sizeof(*path->next));
	if (!path->nodes || !path->next)
		return -ENOMEM;
	STAILQ_FOREACH(program, &recording->programs, in_order)
	{
		program->path_ns = program->path_start = 0;
		if (!program->previous)
			path->nodes[path->count++] =
				(struct node){ program, last_of(program), waiter_of(recording, program) };
	}
	qsort(path->nodes, path->count, sizeof(*path->nodes), compare);
	for (size_t i = path->count; i-- > 0;)
		path->next[path->nodes[i].waiter] = i;
	return 0;
}

int critical_path_find(struct recording *recording)
{
	struct path path = { 0 };
	int r = make_nodes(recording, &path);

	if (r == 0)
		walk(recording, &path, recording->end);
	free(path.nodes);
	free(path.next);
	return r;
}
