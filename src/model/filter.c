/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A filter is a list of items for each key. An item is compiled when it is added (a number, an
 * event type, a glob, the number of an error), so an evaluation only compares with the event, and
 * allocates nothing. A bitmap has the keys with items: an empty filter costs one test.
 *
 * `tree` is the one key with state: which processes are in the trees (filter_tree.h). Asking each
 * event's parents would not do, since a process whose parent has ended gets another one, and stays
 * in its tree. A process is in a tree if its tgid is the root's (now or later: a root may be named
 * before it runs), or if its parent was in the tree at the fork. Each process has two bits, for the
 * including and for the excluding entries; children inherit both. Only processes of the table are
 * in the set: filter_exit() removes what filter_fork() added, after the last event of the process.
 *
 * glob.c has the reasons not to use fnmatch(3).
 */
#include "model/filter.h"

#include <errno.h>
#include <stdint.h>

#include "model/filter_item.h"
#include "model/filter_tree.h"
#include "util/charge.h"
#include "util/clock.h"
#include "util/glob.h"
#include "util/nulstr.h"

#define ARG_STEP_BYTES 16   /* of an argument, looked at in one step to find its end */
#define SLICE_STEPS 4096    /* between two looks at the clock */
#define UNTIMED_PATTERNS 16 /* a filter with more may take long for few steps */
#define ERROR_STEPS 64	    /* of matching the name of an error, which is short */
#define END_KEYS (FILTER_BIT(FILTER_RESULT) | FILTER_BIT(FILTER_MIN_RUNNING_TIME) | FILTER_BIT(FILTER_MIN_CPU))

struct items {
	struct filter_item *items;
	size_t count;
	bool has_including;
};

/* Most subscribers want little, and one number refuses most events: it comes first, so that of each
 * of a thousand filters one cache line is read, not three. */
struct filter {
	uint32_t given;		   /* FILTER_BIT(key): it has items */
	uint32_t only;		   /* the one number that passes quick_key */
	enum filter_key quick_key; /* FILTER_KEY_MAX: none is so simple */
	size_t n_entries;
	size_t n_patterns, n_searches, n_tables; /* of them, those that search, and their tables */
	size_t size;				 /* bytes of entries */
	size_t memory;				 /* without that of the tree */
	struct items keys[FILTER_KEY_MAX];
	struct filter_tree tree;
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
	[FILTER_RESULT] = "result",
	[FILTER_LOGINUID] = "loginuid",
	[FILTER_PARENT_COMM] = "parent_comm",
	[FILTER_CWD] = "cwd",
	[FILTER_POD_UID] = "pod_uid",
	[FILTER_SECUREEXEC] = "secureexec",
	[FILTER_MIN_RUNNING_TIME] = "min_running_time",
	[FILTER_MIN_CPU] = "min_cpu",
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
	return filter ? filter->memory + filter_tree_memory(&filter->tree) : 0;
}

struct filter *filter_free(struct filter *filter)
{
	if (!filter)
		return NULL;
	for (size_t key = 0; key < FILTER_KEY_MAX; key++) {
		for (size_t i = 0; i < filter->keys[key].count; i++)
			filter_item_free(&filter->keys[key].items[i]);
		free(filter->keys[key].items);
	}
	free(filter->tree.places);
	free(filter);
	return NULL;
}

/* After an item was added to `key`. */
static void update_quick_key(struct filter *filter, enum filter_key key)
{
	const struct items *items = &filter->keys[key];

	if (!(FILTER_NUMBER_KEYS & FILTER_BIT(key)))
		return;
	if (items->count == 1 && items->has_including) {
		filter->quick_key = key;
		filter->only = (uint32_t)items->items[0].number;
	} else if (filter->quick_key == key) {
		filter->quick_key = FILTER_KEY_MAX;
	}
}

#define STRING(number) STRING_(number)
#define STRING_(number) #number

