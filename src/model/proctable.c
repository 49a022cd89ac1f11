/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model. A process is one or more versions, one for each exec that a cursor still has to see.
 * The newest version of a live process is in the hash, by tgid; all versions are in one list,
 * ordered by birth (start, then tgid) and, within a process, by age. A version is current from
 * clock `from` until clock `until`.
 *
 * A snapshot is a cursor: a clock J and its position in the list. It has yet to return the versions
 * after that position with from <= J < until. A version that is replaced or removed is freed at
 * once, unless a cursor is at it or has yet to return it; then it is retained, in the list and not
 * in the hash, until the last such cursor has passed it. Later versions have from > J, so a cursor
 * that is never read again retains nothing but what was alive when it began. The alternatives: a
 * copy of the table for each snapshot costs a new subscriber all the table's memory; a walk over
 * the live table would miss what ends meanwhile and return what is born.
 *
 * Order. Forks come in order, so almost every insert is at the end. The processes found at the
 * start come in order of their pids, which on a machine that has been up for long is no order of
 * birth; searching the list for each would be quadratic. So a version whose place is not near the
 * end is appended, the list is marked unordered, and it is sorted when the order is needed. Cursors
 * under way are not disturbed: the list was in order when they began, they see nothing that came
 * later, and sorting preserves the order of what they see.
 *
 * Memory. A version and its comms are one allocation, the bytes of an image another, shared by
 * forks through a reference count. struct image, the view, is part of each version, since users
 * need it as a plain struct.
 *
 * The hash is chained, so that a removal moves nothing, and so that it cannot fail: if it cannot
 * grow, chains get longer.
 */
#include <errno.h>

#include "model/proctable_internal.h"
#include "util/charge.h"
#include "util/nulstr.h"
#include "util/pool.h"

/* 2^6 buckets at least; grown when there are more processes than buckets, shrunk at an eighth. */
#define BITS_MIN 6
#define BITS_MAX 22 /* pid_max is at most 2^22 (PID_MAX_LIMIT, include/linux/threads.h) */
#define COMM_MAX 16
/* How far from the end a place is searched for. */
#define WALK_MAX 32

static struct version *version_of(const struct entry *entry)
{
	return (struct version *)entry;
}

void image_data_unref(struct proctable *table, struct image_data *data)
{
	if (data && --data->refs == 0) {
		table->args -= data->args;
		table->bytes -= charge_of(data->size);
		if (data->is_retained) {
			table->retained_bytes -= charge_of(data->size);
			table->retained_args -= data->args;
		}
		pool_free(data, data->size);
	}
}

void image_data_retain(struct proctable *table, struct image_data *data)
{
	if (!data || data->live > 0 || data->is_retained)
		return;
	data->is_retained = true;
	table->retained_bytes += charge_of(data->size);
	table->retained_args += data->args;
}

void image_data_enter(struct proctable *table, struct image_data *data)
{
	if (!data || data->live++ > 0 || !data->is_retained)
		return;
	data->is_retained = false;
	table->retained_bytes -= charge_of(data->size);
	table->retained_args -= data->args;
}

static void retain(struct proctable *table, const struct version *version)
{
	table->retained++;
	table->retained_bytes += charge_of(version->size);
	image_data_retain(table, version->image_data);
}

/* Fibonacci hashing: consecutive pids are far apart, and evenly distributed. */
static struct version **bucket(const struct proctable *table, uint32_t tgid)
{
	return &table->buckets[(uint32_t)(tgid * 2654435769u) >> (32 - table->bits)];
}

static void hash_insert(struct proctable *table, struct version *version)
{
	struct version **head = bucket(table, version->entry.process.tgid);

	version->chain = *head;
	*head = version;
}

static void hash_remove(struct proctable *table, struct version *version)
{
	struct version **at = bucket(table, version->entry.process.tgid);

	while (*at != version)
		at = &(*at)->chain;
	*at = version->chain;
	version->chain = NULL;
}

static int hash_resize(struct proctable *table, unsigned bits)
{
	struct version **old = table->buckets, **new = calloc((size_t)1 << bits, sizeof(*new));
	size_t n = old ? (size_t)1 << table->bits : 0;

	if (!new)
		return -ENOMEM;
	table->buckets = new;
	table->bits = bits;
	for (size_t i = 0; i < n; i++) {
		for (struct version *version = old[i], *next; version; version = next) {
			next = version->chain;
			hash_insert(table, version);
		}
	}
	free(old);
	return 0;
}

