/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/collect/alone.h"

#include <errno.h>
#include <stdlib.h>

struct edge {
	uint64_t time;
	bool starts;
	struct program *program;
};

/* One process at one time, by the number of its first program. */
struct state {
	struct program *program; /* NULL: it does not run */
	size_t children;	 /* that run */
};

/* leaves: processes that run and have no child that does; sum: of their numbers, so that of one it is the number. */
struct sweep {
	struct state *states;
	size_t leaves, sum;
};

static int compare(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	if (x->program->number != y->program->number)
		return x->program->number < y->program->number ? -1 : 1;
	return y->starts - x->starts;
}

static void count_leaf(struct sweep *sweep, const struct program *process, bool is)
{
	const struct state *state = &sweep->states[process->number];

	if (!state->program || state->children > 0)
		return;
	sweep->leaves += is ? 1 : (size_t)-1;
	sweep->sum += is ? process->number : -process->number;
}

static void count_child(struct sweep *sweep, const struct program *parent, bool starts)
{
	if (!parent)
		return;
	count_leaf(sweep, parent->first, false);
	sweep->states[parent->first->number].children += starts ? 1 : (size_t)-1;
	count_leaf(sweep, parent->first, true);
}

static void pass(struct sweep *sweep, const struct edge *edge)
{
	struct program *program = edge->program;
	struct state *state = &sweep->states[program->first->number];

	if (edge->starts) {
		if (!program->previous)
			count_child(sweep, program->parent, true);
		count_leaf(sweep, program->first, false);
		state->program = program;
		count_leaf(sweep, program->first, true);
	} else if (!program->next) {
		count_leaf(sweep, program->first, false);
		state->program = NULL;
		count_child(sweep, program->parent, false);
	}
}

int alone_find(struct recording *recording, uint64_t *ret_total)
{
	_cleanup_free_ struct edge *edges = calloc(2 * recording->count + 1, sizeof(*edges));
	_cleanup_free_ struct state *states = calloc(recording->count + 1, sizeof(*states));
	struct sweep sweep = { .states = states };
	struct program *program;
	size_t count = 0;

	if (!edges || !states)
		return -ENOMEM;
	*ret_total = 0;
	STAILQ_FOREACH(program, &recording->programs, in_order)
	{
		program->alone_ns = 0;
		/* One that was there before may well have idled. */
		if (program->exec_time == 0 && program->has_exec)
			continue;
		edges[count++] = (struct edge){ program->start, true, program };
		edges[count++] = (struct edge){ program->end, false, program };
	}
	qsort(edges, count, sizeof(*edges), compare);
	for (size_t i = 0; i + 1 < count; i++) {
		uint64_t span = edges[i + 1].time - edges[i].time;

		pass(&sweep, &edges[i]);
		if (sweep.leaves != 1)
			continue;
		states[sweep.sum].program->alone_ns += span;
		*ret_total += span;
	}
	return 0;
}