/* For one more entry. */
static int check_limits(const struct filter *filter, enum filter_key key, struct bytes entry, const char **ret_reason)
{
	if (entry.size > FILTER_ENTRY_SIZE_MAX)
		*ret_reason = "too long, at most " STRING(FILTER_ENTRY_SIZE_MAX) " bytes";
	else if (filter->n_entries >= FILTER_ENTRIES_MAX)
		*ret_reason = "too many entries, at most " STRING(FILTER_ENTRIES_MAX) " in all";
	else if (filter->size + entry.size > FILTER_SIZE_MAX)
		*ret_reason = "too much text, at most " STRING(FILTER_SIZE_MAX) " bytes in all";
	else if (key == FILTER_TREE && filter->keys[key].count >= FILTER_TREES_MAX)
		*ret_reason = "too many trees, at most " STRING(FILTER_TREES_MAX);
	else
		return 0;
	return -E2BIG;
}

static int check_cost(const struct filter *filter, const struct filter_item *item, const char **ret_reason)
{
	const struct glob *glob = item->glob;

	if (!glob)
		return 0;
	if (glob_searches(glob) && filter->n_searches >= FILTER_SEARCHES_MAX)
		*ret_reason =
			"too many patterns with text between two *, at most " STRING(FILTER_SEARCHES_MAX) " in all";
	else if (filter->n_tables + glob_tables(glob) > FILTER_TABLES_MAX)
		*ret_reason = "too many parts with ? or [] between two *, at most " STRING(FILTER_TABLES_MAX) " in all";
	else
		return 0;
	return -E2BIG;
}

int filter_add(struct filter *filter, enum filter_key key, struct bytes entry, const char **ret_reason)
{
	_cleanup_(filter_item_free) struct filter_item item = {};
	struct items *items = &filter->keys[key];
	struct bytes value = entry;
	struct filter_item *grown;
	int r;

	ASSERT(key < FILTER_KEY_MAX);
	ASSERT(entry.data);
	r = check_limits(filter, key, entry, ret_reason);
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
	r = filter_item_parse(&item, key, value, ret_reason);
	if (r < 0)
		return r;
	if (FILTER_SINGLE_KEYS & FILTER_BIT(key) && (item.excludes || items->count > 0)) {
		*ret_reason = item.excludes ? "cannot exclude" : "more than one value";
		return -EINVAL;
	}
	r = check_cost(filter, &item, ret_reason);
	if (r < 0)
		return r;
	item.entry = strndup(entry.data, entry.size);
	grown = item.entry ? reallocarray(items->items, items->count + 1, sizeof(*grown)) : NULL;
	if (!grown)
		return -ENOMEM;
	items->items = grown;
	items->items[items->count++] = item;
	items->has_including = items->has_including || !item.excludes;
	filter->given |= FILTER_BIT(key);
	filter->n_entries++;
	filter->size += entry.size;
	/* The list of items has as many as there are. */
	filter->memory += charge_of(entry.size + 1) + sizeof(item);
	if (item.glob) {
		filter->memory += glob_memory(item.glob);
		filter->n_patterns++;
		filter->n_searches += glob_searches(item.glob);
		filter->n_tables += glob_tables(item.glob);
	}
	item = (struct filter_item){};
	update_quick_key(filter, key);
	return 0;
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
	return filter->given & FILTER_BIT(FILTER_TREE);
}

static uint32_t item_trees(const struct filter_item *item)
{
	return item->excludes ? TREE_EXCLUDED : TREE_INCLUDED;
}

/* By its own tgid, by what is known of it, and by its parent (its fork may have been lost). */
static uint32_t process_trees(const struct filter *filter, const struct process *process)
{
	const struct items *roots = &filter->keys[FILTER_TREE];
	uint32_t trees = filter_tree_find(&filter->tree, process->tgid, process->start);

	/* The parent by identity: it may have ended, and its pid may be another process's by
	 * now. */
	if (process->parent_start != 0)
		trees |= filter_tree_find(&filter->tree, process->ppid, process->parent_start);
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
	return trees ? filter_tree_add(&filter->tree, child->tgid, child->start, trees) : 0;
}

void filter_exit(struct filter *filter, const struct process *process)
{
	if (filter_has_tree(filter))
		filter_tree_remove(&filter->tree, process->tgid, process->start);
}

