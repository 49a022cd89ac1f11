/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/collect/tally.h"

#include <errno.h>
#include <stdlib.h>

typedef int (*program_order)(const struct program *, const struct program *);
typedef uint64_t (*tally_value)(const struct tally *);

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
	tally->count++;
	tally->cpu_ns += program->cpu_user_ns + program->cpu_system_ns;
	tally->alone_ns += program->alone_ns;
	tally->running_ns += program->end - program->start;
	if (program->path_ns == 0 || (program->exec_time == 0 && program->has_exec))
		return;
	if (tally->path_count++ == 0 || program->path_start < tally->path_start)
		tally->path_start = program->path_start;
	tally->path_ns += program->path_ns;
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

uint64_t tally_count(const struct tally *tally)
{
	return tally->count;
}

uint64_t tally_cpu(const struct tally *tally)
{
	return tally->cpu_ns;
}

uint64_t tally_alone(const struct tally *tally)
{
	return tally->alone_ns;
}

uint64_t tally_path(const struct tally *tally)
{
	return tally->path_ns;
}

uint64_t tally_longest(const struct tally *tally)
{
	return tally->running_ns;
}

static int compare_values(const void *a, const void *b, void *userdata)
{
	const tally_value *value = userdata;
	uint64_t x = (*value)(a), y = (*value)(b);
	size_t first = ((const struct tally *)a)->program->number, second = ((const struct tally *)b)->program->number;

	if (x != y)
		return x < y ? 1 : -1;
	return (first > second) - (first < second);
}

void tallies_sort(struct tallies *tallies, tally_value value)
{
	qsort_r(tallies->all, tallies->count, sizeof(*tallies->all), compare_values, &value);
}