/* The gap between the limits prevents a resize at each change of a count near one of them. */
static void hash_fit(struct proctable *table)
{
	size_t size = (size_t)1 << table->bits;

	if (table->count > size && table->bits < BITS_MAX)
		(void)hash_resize(table, table->bits + 1);
	else if (table->count < size / 8 && table->bits > BITS_MIN)
		(void)hash_resize(table, table->bits - 1);
}

static void list_insert_after(struct proctable *table, struct version *version, struct version *before)
{
	version->prev = before;
	version->next = before ? before->next : table->first;
	*(version->prev ? &version->prev->next : &table->first) = version;
	*(version->next ? &version->next->prev : &table->last) = version;
}

static void list_remove(struct proctable *table, struct version *version)
{
	*(version->prev ? &version->prev->next : &table->first) = version->next;
	*(version->next ? &version->next->prev : &table->last) = version->prev;
}

static void list_insert(struct proctable *table, struct version *version)
{
	struct version *before = table->last;
	unsigned steps = 0;

	while (!table->unordered && before && version_is_before(version, before)) {
		before = before->prev;
		if (++steps > WALK_MAX)
			table->unordered = true;
	}
	list_insert_after(table, version, table->unordered ? table->last : before);
}

static void version_free(struct proctable *table, struct version *version)
{
	table->bytes -= charge_of(version->size);
	list_remove(table, version);
	image_data_unref(table, version->image_data);
	pool_free(version, version->size);
}

/* The version is superseded. */
static void version_end(struct proctable *table, struct version *version, uint64_t clock)
{
	version->until = clock;
	if (version->image_data)
		version->image_data->live--;
	if (version_is_needed(table, version)) {
		retain(table, version);
		return;
	}
	/* Retained versions may have the same image. */
	image_data_retain(table, version->image_data);
	version_free(table, version);
}

void version_unretain(struct proctable *table, struct version *version)
{
	table->retained--;
	table->retained_bytes -= charge_of(version->size);
	version_free(table, version);
}

/* Copies the bytes; *bytes is then the copy. */
static size_t put(char *to, struct bytes *bytes)
{
	if (bytes->size > 0)
		memcpy(to, bytes->data, bytes->size);
	if (bytes->data)
		bytes->data = to;
	return bytes->size;
}

/* What a process chooses, and is limited. */
static size_t lists_size(const struct image *image)
{
	return image->args.size + image->env.size;
}

/* freed: bytes of lists that will be freed when the image takes its place. */
static void image_cut_lists(const struct proctable *table, struct image *image, size_t freed)
{
	size_t others = table->args - table->retained_args - freed;

	if (others <= table->memory && lists_size(image) <= table->memory - others)
		return;
	if (image->args.size > PROCTABLE_ARGS_MAX) {
		image->args.size = nulstr_cut(image->args, PROCTABLE_ARGS_MAX);
		image->args_truncated = true;
	}
	if (image->env.size > PROCTABLE_ARGS_MAX) {
		image->env.size = nulstr_cut(image->env, PROCTABLE_ARGS_MAX);
		if (image->env.size == 0)
			image->env = BYTES_NONE;
		image->incomplete |= INCOMPLETE_BIT(INCOMPLETE_ENV);
	}
}

/* Bytes of an image. */
struct part {
	struct bytes *bytes;
	const struct bytes *whole; /* a part before this one that may contain it; NULL: none */
	bool is_inside;		   /* it does, at offset: the bytes are not stored twice */
	size_t offset;
};

/* Finds what is inside of what. Returns the bytes to store. */
static size_t parts_layout(struct part *parts, size_t n)
{
	size_t size = 0;

	for (size_t i = 0; i < n; i++) {
		const struct bytes *bytes = parts[i].bytes, *whole = parts[i].whole;
		const char *found = NULL;

		if (whole && whole->size > 0 && bytes->size > 0)
			found = memmem(whole->data, whole->size, bytes->data, bytes->size);
		parts[i].is_inside = found;
		if (found)
			parts[i].offset = (size_t)(found - whole->data);
		else
			size += bytes->size;
	}
	return size;
}

static void parts_store(struct part *parts, size_t n, char *to)
{
	for (size_t i = 0; i < n; i++) {
		if (parts[i].is_inside)
			parts[i].bytes->data = parts[i].whole->data + parts[i].offset;
		else
			to += put(to, parts[i].bytes);
	}
}

