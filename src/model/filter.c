/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A filter is a list of items for each key. An item is compiled when it is added (a number, an event type, a glob, the
 * number of an error), so that filter_pass only compares, on the event itself, and allocates nothing. Keys without
 * items are skipped by a bitmap: an empty filter costs one test.
 *
 * `tree` is the one key with a memory: which processes are in the trees. It is kept by identity (tgid and start), not
 * by asking each event's parents, since a process whose parent has ended gets another one, and stays in its tree.
 * A process is in a tree if its tgid is the root's (now, or when it appears later: a root may be named before it runs),
 * or if its parent was in it when it was forked. Each process has two bits, for the plain and for the excluding
 * entries; the children inherit both. The set has only processes that the table has: filter_exit takes out
 * what filter_fork put in, after the process's last event has passed.
 *
 * Globs are glob.c's and not fnmatch's; that file says why.
 */
#include "model/filter.h"

#include <errno.h>
#include <stdint.h>

#include "util/charge.h"
#include "util/clock.h"
#include "util/glob.h"
#include "util/nulstr.h"

#define MEMBERS_MAX (1u << 22) /* processes: PID_MAX_LIMIT, include/linux/threads.h */
#define ARG_STEP_BYTES 16      /* of an argument, looked at in one step to find its end */
#define ERROR_STEPS 64	       /* of matching the name of an error, which is short */
#define ERRNO_MAX 4095	       /* MAX_ERRNO, include/linux/err.h */

/* Keys whose items are numbers and nothing else. */
#define NUMBER_KEYS                                                                             \
	(UINT32_C(1) << FILTER_TYPES | UINT32_C(1) << FILTER_PID | UINT32_C(1) << FILTER_PPID | \
	 UINT32_C(1) << FILTER_UID | UINT32_C(1) << FILTER_GID)

enum {
	TREE_PLAIN = 1,
	TREE_EXCLUDED = 2,
};

struct member {
	uint64_t start;
	uint32_t tgid;
	uint32_t trees; /* TREE_x; 0: this place is free */
};

/* A hash table with linear probing: a member is found without meeting a free place on the way from its own. */
struct members {
	struct member *places;
	size_t size; /* 0 or a power of two, at least twice the count */
	size_t count;
};

struct item {
	char *entry; /* as given */
	bool excludes;
	uint32_t number;   /* pid and the like, event type, errno */
	struct glob *glob; /* NULL: the number counts */
};

struct items {
	struct item *items;
	size_t count;
	bool has_plain;
};

/*
 * Most subscribers want little, and one number says no to most events: it stands in front, so that of a thousand filters
 * one line of the cache each is read, not three.
 */
struct filter {
	uint32_t given;		   /* bit 1 << key: it has items */
	uint32_t only;		   /* the one number that passes quick_key */
	enum filter_key quick_key; /* FILTER_KEY_MAX: no key is so simple */
	size_t n_entries;
	size_t n_patterns, n_searches, n_tables; /* of them, those that search, and their tables */
	size_t size;				 /* bytes of entries */
	size_t memory;				 /* but for the members */
	struct items keys[FILTER_KEY_MAX];
	struct members members;
};

static const char *const names[FILTER_KEY_MAX] = {
	[FILTER_TYPES] = "types",
	[FILTER_PID] = "pid",
	[FILTER_PPID] = "ppid",
	[FILTER_TREE] = "tree",
	[FILTER_UID] = "uid",
	[FILTER_GID] = "gid",
	[FILTER_COMM] = "comm",
	[FILTER_EXE] = "exe",
	[FILTER_FILENAME] = "filename",
	[FILTER_ARGS] = "args",
	[FILTER_UNIT] = "unit",
	[FILTER_CGROUP] = "cgroup",
	[FILTER_CONTAINER_ID] = "container_id",
	[FILTER_ERROR] = "error",
};

const char *filter_key_name(enum filter_key key)
{
	ASSERT(key < FILTER_KEY_MAX);
	return names[key];
}

bool filter_key_by_name(struct bytes name, enum filter_key *ret)
{
	for (unsigned i = 0; i < FILTER_KEY_MAX; i++) {
		if (bytes_equal(name, bytes_of(names[i]))) {
			*ret = (enum filter_key)i;
			return true;
		}
	}
	return false;
}

int filter_new(struct filter **ret)
{
	struct filter *filter = calloc(1, sizeof(*filter));

	if (!filter)
		return -ENOMEM;
	filter->quick_key = FILTER_KEY_MAX;
	filter->memory = charge_of(sizeof(*filter)) + FILTER_KEY_MAX * charge_of(0);
	*ret = filter;
	return 0;
}

