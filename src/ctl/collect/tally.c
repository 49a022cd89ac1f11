/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/collect/tally.h"

#include <errno.h>
#include <stdlib.h>

typedef int (*program_order)(const struct program *, const struct program *);

static int compare_bytes(struct bytes a, struct bytes b)
{
	size_t size = a.size < b.size ? a.size : b.size;
	int r = size > 0 ? memcmp(a.data, b.data, size) : 0;

	return r != 0 ? r : (a.size > b.size) - (a.size < b.size);
}

int tally_by_name(const struct program *a, const struct program *b)
{
	return compare_bytes(program_name(a), program_name(b));
}

int tally_by_command(const struct program *a, const struct program *b)
{
	int r = compare_bytes(a->args, b->args);

	if (r == 0)
		r = compare_bytes(a->filename, b->filename);
	return r != 0 ? r : compare_bytes(a->cwd, b->cwd);
}

static int compare_programs(const void *a, const void *b, void *userdata)
{
	const struct program *x = ((const struct tally *)a)->program, *y = ((const struct tally *)b)->program;
	const program_order *order = userdata;
	int r = *order ? (*order)(x, y) : 0;

	return r != 0 ? r : (x->number > y->number) - (x->number < y->number);
}

static void add(struct tally *tally, const struct program *program)
{
	tally->values[TALLY_COUNT]++;
	tally->values[TALLY_CPU] += program->cpu_user_ns + program->cpu_system_ns;
	tally->values[TALLY_ALONE] += program->alone_ns;
	tally->values[TALLY_RUNNING] += program->end - program->start;
	if (program->path_ns == 0 || (program->exec_time == 0 && program->has_exec))
		return;
	if (tally->path_count++ == 0 || program->path_start < tally->path_start)
		tally->path_start = program->path_start;
	tally->values[TALLY_PATH] += program->path_ns;
}

int tallies_make(struct tallies *ret, const struct recording *recording, program_order order)
{
	struct tally *all = calloc(recording->count + 1, sizeof(*all));
	const struct program *program;
	size_t count = 0, used = 0;

	if (!all)
		return -ENOMEM;
	STAILQ_FOREACH(program, &recording->programs, in_order)
	all[count++].program = program;
	qsort_r(all, count, sizeof(*all), compare_programs, &order);
	for (size_t i = 0; i < count; i++) {
		program = all[i].program;
		if (used == 0 || !order || order(all[used - 1].program, program) != 0)
			all[used++] = (struct tally){ .program = program };
		add(&all[used - 1], program);
	}
	*ret = (struct tallies){ all, used };
	return 0;
}

void tallies_free(struct tallies *tallies)
{
	free(tallies->all);
	*tallies = (struct tallies){ 0 };
}

static int compare_values(const void *a, const void *b, void *userdata)
{
	enum tally_value value = *(const enum tally_value *)userdata;
	const struct tally *x = a, *y = b;

	if (x->values[value] != y->values[value])
		return x->values[value] < y->values[value] ? 1 : -1;
	return (x->program->number > y->program->number) - (x->program->number < y->program->number);
}

void tallies_sort(struct tallies *tallies, enum tally_value value)
{
	qsort_r(tallies->all, tallies->count, sizeof(*tallies->all), compare_values, &value);
}