int image_copy(struct proctable *table, struct image *image, struct image_data **ret)
{
	struct part parts[] = {
		{ .bytes = &image->exe },
		{ .bytes = &image->filename, .whole = &image->exe },
		{ .bytes = &image->args },
		{ .bytes = &image->cwd },
		{ .bytes = &image->cgroup },
		{ .bytes = &image->unit, .whole = &image->cgroup },
		{ .bytes = &image->container_id, .whole = &image->cgroup },
		{ .bytes = &image->pod_uid, .whole = &image->cgroup },
		{ .bytes = &image->env },
	};
	const size_t n = sizeof(parts) / sizeof(*parts), size = sizeof(**ret) + parts_layout(parts, n);
	bool known = false;
	struct image_data *data;

	for (size_t i = 0; i < n; i++)
		known |= parts[i].bytes->data != NULL;
	if (!known) {
		*ret = NULL;
		return 0;
	}
	data = pool_alloc(size);
	if (!data)
		return -ENOMEM;
	*data = (struct image_data){ .refs = 1, .rules = table->rules, .args = lists_size(image), .size = size };
	table->args += data->args;
	table->bytes += charge_of(data->size);
	parts_store(parts, n, data->data);
	*ret = data;
	return 0;
}

int version_new(struct version **ret, const struct process *process, const struct image *image, struct image_data *data)
{
	struct bytes comm = process->comm, parent_comm = process->parent_comm, ancestors = process->ancestors;
	struct version *version;
	size_t at, size;

	if (comm.size > COMM_MAX)
		comm.size = COMM_MAX;
	if (parent_comm.size > COMM_MAX)
		parent_comm.size = COMM_MAX;
	size = sizeof(*version) + comm.size + parent_comm.size + ancestors.size;
	version = pool_alloc(size);
	if (!version)
		return -ENOMEM;
	version->size = size;
	version->entry = (struct entry){ .process = *process };
	version->entry.process.image = *image;
	at = put(version->comms, &comm);
	at += put(version->comms + at, &parent_comm);
	put(version->comms + at, &ancestors);
	version->entry.process.comm = comm;
	version->entry.process.parent_comm = parent_comm;
	version->entry.process.ancestors = ancestors;
	version->image_data = data;
	version->until = UNTIL_NOW;
	*ret = version;
	return 0;
}

/* The same, with its own copy of the process's image. */
static int version_copy(struct proctable *table, struct version **ret, const struct process *process, size_t freed)
{
	struct image image = process->image;
	struct image_data *data;
	int r;

	image_cut_lists(table, &image, freed);
	r = image_copy(table, &image, &data);
	if (r < 0)
		return r;
	r = version_new(ret, process, &image, data);
	if (r < 0)
		image_data_unref(table, data);
	return r;
}

static void version_go_live(struct proctable *table, struct version *version)
{
	table->bytes += charge_of(version->size);
	image_data_enter(table, version->image_data);
	hash_insert(table, version);
}

/* A new process. */
static void version_enter(struct proctable *table, struct version *version)
{
	version->from = version->entry.born = ++table->clock;
	list_insert(table, version);
	version_go_live(table, version);
	table->count++;
	hash_fit(table);
}

void version_append(struct proctable *table, struct version *version)
{
	list_insert_after(table, version, table->last);
	if (!version_is_live(version)) {
		table->bytes += charge_of(version->size);
		retain(table, version);
		return;
	}
	version_go_live(table, version);
	table->count++;
	hash_fit(table);
}

int proctable_new(struct proctable **ret, size_t memory)
{
	_cleanup_(proctable_free_p) struct proctable *table = calloc(1, sizeof(*table));
	int r;

	if (!table)
		return -ENOMEM;
	table->memory = memory;
	r = hash_resize(table, BITS_MIN);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(table);
	return 0;
}

struct proctable *proctable_free(struct proctable *table)
{
	if (!table)
		return NULL;
	ASSERT(LIST_EMPTY(&table->cursors));
	while (table->first)
		version_free(table, table->first);
	free(table->buckets);
	free(table);
	return NULL;
}

void proctable_set_memory(struct proctable *table, size_t memory)
{
	table->memory = memory;
}

uint64_t proctable_clock(const struct proctable *table)
{
	return table->clock;
}

size_t proctable_count(const struct proctable *table)
{
	return table->count;
}

size_t proctable_memory(const struct proctable *table)
{
	return table->args;
}

size_t proctable_bytes(const struct proctable *table)
{
	return table->bytes + charge_of(((size_t)1 << table->bits) * sizeof(*table->buckets));
}

size_t proctable_retained_bytes(const struct proctable *table)
{
	return table->retained_bytes;
}

size_t proctable_retained(const struct proctable *table)
{
	return table->retained;
}