size_t filter_memory(const struct filter *filter)
{
	const struct members *members = filter ? &filter->members : NULL;

	if (!filter)
		return 0;
	return filter->memory + (members->size ? charge_of(members->size * sizeof(*members->places)) : 0);
}

static void item_free(struct item *item)
{
	free(item->entry);
	glob_free(item->glob);
}

struct filter *filter_free(struct filter *filter)
{
	if (!filter)
		return NULL;
	for (size_t key = 0; key < FILTER_KEY_MAX; key++) {
		for (size_t i = 0; i < filter->keys[key].count; i++)
			item_free(&filter->keys[key].items[i]);
		free(filter->keys[key].items);
	}
	free(filter->members.places);
	free(filter);
	return NULL;
}

/* Decimal digits and nothing else. */
static bool number_parse(struct bytes text, uint32_t max, uint32_t *ret)
{
	uint64_t n = 0;

	if (text.size == 0)
		return false;
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(text.data[i] - '0');
		if (n > max)
			return false;
	}
	*ret = (uint32_t)n;
	return true;
}

/* An error is given by its number, negative as in error_code or positive as in errno(3), or by its name, which may be
 * a glob. A name without one that does not exist is a slip of the pen: it would never match. */
static int error_parse(struct item *item, struct bytes value, const char **ret_reason)
{
	struct bytes digits = value, name;
	int r;

	if (digits.size > 0 && digits.data[0] == '-') {
		digits.data++;
		digits.size--;
	}
	if (number_parse(digits, ERRNO_MAX, &item->number) && item->number > 0)
		return 0;
	r = glob_new(&item->glob, value, ret_reason);
	if (r < 0 || !glob_is_literal(item->glob, &name))
		return r;
	for (int i = 1; i <= ERRNO_MAX; i++) {
		const char *known = errno_name(i);

		if (known && bytes_equal(name, bytes_of(known))) {
			item->glob = glob_free(item->glob);
			item->number = (uint32_t)i;
			return 0;
		}
	}
	*ret_reason = "no such error";
	return -EINVAL;
}

static int item_parse(struct item *item, enum filter_key key, struct bytes value, const char **ret_reason)
{
	enum event_type type;

	switch (key) {
	case FILTER_TYPES:
		if (!event_type_by_name(value, &type)) {
			*ret_reason = "no such event type";
			return -EINVAL;
		}
		item->number = type;
		return 0;
	case FILTER_PID:
	case FILTER_PPID:
	case FILTER_TREE:
	case FILTER_UID:
	case FILTER_GID:
		if (!number_parse(value, UINT32_MAX, &item->number)) {
			*ret_reason = "not a number";
			return -EINVAL;
		}
		return 0;
	case FILTER_ERROR:
		return error_parse(item, value, ret_reason);
	default:
		return glob_new(&item->glob, value, ret_reason);
	}
}

/* After an item was added to `key`. */
static void note_quick(struct filter *filter, enum filter_key key)
{
	const struct items *items = &filter->keys[key];

	if (!(NUMBER_KEYS & UINT32_C(1) << key))
		return;
	if (items->count == 1 && items->has_plain) {
		filter->quick_key = key;
		filter->only = items->items[0].number;
	} else if (filter->quick_key == key) {
		filter->quick_key = FILTER_KEY_MAX;
	}
}

#define SAYS(number) SAYS_(number)
#define SAYS_(number) #number

/* For one more entry, whatever it says. */
static int check_room(const struct filter *filter, enum filter_key key, struct bytes entry, const char **ret_reason)
{
	if (entry.size > FILTER_ENTRY_SIZE_MAX)
		*ret_reason = "too long, at most " SAYS(FILTER_ENTRY_SIZE_MAX) " bytes";
	else if (filter->n_entries >= FILTER_ENTRIES_MAX)
		*ret_reason = "too many entries, at most " SAYS(FILTER_ENTRIES_MAX) " in all";
	else if (filter->size + entry.size > FILTER_SIZE_MAX)
		*ret_reason = "too much text, at most " SAYS(FILTER_SIZE_MAX) " bytes in all";
	else if (key == FILTER_TREE && filter->keys[key].count >= FILTER_TREES_MAX)
		*ret_reason = "too many trees, at most " SAYS(FILTER_TREES_MAX);
	else
		return 0;
	return -E2BIG;
}