int filter_follow(struct filter *filter, const struct proctable *table)
{
	if (!filter_has_tree(filter))
		return 0;
	/* The table has parents first, so one pass finds all. */
	for (const struct entry *e = proctable_next(table, NULL); e; e = proctable_next(table, e)) {
		int r = filter_fork(filter, &e->process);

		if (r < 0)
			return r;
	}
	return 0;
}

int filter_archive(struct filter *filter, struct archive *archive)
{
	return filter_tree_archive(filter ? &filter->tree : NULL, archive);
}

/* Finds the argument at place->arg, unless it is known; false: there are no more. */
static bool find_arg(struct bytes args, struct filter_place *place, int64_t *steps)
{
	struct bytes arg;
	size_t next;

	/* After a reload they may be masked: from the beginning. */
	if (place->args_size != args.size) {
		place->args_size = args.size;
		place->arg = place->arg_next = 0;
		place->glob = (struct glob_place){ 0 };
	}
	if (place->arg_next > 0)
		return true;
	next = place->arg;
	if (!nulstr_next(args, &next, &arg))
		return false;
	place->arg_size = arg.size;
	place->arg_next = next;
	*steps -= (int64_t)(arg.size / ARG_STEP_BYTES);
	return true;
}

static enum glob_result item_try_args(const struct filter_item *item, struct bytes args, struct filter_place *place,
				      int64_t *steps)
{
	if (!args.data)
		return GLOB_NO;
	while (find_arg(args, place, steps)) {
		const struct bytes arg = { args.data + place->arg, place->arg_size };
		enum glob_result r = *steps > 0 ? glob_search(item->glob, arg, &place->glob, steps) : GLOB_MORE;

		if (r != GLOB_NO)
			return r;
		place->arg = place->arg_next;
		place->arg_next = 0;
		place->glob = (struct glob_place){ 0 };
	}
	return GLOB_NO;
}

static bool item_matches_error(const struct filter_item *item, const struct event *event)
{
	const char *name;

	if (event->type != EVENT_ERROR)
		return false;
	if (!item->glob)
		return (uint32_t)event->error == item->number;
	name = errno_name(event->error);
	return name && glob_match(item->glob, bytes_of(name));
}

/* What the event has of one of FILTER_NUMBER_KEYS. */
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
	case FILTER_LOGINUID:
		return event->process->loginuid;
	case FILTER_SECUREEXEC:
		return event->process->image.secureexec;
	default:
		return event->process->gid;
	}
}

/* Of an end, and of nothing else. */
static bool item_matches_end(const struct filter_item *item, enum filter_key key, const struct event *event)
{
	if (event->type != EVENT_EXITED)
		return false;
	if (key == FILTER_RESULT)
		return item->number >> event_result(event) & 1;
	if (key == FILTER_MIN_RUNNING_TIME)
		return event->end.running_ns >= item->number;
	return event->end.cpu_known && event->end.cpu_user_ns + event->end.cpu_system_ns >= item->number;
}

static struct bytes text_of(const struct process *process, enum filter_key key)
{
	switch (key) {
	case FILTER_COMM:
		return process->comm;
	case FILTER_EXE:
		return process->image.exe;
	case FILTER_FILENAME:
		return process->image.filename;
	case FILTER_UNIT:
		return process->image.unit;
	case FILTER_CGROUP:
		return process->image.cgroup;
	case FILTER_PARENT_COMM:
		return process->parent_comm;
	case FILTER_CWD:
		return process->image.cwd;
	case FILTER_POD_UID:
		return process->image.pod_uid;
	default:
		return process->image.container_id;
	}
}

static enum glob_result item_try(const struct filter_item *item, enum filter_key key, const struct event *event,
				 struct filter_place *place, int64_t *steps)
{
	struct bytes text;

