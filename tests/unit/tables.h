/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tables of processes and what is put into them, for the tests of the process table. */
#pragma once

#include "model/proctable.h"
#include "tap.h"

#define UNLIMITED SIZE_MAX

static inline struct process some(uint32_t tgid, uint64_t start)
{
	return (struct process){ .tgid = tgid, .start = start, .start_time = start + 1000, .comm = BYTES("some") };
}

static inline struct process child_of(const struct process *parent, uint32_t tgid, uint64_t start)
{
	struct process p = some(tgid, start);

	p.ppid = parent->tgid;
	p.parent_start = parent->start;
	return p;
}

static inline struct process with_args(struct process p, struct bytes args)
{
	p.image.args = args;
	p.image.args_size = args.size;
	p.image.argc = 0;
	for (size_t i = 0; i < args.size; i++)
		p.image.argc += args.data[i] == '\0';
	return p;
}

/* `size` bytes of arguments, each of `each` bytes with its NUL. */
static inline struct bytes many_args(size_t size, size_t each)
{
	char *data = malloc(size);

	CHECK(data);
	memset(data, 'a', size);
	for (size_t i = each - 1; i < size; i += each)
		data[i] = '\0';
	data[size - 1] = '\0';
	return (struct bytes){ data, size };
}

/* Of the test; unlimited. */
static struct proctable *table;

static void begin(void)
{
	CHECK_INT(proctable_new(&table, UNLIMITED), 0);
}
SETUP(begin)

static void end(void)
{
	table = proctable_free(table);
}
TEARDOWN(end)

static inline struct entry *add(struct proctable *to, struct process p)
{
	struct entry *e = NULL;

	CHECK_INT(proctable_add(to, &e, &p), 0);
	return e;
}

static inline struct entry *fork_(struct proctable *to, struct process p)
{
	struct entry *e = NULL;

	CHECK_INT(proctable_fork(to, &e, &p), 0);
	return e;
}

static inline struct entry *exec(struct proctable *to, struct process p)
{
	struct entry *e = NULL;

	CHECK_INT(proctable_exec(to, &e, &p), 0);
	return e;
}

static inline struct proctable_cursor *cursor_new(struct proctable *of)
{
	struct proctable_cursor *cursor = NULL;

	CHECK_INT(proctable_cursor_new(&cursor, of), 0);
	return cursor;
}

static inline void check_bytes(struct bytes a, struct bytes b)
{
	CHECK(bytes_equal(a, b));
}