static int check_cost(const struct filter *filter, const struct glob *glob, const char **ret_reason)
{
	if (glob_searches(glob) && filter->n_searches >= FILTER_SEARCHES_MAX)
		*ret_reason = "too many patterns with text between two *, at most " SAYS(FILTER_SEARCHES_MAX) " in all";
	else if (filter->n_tables + glob_tables(glob) > FILTER_TABLES_MAX)
		*ret_reason = "too many parts with ? or [] between two *, at most " SAYS(FILTER_TABLES_MAX) " in all";
	else
		return 0;
	return -E2BIG;
}

int filter_add(struct filter *filter, enum filter_key key, struct bytes entry, const char **ret_reason)
{
	struct items *items;
	struct item item = { 0 }, *grown;
	struct bytes value = entry;
	const char *reason = NULL;
	int r;

	ASSERT(key < FILTER_KEY_MAX);
	ASSERT(entry.data);
	r = check_room(filter, key, entry, ret_reason);
	if (r < 0)
		return r;
	if (memchr(entry.data, '\0', entry.size)) {
		*ret_reason = "has a NUL byte";
		return -EINVAL;
	}
	if (value.size > 0 && value.data[0] == '!') {
		item.excludes = true;
		value.data++;
		value.size--;
	}
	r = item_parse(&item, key, value, &reason);
	if (r == 0 && item.glob)
		r = check_cost(filter, item.glob, &reason);
	if (r < 0)
		goto fail;
	r = -ENOMEM;
	item.entry = strndup(entry.data, entry.size);
	if (!item.entry)
		goto fail;
	items = &filter->keys[key];
	grown = reallocarray(items->items, items->count + 1, sizeof(*grown));
	if (!grown)
		goto fail;
	items->items = grown;
	items->items[items->count++] = item;
	items->has_plain = items->has_plain || !item.excludes;
	filter->given |= UINT32_C(1) << key;
	filter->n_entries++;
	filter->size += entry.size;
	/* The list of items grows to their number. */
	filter->memory += charge_of(entry.size + 1) + sizeof(item) + (item.glob ? glob_memory(item.glob) : 0);
	if (item.glob && glob_searches(item.glob))
		filter->n_searches++;
	if (item.glob) {
		filter->n_patterns++;
		filter->n_tables += glob_tables(item.glob);
	}
	note_quick(filter, key);
	return 0;
fail:
	item_free(&item);
	if (reason)
		*ret_reason = reason;
	return r;
}

const char *filter_entry(const struct filter *filter, enum filter_key key, size_t i)
{
	ASSERT(key < FILTER_KEY_MAX);
	return i < filter->keys[key].count ? filter->keys[key].items[i].entry : NULL;
}

bool filter_is_empty(const struct filter *filter)
{
	return filter->given == 0;
}

bool filter_has_tree(const struct filter *filter)
{
	return filter->given & UINT32_C(1) << FILTER_TREE;
}

static size_t members_home(const struct members *members, uint32_t tgid, uint64_t start)
{
	uint64_t hash = (start ^ (uint64_t)tgid << 32) * UINT64_C(0x9e3779b97f4a7c15);

	return (size_t)(hash ^ hash >> 32) & (members->size - 1);
}

/* The member's place, or the free one where it would go. There is always a free one: at most half are taken. */
static struct member *members_place(const struct members *members, uint32_t tgid, uint64_t start)
{
	size_t i = members_home(members, tgid, start);

	while (members->places[i].trees && (members->places[i].tgid != tgid || members->places[i].start != start))
		i = (i + 1) & (members->size - 1);
	return &members->places[i];
}

static uint32_t members_trees(const struct members *members, uint32_t tgid, uint64_t start)
{
	return members->count == 0 ? 0 : members_place(members, tgid, start)->trees;
}

static int members_grow(struct members *members)
{
	struct members bigger = { .size = members->size ? 2 * members->size : 64, .count = members->count };

	if (2 * (members->count + 1) <= members->size)
		return 0;
	bigger.places = calloc(bigger.size, sizeof(*bigger.places));
	if (!bigger.places)
		return -ENOMEM;
	for (size_t i = 0; i < members->size; i++) {
		const struct member *old = &members->places[i];

		if (old->trees)
			*members_place(&bigger, old->tgid, old->start) = *old;
	}
	free(members->places);
	*members = bigger;
	return 0;
}

static int members_add(struct members *members, uint32_t tgid, uint64_t start, uint32_t trees)
{
	struct member *place;
	int r = members_grow(members);

	if (r < 0)
		return r;
	place = members_place(members, tgid, start);
	if (place->trees == 0) {
		*place = (struct member){ .start = start, .tgid = tgid };
		members->count++;
	}
	place->trees |= trees;
	return 0;
}

