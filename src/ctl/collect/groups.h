/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events summed up by keys: what `stats`, `top` and `diff` show. There are at most `max` groups: beyond that the least
 * of them are summed up in one, `other`.
 *
 * A failed exec counts as an error, unless it is part of a search along $PATH: execvp(3) tries one directory after the
 * other, so the earlier tries are `searched`, and so is the last one if the program is found. Where the daemon has
 * folded searches, `path_tries` has their number.
 */
#pragma once

#include "ctl/event/parsed.h"
#include "util/cleanup.h"

enum group_key {
	GROUP_EXE,
	GROUP_UNIT,
	GROUP_USER,
	GROUP_SPAWNER, /* the parent */
	GROUP_CONTAINER,
	GROUP_ARGS, /* the command line */
	GROUP_COMM,
	GROUP_STATUS,
	GROUP_HOST,
	GROUP_PROGRAM, /* exe, masked (mask.h) */
	GROUP_COMMAND, /* args, masked */
	GROUP_KEYS,
};
#define GROUP_KEYS_MAX 4 /* at once */

const char *group_key_name(enum group_key key);
bool group_key_by_name(struct bytes name, enum group_key *ret);

struct sums {
	uint64_t started, ended;
	uint64_t failed;   /* ends other than in success */
	uint64_t errors;   /* execs that failed, without... */
	uint64_t searched; /* ...those of searches along $PATH */
	uint64_t below_100ms, below_1s;
	uint64_t cpu_ns, below_1s_cpu_ns; /* of those that ended: exact, all threads */
	uint64_t running_ns, longest_ns;
	uint64_t rss, read_bytes, write_bytes; /* rss: of the largest */
};

struct group {
	struct sums sums;
	uint64_t running; /* processes now, as far as events report them */
	/* Safe for a terminal. */
	const char *names[GROUP_KEYS_MAX]; /* by key; NULL: this is `other` */
	char *longest, *largest;	   /* command lines; NULL: not known */

	struct group *next_of_hash;
	uint64_t hash;
	size_t names_size; /* of all names, which are one after the other */
	double weight;
	bool gone;
};

struct groups_options {
	enum group_key keys[GROUP_KEYS_MAX];
	size_t key_count;
	size_t max; /* 0: GROUPS_MAX */
	bool numeric;
	bool commands; /* keep the command line of the longest and of the largest */
};
#define GROUPS_MAX 4096

struct groups;

int groups_new(struct groups **ret, const struct groups_options *options);
struct groups *groups_free(struct groups *groups);
DEFINE_CLEANUP(struct groups *, groups_free);

/* Events of processes; others change nothing. 0 or -ENOMEM. */
int groups_add(struct groups *groups, const struct parsed *parsed);
const struct sums *groups_total(const struct groups *groups);
uint64_t groups_running(const struct groups *groups);
const struct groups_options *groups_options(const struct groups *groups);

/* Most first; where that is equal, by name. `other` is the last. */
enum group_order {
	ORDER_STARTED,
	ORDER_CPU,
	ORDER_FAILED, /* failed and errors */
	ORDER_LONGEST,
	ORDER_RSS,
	ORDER_ENDED,
	ORDER_RUNNING,
	ORDER_SHORT, /* below_1s */
	ORDER_MEAN,
	ORDER_READ,
	ORDER_WRITE,
	ORDER_NAME,
	ORDER_IO, /* read and written */
	GROUP_ORDERS,
};
const char *group_order_name(enum group_order order);
bool group_order_by_name(const char *name, enum group_order *ret);
/* As strcmp(3). */
int group_compare(const struct group *x, const struct group *y, enum group_order order);
/* Valid until the groups change. */
struct group *const *groups_sort(struct groups *groups, enum group_order order, size_t *ret_count);

/* Their sums and how many run, for a view that outlives a reset; without command lines. 0 or -ENOMEM. */
int groups_copy(const struct groups *groups, struct groups **ret);

/* All sums to 0; the processes that run stay. */
void groups_reset(struct groups *groups);
