/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process table under random operations, with several slow cursors at once, against a model that is too simple to
 * be wrong: an array, and a sorted copy of it for each cursor.
 */
#include "tables.h"
#include "tap.h"

#define PIDS 300
#define CURSORS 6
#define LIMIT 60000

struct one {
	uint32_t tgid, ppid;
	uint64_t start, parent_start, start_time;
	uint64_t serial; /* of the version: its exec_id */
	uint64_t image;	 /* serial of the version that brought it; 0: none */
	size_t kept;	 /* bytes of its arguments */
};

struct slow {
	struct proctable_cursor *cursor;
	struct one *all;
	size_t n, given;
};

struct model {
	struct proctable *table;
	struct one live[PIDS];
	size_t n;
	struct slow slow[CURSORS];
	uint64_t serial, clock, start;
};

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % n;
}

/* What an image holds follows from its serial. */
static size_t model_args_size(uint64_t image)
{
	return image % 7 == 0 ? 4000 + image * 31 % 9000 : image % 5 == 0 ? 0 : image * 13 % 300 / 10 * 10;
}

static struct bytes model_args(uint64_t image)
{
	static char data[16384];
	size_t size = model_args_size(image);

	for (size_t i = 0; i < size; i++)
		data[i] = i % 10 == 9 || i == size - 1 ? '\0' : (char)('a' + (image + i) % 26);
	return (struct bytes){ data, size };
}

static size_t model_cut(size_t size)
{
	return size <= PROCTABLE_ARGS_MAX ? size : PROCTABLE_ARGS_MAX / 10 * 10;
}

static struct process model_process(const struct one *one, char text[static 128])
{
	int n = snprintf(text, 16, "c%" PRIu64, one->serial), m = snprintf(text + 16, 64, "/bin/%" PRIu64, one->image);
	struct process p = {
		.tgid = one->tgid,
		.start = one->start,
		.ppid = one->ppid,
		.parent_start = one->parent_start,
		.start_time = one->start_time,
		.exec_id = one->serial,
		.comm = { text, (size_t)n },
	};

	if (one->image) {
		p.image.exe = (struct bytes){ text + 16, (size_t)m };
		p = with_args(p, model_args(one->image));
	}
	return p;
}

static void model_check(const struct one *one, const struct entry *e)
{
	struct process p;
	char text[128];

	CHECK(e);
	p = model_process(one, text);
	CHECK_INT(e->process.tgid, p.tgid);
	CHECK_INT(e->process.start, p.start);
	CHECK_INT(e->process.start_time, p.start_time);
	CHECK_INT(e->process.exec_id, p.exec_id);
	CHECK_INT(e->process.ppid, p.ppid);
	check_bytes(e->process.comm, p.comm);
	check_bytes(e->process.image.exe, p.image.exe);
	CHECK_INT(e->process.image.argc, p.image.argc);
	CHECK_INT(e->process.image.args_size, p.image.args_size);
	CHECK_INT(e->process.image.args_truncated, one->image && one->kept < p.image.args.size);
	if (one->image)
		p.image.args.size = one->kept;
	check_bytes(e->process.image.args, p.image.args);
}

static int one_compare(const void *a, const void *b)
{
	const struct one *p = a, *q = b;

	if (p->start != q->start)
		return p->start < q->start ? -1 : 1;
	return p->tgid < q->tgid ? -1 : p->tgid > q->tgid;
}

/* Calls for every version that must be there, live ones first, some perhaps more than once; without the live
 * one numbered `without`, unless a cursor needs it. */
static size_t model_versions(const struct model *m, size_t without, const struct one *ret[static PIDS * (CURSORS + 1)])
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++) {
		if (i != without)
			ret[n++] = &m->live[i];
	}
	for (size_t c = 0; c < CURSORS; c++) {
		const struct slow *slow = &m->slow[c];

		for (size_t i = slow->given ? slow->given - 1 : 0; slow->cursor && i < slow->n; i++)
			ret[n++] = &slow->all[i];
	}
	return n;
}