static void members_remove(struct members *members, uint32_t tgid, uint64_t start)
{
	size_t mask = members->size - 1, hole, i;

	if (members_trees(members, tgid, start) == 0)
		return;
	hole = (size_t)(members_place(members, tgid, start) - members->places);
	/* Whoever stands behind the hole and could not be found across it moves into it. */
	for (i = (hole + 1) & mask; members->places[i].trees; i = (i + 1) & mask) {
		const struct member *m = &members->places[i];
		size_t home = members_home(members, m->tgid, m->start);

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			members->places[hole] = *m;
			hole = i;
		}
	}
	members->places[hole].trees = 0;
	members->count--;
}

static uint32_t item_trees(const struct item *item)
{
	return item->excludes ? TREE_EXCLUDED : TREE_PLAIN;
}

/* By what it is, what it is known as, and what its parent is (its own fork may have been lost). */
static uint32_t process_trees(const struct filter *filter, const struct process *process)
{
	const struct items *roots = &filter->keys[FILTER_TREE];
	uint32_t trees = members_trees(&filter->members, process->tgid, process->start);

	/* The parent counts by identity: its pid may be that of an ended process, and somebody else's by now. */
	if (process->parent_start != 0)
		trees |= members_trees(&filter->members, process->ppid, process->parent_start);
	for (size_t i = 0; i < roots->count; i++)
		if (roots->items[i].number == process->tgid)
			trees |= item_trees(&roots->items[i]);
	return trees;
}

int filter_fork(struct filter *filter, const struct process *child)
{
	uint32_t trees;

	if (!filter_has_tree(filter))
		return 0;
	trees = process_trees(filter, child);
	return trees ? members_add(&filter->members, child->tgid, child->start, trees) : 0;
}

void filter_exit(struct filter *filter, const struct process *process)
{
	if (filter_has_tree(filter))
		members_remove(&filter->members, process->tgid, process->start);
}

int filter_follow(struct filter *filter, const struct proctable *table)
{
	if (!filter_has_tree(filter))
		return 0;
	/* Parents come first, so one walk finds all. */
	for (const struct entry *e = proctable_next(table, NULL); e; e = proctable_next(table, e)) {
		int r = filter_fork(filter, &e->process);

		if (r < 0)
			return r;
	}
	return 0;
}

int filter_archive(struct filter *filter, struct archive *a)
{
	size_t count = filter ? filter->members.count : 0;
	int r = 0;

	archive_count(a, &count, MEMBERS_MAX);
	for (size_t i = 0; !archive_is_reading(a) && filter && i < filter->members.size; i++)
		if (filter->members.places[i].trees)
			ARCHIVE(a, filter->members.places[i]);
	for (size_t i = 0; archive_is_reading(a) && r == 0 && i < count; i++) {
		struct member member;

		ARCHIVE(a, member);
		if (filter && archive_error(a) == 0 && member.trees)
			r = members_add(&filter->members, member.tgid, member.start, member.trees);
	}
	return r < 0 ? r : archive_error(a);
}

static enum glob_result item_try_text(const struct item *item, struct bytes text, struct filter_place *place,
				      int64_t *steps)
{
	return text.data ? glob_search(item->glob, text, &place->glob, steps) : GLOB_NO;
}

static enum glob_result item_try_args(const struct item *item, struct bytes args, struct filter_place *place,
				      int64_t *steps)
{
	size_t next = place->arg;
	struct bytes arg;

	if (!args.data)
		return GLOB_NO;
	for (; nulstr_next(args, &next, &arg); place->arg = next) {
		enum glob_result r = *steps > 0 ? glob_search(item->glob, arg, &place->glob, steps) : GLOB_MORE;

		*steps -= (int64_t)(arg.size / ARG_STEP_BYTES);
		if (r != GLOB_NO)
			return r;
		place->glob = (struct glob_place){ 0 };
	}
	return GLOB_NO;
}

static bool item_matches_error(const struct item *item, const struct event *event)
{
	const char *name;

	if (event->type != EVENT_ERROR)
		return false;
	if (!item->glob)
		return (uint32_t)event->error == item->number;
	name = errno_name(event->error);
	return name && glob_match(item->glob, bytes_of(name));
}

/* What the event has of one of NUMBER_KEYS. */
static uint32_t number_of(const struct event *event, enum filter_key key)
{
	switch (key) {
	case FILTER_TYPES:
		return (uint32_t)event->type;
	case FILTER_PID:
		return event->process->tgid;
	case FILTER_PPID:
		return event->process->ppid;
	case FILTER_UID:
		return event->process->uid;
	default:
		return event->process->gid;
	}
}

