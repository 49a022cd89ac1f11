/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which events a person asks for: the daemon's own filter, and what that has no key for. A source may leave out what
 * the query would not pass; query_pass() decides.
 */
#pragma once

#include "ctl/event/parsed.h"
#include "model/filter.h"
#include "util/cleanup.h"

struct query;

int query_new(struct query **ret);
struct query *query_free(struct query *query);
DEFINE_CLEANUP(struct query *, query_free);

/* All of these: -EINVAL with *ret_reason (a static string) if the value is none; -ENOMEM. */

/* "curl", "/usr/bin/curl", "ssh*": one of the programs that are given. Without a slash, it is compared with the comm
 * and with the last component of the path and of the script. */
int query_add_program(struct query *query, const char *glob, const char **ret_reason);
/* KEY=VALUE; several of one key are alternatives, "!" excludes. VALUE is a glob. */
int query_add_pair(struct query *query, const char *pair, const char **ret_reason);
int query_add(struct query *query, enum filter_key key, const char *value, const char **ret_reason);
/* POSIX extended, found somewhere in the command line. */
int query_set_regex(struct query *query, const char *regex, const char **ret_reason);

/* In ns; 0: no bound. */
struct query_bounds {
	uint64_t since, until; /* [since, until), since the epoch */
	/* The times are those in which a process lived, not those of its events: what is needed to know that passes,
	 * also the ends before and after. */
	bool lived;
	bool failed;	      /* only what failed */
	uint64_t slower, cpu; /* only ended processes that took so long, or so much CPU time */
};
struct query_bounds *query_set_bounds(struct query *query);
const struct query_bounds *query_bounds(const struct query *query);

/* `lost` passes whenever its time does. Of `tree` it must see every event, in order, unless query_request() left that
 * to the daemon. */
bool query_pass(struct query *query, const struct parsed *parsed);

/* It asks for nothing but a time. */
bool query_takes_all(const struct query *query);
/* It asks for more than the daemon's filter can. */
bool query_is_local(const struct query *query);
bool query_has_tree(const struct query *query);
/* For callers that do not ask query_pass() of each event at once: of `tree`, this one is seen. */
void query_follow(struct query *query, const struct parsed *parsed);

/* The request that makes the daemon leave out what it can, with a newline; free(3) it. From then on the daemon alone
 * decides `tree`, since it sees forks too. */
int query_request(struct query *query, bool snapshot, char **ret);