static size_t model_memory(const struct model *m, size_t without)
{
	const struct one *all[PIDS * (CURSORS + 1)];
	size_t n = model_versions(m, without, all), sum = 0;

	for (size_t i = 0; i < n; i++) {
		bool again = false;

		for (size_t j = 0; j < i && !again; j++)
			again = all[j]->image == all[i]->image;
		if (!again && all[i]->image)
			sum += all[i]->kept;
	}
	return sum;
}

static size_t model_retained(const struct model *m)
{
	const struct one *all[PIDS * (CURSORS + 1)];
	size_t n = model_versions(m, SIZE_MAX, all), sum = 0;

	for (size_t i = 0; i < n; i++) {
		bool again = false;

		for (size_t j = 0; j < i && !again; j++)
			again = all[j]->serial == all[i]->serial;
		sum += !again;
	}
	return sum - m->n;
}

/* Of live processes alone, which is what the limit is about. */
static size_t model_live_memory(const struct model *m, size_t without)
{
	size_t sum = 0;

	for (size_t i = 0; i < m->n; i++) {
		bool again = i == without;

		for (size_t j = 0; j < i && !again; j++)
			again = j != without && m->live[j].image == m->live[i].image;
		if (!again && m->live[i].image)
			sum += m->live[i].kept;
	}
	return sum;
}

static size_t model_kept(const struct model *m, uint64_t image, size_t leaving)
{
	size_t size = model_args_size(image);

	return size <= PROCTABLE_ARGS_MAX || model_live_memory(m, leaving) + size <= LIMIT ? size : model_cut(size);
}

static uint32_t model_free_pid(const struct model *m)
{
	uint32_t pid;
	bool used;

	do {
		pid = 1 + random_below(2 * PIDS);
		used = false;
		for (size_t i = 0; i < m->n; i++)
			used |= m->live[i].tgid == pid;
	} while (used);
	return pid;
}

static void model_fork(struct model *m)
{
	const struct one *parent = m->n ? &m->live[random_below((uint32_t)m->n)] : NULL;
	struct one one = { .serial = ++m->serial, .tgid = model_free_pid(m) };
	struct process p;
	struct entry *e;
	char text[128];

	/* Some begin in the same nanosecond, none in that of its parent. */
	if (random_below(4) || (parent && parent->start == m->start))
		m->start += 1 + random_below(3);
	one.start = m->start;
	one.start_time = one.start * 3;
	if (parent) {
		one.ppid = parent->tgid;
		one.parent_start = parent->start;
		one.image = parent->image;
		one.kept = parent->kept;
	}
	p = model_process(&one, text);
	p.image = (struct image){ .argc = 12345 };
	CHECK_INT(proctable_fork(m->table, &e, &p), 0);
	m->live[m->n++] = one;
	CHECK_INT(e->born, ++m->clock);
	model_check(&one, e);
}

static void model_add(struct model *m)
{
	struct one one = { .serial = ++m->serial, .tgid = model_free_pid(m) };
	struct entry *e;
	struct process p;
	char text[128];

	/* Anywhere in the past. */
	one.start = 1 + random_below((uint32_t)m->start);
	one.image = one.serial;
	one.kept = model_kept(m, one.image, SIZE_MAX);
	p = model_process(&one, text);
	CHECK_INT(proctable_add(m->table, &e, &p), 0);
	m->live[m->n++] = one;
	m->clock++;
	model_check(&one, e);
}

static void model_exec(struct model *m, size_t i)
{
	struct one one = m->live[i];
	struct entry *e = proctable_find(m->table, one.tgid, one.start);
	uint64_t born = e->born;
	struct process p;
	char text[128];

	one.serial = ++m->serial;
	one.image = one.serial;
	one.kept = model_kept(m, one.image, i);
	p = model_process(&one, text);
	p.start_time = 0;
	CHECK_INT(proctable_exec(m->table, &e, &p), 0);
	CHECK_INT(e->born, born);
	m->live[i] = one;
	m->clock++;
	model_check(&one, e);
}

static void model_exit(struct model *m, size_t i)
{
	proctable_remove(m->table, proctable_find(m->table, m->live[i].tgid, 0));
	m->live[i] = m->live[--m->n];
	m->clock++;
}

static void model_close(struct slow *slow)
{
	proctable_cursor_free(slow->cursor);
	free(slow->all);
	*slow = (struct slow){ .cursor = NULL };
}