static enum glob_result item_try(const struct item *item, enum filter_key key, const struct event *event,
				 struct filter_place *place, int64_t *steps)
{
	const struct process *process = event->process;

	if (NUMBER_KEYS & UINT32_C(1) << key) {
		(*steps)--;
		return item->number == number_of(event, key) ? GLOB_YES : GLOB_NO;
	}
	switch (key) {
	case FILTER_COMM:
		return item_try_text(item, process->comm, place, steps);
	case FILTER_EXE:
		return item_try_text(item, process->image.exe, place, steps);
	case FILTER_FILENAME:
		return item_try_text(item, process->image.filename, place, steps);
	case FILTER_ARGS:
		return item_try_args(item, process->image.args, place, steps);
	case FILTER_UNIT:
		return item_try_text(item, process->image.unit, place, steps);
	case FILTER_CGROUP:
		return item_try_text(item, process->image.cgroup, place, steps);
	case FILTER_CONTAINER_ID:
		return item_try_text(item, process->image.container_id, place, steps);
	case FILTER_ERROR:
		*steps -= ERROR_STEPS;
		return item_matches_error(item, event) ? GLOB_YES : GLOB_NO;
	default:
		return GLOB_NO;
	}
}

static enum filter_result tree_try(const struct filter *filter, const struct event *event, int64_t *steps)
{
	const struct items *items = &filter->keys[FILTER_TREE];
	uint32_t trees = process_trees(filter, event->process);

	*steps -= (int64_t)items->count;
	return !(trees & TREE_EXCLUDED) && (!items->has_plain || trees & TREE_PLAIN) ? FILTER_YES : FILTER_NO;
}

static enum filter_result key_try(const struct filter *filter, enum filter_key key, const struct event *event,
				  struct filter_place *place, int64_t *steps)
{
	const struct items *items = &filter->keys[key];

	if (key == FILTER_TREE)
		return tree_try(filter, event, steps);
	for (; place->item < items->count; place->item++) {
		const struct item *item = &items->items[place->item];
		enum glob_result r;

		/* One plain match is enough; the excluding ones are all asked. */
		if (!item->excludes && place->passes)
			continue;
		r = *steps > 0 ? item_try(item, key, event, place, steps) : GLOB_MORE;
		if (r == GLOB_MORE)
			return FILTER_MORE;
		if (r == GLOB_YES && item->excludes)
			return FILTER_NO;
		place->passes |= r == GLOB_YES;
		place->arg = 0;
		place->glob = (struct glob_place){ 0 };
	}
	return place->passes || !items->has_plain ? FILTER_YES : FILTER_NO;
}

enum filter_result filter_try(const struct filter *filter, const struct event *event, struct filter_place *place,
			      int64_t *steps)
{
	uint32_t left = filter->given;

	if (left == 0 || event->type == EVENT_LOST || event->type == EVENT_LIVE)
		return FILTER_YES;
	ASSERT(event->process);
	if (filter->quick_key != FILTER_KEY_MAX && number_of(event, filter->quick_key) != filter->only)
		return FILTER_NO;
	for (left &= UINT32_MAX << place->key; left; left &= left - 1) {
		enum filter_key key = (enum filter_key)__builtin_ctz(left);
		enum filter_result r;

		if (place->key != key)
			*place = (struct filter_place){ .key = key };
		r = key_try(filter, key, event, place, steps);
		if (r != FILTER_YES)
			return r;
	}
	return FILTER_YES;
}

bool filter_pass(const struct filter *filter, const struct event *event)
{
	struct filter_place place = { 0 };
	int64_t steps = INT64_MAX;

	return filter_try(filter, event, &place, &steps) == FILTER_YES;
}

enum filter_result filter_ask(const struct filter *filter, const struct event *event, struct budget_share *share)
{
	struct filter_place place = { 0 };
	int64_t steps = share->budget ? share->budget->free_steps : INT64_MAX, left;
	enum filter_result r = filter_try(filter, event, &place, &steps);
	uint64_t began;

	if (r != FILTER_MORE)
		return r;
	left = steps = budget_left(share);
	if (left <= 0)
		return r;
	began = clock_ns(CLOCK_MONOTONIC);
	r = filter_try(filter, event, &place, &steps);
	budget_spend(share, left - steps, clock_ns(CLOCK_MONOTONIC) - began);
	return r;
}

bool filter_has_patterns(const struct filter *filter)
{
	return filter->n_patterns > 0;
}
