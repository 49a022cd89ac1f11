/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which events pass: CONTRACT section 5, "Filter keys". Made from strings once, then evaluated on
 * the event, not on its JSON, without allocation.
 *
 * A key's value is a list. Entries that begin with '!' exclude. An event passes a key if none of the
 * excluding entries matches and (there are no plain entries or one of them matches). An event passes
 * the filter if it passes every key given. `lost` and `live` always pass. A key that the event has
 * no value for matches no entry. Strings are globs (glob.h: as fnmatch(3) without flags, '*' matches '/' too).
 */
#ifndef EXECSNOOP_FILTER_H
#define EXECSNOOP_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "handover/archive.h"
#include "model/event.h"
#include "model/proctable.h"
#include "util/budget.h"
#include "util/cleanup.h"
#include "util/glob.h"

enum filter_key {
	FILTER_TYPES,
	FILTER_PID,
	FILTER_PPID,
	FILTER_TREE,
	FILTER_UID,
	FILTER_GID,
	FILTER_COMM,
	FILTER_EXE,
	FILTER_FILENAME,
	FILTER_ARGS,
	FILTER_UNIT,
	FILTER_CGROUP,
	FILTER_CONTAINER_ID,
	FILTER_ERROR,
	FILTER_KEY_MAX
};

struct filter;

int filter_new(struct filter **ret);
struct filter *filter_free(struct filter *filter);
DEFINE_CLEANUP(struct filter *, filter_free);

const char *filter_key_name(enum filter_key key);
bool filter_key_by_name(struct bytes name, enum filter_key *ret);

/*
 * Adds one entry ("!" included) to a key. -EINVAL with *ret_reason (a static string: "not a number",
 * "no such event type", ...) if it is no value of that key; -E2BIG with *ret_reason beyond these limits. They are for the whole
 * filter, but the size of one entry.
 */
#define FILTER_ENTRIES_MAX 256
#define FILTER_ENTRY_SIZE_MAX 4096
#define FILTER_SIZE_MAX 65536	/* bytes of entries */
#define FILTER_TREES_MAX 64	/* entries of `tree` */
#define FILTER_SEARCHES_MAX 128 /* patterns with text between two '*': all of a text has to be looked at */
#define FILTER_TABLES_MAX 64	/* parts between two '*' that have a '?' or a '[': each takes 2 KiB */
int filter_add(struct filter *filter, enum filter_key key, struct bytes entry, const char **ret_reason);

/* The entries as they were given, for the `subscribed` answer: NULL after the last. */
const char *filter_entry(const struct filter *filter, enum filter_key key, size_t i);

bool filter_is_empty(const struct filter *filter);

/* `tree` keeps the ids of the processes in its trees, so it must be told of every process:
 * filter_follow, once when it takes effect (walks the table), and filter_note for every fork
 * and exit after (nothing to do, and cheap, without `tree`). An exit is noted after its event has passed. After
 * -ENOMEM of either, or a resync, filter_follow may be called again: it only adds. */
bool filter_has_tree(const struct filter *filter);
int filter_follow(struct filter *filter, const struct proctable *table);
int filter_fork(struct filter *filter, const struct process *child);
void filter_exit(struct filter *filter, const struct process *process);

/* Which processes are in its trees, for an archive; read, it adds to those that it knows. The entries are the owner's to
 * keep. filter NULL: none are written, and what is read is left. 0 or -errno, also of the archive. */
int filter_archive(struct filter *filter, struct archive *archive);

bool filter_pass(const struct filter *filter, const struct event *event);

/*
 * The same with a bound, in steps as glob.h has them: what it costs goes off *steps, and when none are left, it stops. What is
 * done at once may take a little more than there were: an entry's size, and a sixteenth of an argument's.
 */
enum filter_result {
	FILTER_NO,
	FILTER_YES,
	FILTER_MORE, /* called again with the same event and place, it continues */
};
/* How far it is: all zero at the beginning. */
struct filter_place {
	enum filter_key key; /* those before it let the event pass */
	size_t item;	     /* of that key: so many are done */
	bool passes;	     /* and one of them, a plain one, matched */
	size_t arg;	     /* where the argument at hand begins */
	struct glob_place glob;
};
enum filter_result filter_try(const struct filter *filter, const struct event *event, struct filter_place *place,
			      int64_t *steps);
/* The answer within what one event may cost (budget.h); FILTER_MORE: there is none. Without a share it has no bound. */
enum filter_result filter_ask(const struct filter *filter, const struct event *event, struct budget_share *share);
/* What it costs grows with the event. */
bool filter_has_patterns(const struct filter *filter);

/* Memory that it takes; what `tree` follows grows with the processes. NULL: none. */
size_t filter_memory(const struct filter *filter);

#endif
