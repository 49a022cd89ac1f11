/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Open addressing with linear probing; a removal moves those up that its place would cut off. */
#include "ctl/collect/group_process.h"

#include <errno.h>
#include <stdlib.h>

#include "ctl/collect/groups.h"

#define SIZE_FIRST 1024
/* 2^22 processes is the kernel's own limit (PID_MAX_LIMIT in include/linux/threads.h); these are 64 MiB. */
#define SIZE_LIMIT (1U << 21)

struct group_processes {
	struct group_process *table;
	size_t size, count; /* size: a power of two */
};

int group_processes_new(struct group_processes **ret)
{
	struct group_processes *p = calloc(1, sizeof(*p));

	if (p)
		p->table = calloc(SIZE_FIRST, sizeof(*p->table));
	if (!p || !p->table) {
		free(p);
		return -ENOMEM;
	}
	p->size = SIZE_FIRST;
	*ret = p;
	return 0;
}

struct group_processes *group_processes_free(struct group_processes *p)
{
	if (p)
		free(p->table);
	free(p);
	return NULL;
}

static size_t place(const struct group_processes *p, uint64_t id)
{
	size_t i = id & (p->size - 1);

	while (p->table[i].id != 0 && p->table[i].id != id)
		i = (i + 1) & (p->size - 1);
	return i;
}

static int grow(struct group_processes *p)
{
	struct group_processes larger = { .size = 2 * p->size, .count = p->count };

	if (larger.size > SIZE_LIMIT)
		return -ENOSPC;
	larger.table = calloc(larger.size, sizeof(*larger.table));
	if (!larger.table)
		return -ENOMEM;
	for (size_t i = 0; i < p->size; i++)
		if (p->table[i].id != 0)
			larger.table[place(&larger, p->table[i].id)] = p->table[i];
	free(p->table);
	*p = larger;
	return 0;
}

struct group_process *group_processes_get(struct group_processes *p, uint64_t id)
{
	size_t i;

	id += id == 0;
	i = place(p, id);
	if (p->table[i].id == id)
		return &p->table[i];
	if (p->count >= p->size / 4 * 3) {
		if (grow(p) < 0)
			return NULL;
		i = place(p, id);
	}
	p->count++;
	p->table[i] = (struct group_process){ .id = id };
	return &p->table[i];
}

void group_processes_remove(struct group_processes *p, struct group_process *process)
{
	size_t hole = (size_t)(process - p->table), mask = p->size - 1;

	for (size_t i = (hole + 1) & mask; p->table[i].id != 0; i = (i + 1) & mask) {
		size_t home = p->table[i].id & mask;

		/* One that is not reached any more past the hole. */
		if (((i - home) & mask) >= ((i - hole) & mask)) {
			p->table[hole] = p->table[i];
			hole = i;
		}
	}
	p->table[hole].id = 0;
	p->count--;
}

void group_processes_replace(struct group_processes *p, struct group *with)
{
	for (size_t i = 0; i < p->size; i++) {
		struct group_process *process = &p->table[i];

		if (process->id == 0)
			continue;
		if (process->runs_in && process->runs_in->gone)
			process->runs_in = with;
		if (process->failed_in && process->failed_in->gone)
			process->failed_in = with;
	}
}

void group_processes_forget_failures(struct group_processes *p)
{
	for (size_t i = 0; i < p->size; i++)
		p->table[i].failed_in = NULL;
}