struct entry *proctable_find(const struct proctable *table, uint32_t tgid, uint64_t start)
{
	struct version *version = *bucket(table, tgid);

	while (version && version->entry.process.tgid != tgid)
		version = version->chain;
	if (!version || (start != 0 && version->entry.process.start != start))
		return NULL;
	return &version->entry;
}

/* The parent's entry. A parent is not younger than its child. */
static struct entry *find_parent(const struct proctable *table, const struct process *process)
{
	struct entry *parent = process->ppid ? proctable_find(table, process->ppid, process->parent_start) : NULL;

	return parent && parent->process.start <= process->start ? parent : NULL;
}

static bool is_known(const struct proctable *table, const struct process *process)
{
	const struct entry *entry = proctable_find(table, process->tgid, 0);

	ASSERT(!entry || entry->process.start == process->start);
	return entry != NULL;
}

int proctable_add(struct proctable *table, struct entry **ret, const struct process *process)
{
	struct version *version;
	int r;

	if (is_known(table, process))
		return PROCTABLE_E_KNOWN;
	r = version_copy(table, &version, process, 0);
	if (r < 0)
		return r;
	version_enter(table, version);
	*ret = &version->entry;
	return 0;
}

static void set_starter(struct process *child, const struct process *parent)
{
	child->starter = parent->execed ? parent->tgid : parent->starter;
	child->starter_start = parent->execed ? parent->start : parent->starter_start;
	child->starter_exec_time = parent->execed ? parent->exec_time : parent->starter_exec_time;
}

int proctable_fork(struct proctable *table, struct entry **ret, const struct process *process)
{
	static const struct image none;
	const struct entry *parent;
	struct version *version;
	struct image_data *data;
	int r;

	if (is_known(table, process))
		return PROCTABLE_E_KNOWN;
	parent = process->forker ? proctable_find(table, process->forker, process->forker_start)
				 : find_parent(table, process);
	data = parent ? version_of(parent)->image_data : NULL;
	r = version_new(&version, process, parent ? &parent->process.image : &none, data);
	if (r < 0)
		return r;
	if (data)
		data->refs++;
	if (parent)
		set_starter(&version->entry.process, &parent->process);
	version_enter(table, version);
	*ret = &version->entry;
	return 0;
}

int proctable_exec(struct proctable *table, struct entry **ret, const struct process *process)
{
	struct entry *entry = proctable_find(table, process->tgid, 0);
	struct version *old = version_of(entry), *version;
	size_t freed = 0;
	int r;

	ASSERT(entry && entry->process.start == process->start);
	if (old->image_data && old->image_data->live == 1)
		freed = old->image_data->args;
	r = version_copy(table, &version, process, freed);
	if (r < 0)
		return r;
	version->entry.process.start_time = entry->process.start_time;
	process_copy_starter(&version->entry.process, &entry->process);
	version->entry.born = entry->born;
	version->entry.announced = entry->announced;
	version->entry.seen = entry->seen;
	version->from = ++table->clock;
	list_insert_after(table, version, old);
	hash_remove(table, old);
	version_go_live(table, version);
	version_end(table, old, version->from);
	*ret = &version->entry;
	return 0;
}

void proctable_remove(struct proctable *table, struct entry *entry)
{
	struct version *version = version_of(entry);

	ASSERT(version_is_live(version));
	hash_remove(table, version);
	table->count--;
	version_end(table, version, ++table->clock);
	hash_fit(table);
}

struct entry *proctable_next(const struct proctable *table, const struct entry *entry)
{
	struct version *version;

	/* const for the user, to whom sorting changes nothing. */
	if (!entry)
		list_order((struct proctable *)table);
	version = entry ? version_of(entry)->next : table->first;
	while (version && !version_is_live(version))
		version = version->next;
	return version ? &version->entry : NULL;
}

size_t proctable_ancestors(const struct proctable *table, const struct process *process, char *ret, size_t size)
{
	/* The kernel's parent_comm is newer than the table's. */
	struct bytes comm = process->parent_comm;
	size_t used = 0;

	while (process && process->ppid != 0) {
		const struct entry *parent = find_parent(table, process);

		if (!comm.data && parent)
			comm = parent->process.comm;
		if (!comm.data)
			comm = process->parent_comm;
		if (!comm.data || comm.size >= size - used)
			break;
		memcpy(ret + used, comm.data, comm.size);
		ret[used + comm.size] = '\0';
		used += comm.size + 1;
		comm = BYTES_NONE;
		process = parent && parent->process.tgid != 1 ? &parent->process : NULL;
	}
	return used;
}
