/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes that events told of, the dead ones too, with their parents and children. */
#ifndef EXECSNOOP_HISTORY_H
#define EXECSNOOP_HISTORY_H

#include <sys/queue.h>

#include "ctl/event/parsed.h"
#include "util/cleanup.h"

/* Strings are never NULL. A process that only others name (a parent) has neither `seen` nor a command. */
struct life {
	struct life *next_of_hash;
	struct life *parent; /* NULL: not known */
	STAILQ_HEAD(, life) children;
	STAILQ_ENTRY(life) sibling;
	STAILQ_ENTRY(life) in_order;
	uint64_t start_time;  /* ns since the epoch */
	uint64_t running_ns;  /* of one that ended */
	uint64_t cpu_ns, rss; /* 0: not known */
	uint32_t pid, uid;
	uint32_t failed; /* execs of this process that failed */
	uint64_t order;	 /* in which they were first named */
	bool seen, ended;
	bool outside;	 /* it ended before the span */
	bool shown;	 /* it or one below it is to be shown; see history_mark_shown() */
	bool has_failed; /* it ended otherwise than in success */
	const char *id, *status, *comm, *command, *unit; /* safe for a terminal, but for id */
	char *json;					 /* its last event, where that is kept */
};

struct history;

/* keep_json: the last event of each process is kept whole. */
int history_new(struct history **ret, bool keep_json);
struct history *history_free(struct history *history);
DEFINE_CLEANUP(struct history *, history_free);

/* Of interest is what lived from since on and before until (ns; 0: no bound). An end at or after until is no end yet.
 */
void history_set_span(struct history *history, uint64_t since, uint64_t until);
/* Events of processes; others are nothing here. 0 or -ENOMEM. */
int history_add(struct history *history, const struct parsed *parsed);
/* alive: only those that have not ended. */
void history_mark_shown(struct history *history, bool alive);
struct life *history_find(const struct history *history, struct bytes id);
/* In the order in which they were first named. */
struct life *history_first(const struct history *history);
size_t history_count(const struct history *history);

#endif