	if (FILTER_NUMBER_KEYS & FILTER_BIT(key)) {
		(*steps)--;
		return item->number == number_of(event, key) ? GLOB_YES : GLOB_NO;
	}
	if (key == FILTER_ERROR) {
		*steps -= ERROR_STEPS;
		return item_matches_error(item, event) ? GLOB_YES : GLOB_NO;
	}
	if (END_KEYS & FILTER_BIT(key)) {
		(*steps)--;
		return item_matches_end(item, key, event) ? GLOB_YES : GLOB_NO;
	}
	if (key == FILTER_ARGS)
		return item_try_args(item, event->process->image.args, place, steps);
	text = text_of(event->process, key);
	return text.data ? glob_search(item->glob, text, &place->glob, steps) : GLOB_NO;
}

static enum filter_result tree_try(const struct filter *filter, const struct event *event, int64_t *steps)
{
	const struct items *items = &filter->keys[FILTER_TREE];
	uint32_t trees = process_trees(filter, event->process);

	*steps -= (int64_t)items->count;
	return !(trees & TREE_EXCLUDED) && (!items->has_including || trees & TREE_INCLUDED) ? FILTER_YES : FILTER_NO;
}

static enum filter_result key_try(const struct filter *filter, enum filter_key key, const struct event *event,
				  struct filter_place *place, int64_t *steps)
{
	const struct items *items = &filter->keys[key];

	if (key == FILTER_TREE)
		return tree_try(filter, event, steps);
	for (; place->item < items->count; place->item++) {
		const struct filter_item *item = &items->items[place->item];
		enum glob_result r;

		/* One including match is enough; all excluding items are tried. */
		if (!item->excludes && place->passes)
			continue;
		r = *steps > 0 ? item_try(item, key, event, place, steps) : GLOB_MORE;
		if (r == GLOB_MORE)
			return FILTER_MORE;
		if (r == GLOB_YES && item->excludes)
			return FILTER_NO;
		place->passes |= r == GLOB_YES;
		place->arg = place->arg_next = 0;
		place->glob = (struct glob_place){ 0 };
	}
	return place->passes || !items->has_including ? FILTER_YES : FILTER_NO;
}

enum filter_result filter_try(const struct filter *filter, const struct event *event, struct filter_place *place,
			      int64_t *steps)
{
	uint32_t keys = filter->given;

	if (keys == 0 || event->type == EVENT_LOST || event->type == EVENT_LIVE)
		return FILTER_YES;
	ASSERT(event->process);
	if (filter->quick_key != FILTER_KEY_MAX && number_of(event, filter->quick_key) != filter->only)
		return FILTER_NO;
	for (keys &= UINT32_MAX << place->key; keys; keys &= keys - 1) {
		enum filter_key key = (enum filter_key)__builtin_ctz(keys);
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

/* In slices, since the time counts, and is known only afterwards: a filter whose tables are not in the cache would take
 * several times what it may. */
static enum filter_result ask_more(const struct filter *filter, const struct event *event, struct filter_place *place,
				   struct budget_share *share)
{
	uint64_t began = clock_ns(CLOCK_MONOTONIC), now;
	enum filter_result r = FILTER_MORE;
	int64_t left;

	while (r == FILTER_MORE && (left = budget_left(share)) > 0) {
		int64_t slice = left < SLICE_STEPS ? left : SLICE_STEPS, steps = slice;

		r = filter_try(filter, event, place, &steps);
		now = clock_ns(CLOCK_MONOTONIC);
		budget_spend(share, slice - steps, now - began);
		began = now;
	}
	return r;
}

enum filter_result filter_ask(const struct filter *filter, const struct event *event, struct budget_share *share)
{
	struct filter_place place = { 0 };
	const bool is_timed = filter->n_patterns > UNTIMED_PATTERNS && share->budget;
	uint64_t began = is_timed ? clock_ns(CLOCK_MONOTONIC) : 0;
	int64_t free_steps = budget_free(share), steps = free_steps;
	enum filter_result r = filter_try(filter, event, &place, &steps);

	budget_spend_free(share, free_steps - steps, is_timed ? clock_ns(CLOCK_MONOTONIC) - began : 0);
	return r == FILTER_MORE ? ask_more(filter, event, &place, share) : r;
}

bool filter_has_patterns(const struct filter *filter)
{
	return filter->n_patterns > 0;
}
