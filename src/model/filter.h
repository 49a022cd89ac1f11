/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which events pass: "Filter keys" in execsnoopd.conf(5). A filter is compiled from strings once,
 * and evaluated on the event, not on its JSON, without allocation.
 *
 * A key's value is a list. Entries that begin with '!' exclude. An event passes a key if none of
 * the excluding entries matches, and one of the others does, if there are others. An event passes
 * the filter if it passes every key with entries. `lost` and `live` always pass. A key that the
 * event has no value for matches no entry. Strings are globs (glob.h: as fnmatch(3) without flags,
 * '*' matches '/' too).
 */
#pragma once

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
	FILTER_RESULT,
	FILTER_LOGINUID,
	FILTER_PARENT_COMM,
	FILTER_CWD,
	FILTER_POD_UID,
	FILTER_SECUREEXEC,
	FILTER_MIN_RUNNING_TIME, /* one entry, which cannot exclude */
	FILTER_MIN_CPU,		 /* as this */
	FILTER_KEY_MAX
};

struct filter;

int filter_new(struct filter **ret);
struct filter *filter_free(struct filter *filter);
DEFINE_CLEANUP(struct filter *, filter_free);

const char *filter_key_name(enum filter_key key);
bool filter_key_by_name(struct bytes name, enum filter_key *ret);

/*
 * Adds one entry ("!" included) to a key. -EINVAL: it is no value of that key; -E2BIG: it exceeds
 * one of these limits, which are for the whole filter, except that on an entry's size. *ret_reason
 * is then a static string ("not a number").
 */
#define FILTER_ENTRIES_MAX 256
#define FILTER_ENTRY_SIZE_MAX 4096
#define FILTER_SIZE_MAX 65536	/* bytes of entries */
#define FILTER_TREES_MAX 64	/* entries of `tree` */
#define FILTER_SEARCHES_MAX 128 /* patterns with text between two '*': all of a text has to be looked at */
#define FILTER_TABLES_MAX 64	/* parts between two '*' that have a '?' or a '[': each takes 2 KiB */
int filter_add(struct filter *filter, enum filter_key key, struct bytes entry, const char **ret_reason);

/* The entries as they were given, for the `subscribed` reply: NULL after the last. */
const char *filter_entry(const struct filter *filter, enum filter_key key, size_t i);

bool filter_is_empty(const struct filter *filter);

/*
 * `tree` follows processes: filter_follow() reads the table, once when the filter takes effect;
 * then come filter_fork() and filter_exit() for each process that enters and leaves the table, an
 * exit after its event. Without `tree` they do nothing, quickly. After -ENOMEM of either, or a
 * resync, filter_follow() may be called again: it only adds.
 */
bool filter_has_tree(const struct filter *filter);
int filter_follow(struct filter *filter, const struct proctable *table);
int filter_fork(struct filter *filter, const struct process *child);
void filter_exit(struct filter *filter, const struct process *process);

/*
 * The processes in its trees; the entries are for the owner to archive. filter NULL stands for
 * none. On read: adds to those that are known; with filter NULL, skips them. Also errors of the
 * archive.
 */
int filter_archive(struct filter *filter, struct archive *archive);

bool filter_pass(const struct filter *filter, const struct event *event);

/*
 * The same within a bound, in steps of glob.h: their cost is subtracted from *steps, and at 0 the
 * evaluation stops. What is done at once may exceed it a little: by an entry's size, and by a
 * sixteenth of an argument's.
 */
enum filter_result {
	FILTER_NO,
	FILTER_YES,
	FILTER_MORE, /* undecided: a call with the same event and place continues */
};
/* How far an evaluation has come; all zero at first. */
struct filter_place {
	enum filter_key key; /* the event passes those before */
	size_t item;	     /* of that key: the next one */
	bool passes;	     /* an including one before has matched */
	size_t args_size;    /* of all arguments */
	size_t arg;	     /* offset of the current one, */
	size_t arg_size;     /* its size, */
	size_t arg_next;     /* and offset of the next one; 0: not known yet */
	struct glob_place glob;
};
enum filter_result filter_try(const struct filter *filter, const struct event *event, struct filter_place *place,
			      int64_t *steps);
/* The result within an event's share of the budget (budget.h); FILTER_MORE: there is none. Without
 * a share there is no bound. */
enum filter_result filter_ask(const struct filter *filter, const struct event *event, struct budget_share *share);
/* The cost of an evaluation grows with the event. */
bool filter_has_patterns(const struct filter *filter);

/* Memory that it takes, which grows with the processes that `tree` follows. filter may be NULL. */
size_t filter_memory(const struct filter *filter);