static void model_read(struct model *m, struct slow *slow)
{
	const struct entry *e;

	if (!slow->cursor) {
		slow->cursor = cursor_new(m->table);
		CHECK_INT(proctable_cursor_clock(slow->cursor), m->clock);
		slow->all = malloc(sizeof(m->live));
		CHECK(slow->all);
		slow->n = m->n;
		memcpy(slow->all, m->live, sizeof(m->live));
		qsort(slow->all, slow->n, sizeof(*slow->all), one_compare);
		return;
	}
	e = proctable_cursor_next(slow->cursor);
	if (slow->given < slow->n) {
		const struct one *one = &slow->all[slow->given++];

		model_check(one, e);
		/* No parent comes after its child. */
		for (size_t i = slow->given; i < slow->n; i++)
			CHECK(slow->all[i].tgid != one->ppid || slow->all[i].start != one->parent_start);
	} else {
		CHECK(!e);
		model_close(slow);
	}
}

static void model_check_all(const struct model *m)
{
	struct one sorted[PIDS];
	struct entry *e = NULL;

	CHECK_INT(proctable_count(m->table), m->n);
	CHECK_INT(proctable_clock(m->table), m->clock);
	CHECK_INT(proctable_memory(m->table), model_memory(m, SIZE_MAX));
	CHECK_INT(proctable_retained(m->table), model_retained(m));
	CHECK((proctable_retained_bytes(m->table) > 0) == (proctable_retained(m->table) > 0));
	CHECK(proctable_retained_bytes(m->table) <= proctable_bytes(m->table));
	memcpy(sorted, m->live, sizeof(sorted));
	qsort(sorted, m->n, sizeof(*sorted), one_compare);
	for (size_t i = 0; i < m->n; i++) {
		e = proctable_next(m->table, e);
		model_check(&sorted[i], e);
		CHECK(proctable_find(m->table, sorted[i].tgid, sorted[i].start) == e);
	}
	CHECK(!proctable_next(m->table, e));
}

/* population: how many processes it swings around. */
static void model_run(uint64_t seed, unsigned steps, size_t population)
{
	struct model m = { .start = 1 };

	CHECK_INT(proctable_new(&m.table, LIMIT), 0);
	random_state = seed;
	for (unsigned step = 0; step < steps; step++) {
		uint32_t what = random_below(100);

		/* Once in a while, all cursors end, so that the list may fall out of order. */
		if (random_below(1000) == 0) {
			for (size_t c = 0; c < CURSORS; c++)
				model_close(&m.slow[c]);
			while (m.n < population)
				model_add(&m);
		}
		if (what < 25 && m.n < PIDS && m.n < 2 * population)
			model_fork(&m);
		else if (what < 28 && m.n < PIDS)
			model_add(&m);
		else if (what < 45 && m.n > 0)
			model_exec(&m, random_below((uint32_t)m.n));
		else if (what < 45 + (m.n > population ? 30 : 20) && m.n > 0)
			model_exit(&m, random_below((uint32_t)m.n));
		else if (what == 99)
			model_close(&m.slow[random_below(CURSORS)]);
		else
			model_read(&m, &m.slow[random_below(CURSORS)]);
		if (step % 64 == 0)
			model_check_all(&m);
	}
	for (size_t c = 0; c < CURSORS; c++)
		model_close(&m.slow[c]);
	CHECK_INT(proctable_retained(m.table), 0);
	model_check_all(&m);
	while (m.n)
		model_exit(&m, 0);
	CHECK_INT(proctable_memory(m.table), 0);
	proctable_free(m.table);
}

TEST(table_agrees_with_the_model)
{
	for (uint64_t seed = 1; seed <= 4; seed++)
		model_run(seed, (unsigned)tap_rounds(20000), 80);
}

TEST(table_agrees_with_the_model_when_nearly_empty)
{
	for (uint64_t seed = 1; seed <= 10; seed++)
		model_run(seed, (unsigned)tap_rounds(5000), 2);
}

TEST(table_agrees_with_the_model_when_large)
{
	model_run(1, (unsigned)tap_rounds(20000), 280);
}

TAP_MAIN
