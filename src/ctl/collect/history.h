/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes that events reported, the dead ones too, with their parents and children. */
#pragma once

#include <sys/queue.h>

#include "ctl/event/parsed.h"
#include "util/cleanup.h"

/* Strings are never NULL. A process that only others name (a parent) has neither `seen` nor a command. */
struct life {
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
	uint64_t hash;	 /* of its id */
	uint64_t shape;	 /* see history_set_shapes() */
	bool seen, ended;
	bool outside;				    /* it ended before the span */
	bool shown;				    /* it or one below it is to be shown; see history_mark_shown() */
	bool has_failed;			    /* it ended otherwise than in success */
	const char *status, *comm, *command, *unit; /* safe for a terminal */
	char *strings;				    /* the memory of these; NULL: they are empty */
	char *json;				    /* its last event, where that is kept */
	char id[];
};

/* What is taken of an event, where it is not kept whole. */
#define HISTORY_KEYS                                                                                                  \
	(KEY_BIT(KEY_TYPE) | KEY_BIT(KEY_TIME) | KEY_BIT(KEY_ID) | KEY_BIT(KEY_PARENT_ID) | KEY_BIT(KEY_START_TIME) | \
	 KEY_BIT(KEY_PID) | KEY_BIT(KEY_UID) | KEY_BIT(KEY_COMM) | KEY_BIT(KEY_EXE) | KEY_BIT(KEY_ARGS) |             \
	 KEY_BIT(KEY_ARGS_TRUNCATED) | KEY_BIT(KEY_UNIT) | KEY_BIT(KEY_RUNNING_TIME_NS) | KEY_BIT(KEY_RESULT) |       \
	 KEY_BIT(KEY_EXIT_CODE) | KEY_BIT(KEY_EXIT_SIGNAL) | KEY_BIT(KEY_CPU_USER_NS) | KEY_BIT(KEY_CPU_SYSTEM_NS) |  \
	 KEY_BIT(KEY_MAX_RSS_BYTES) | KEY_BIT(KEY_ERROR_CODE) | KEY_BIT(KEY_ERROR))

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
/* Those that are shown get the same shape if they ran the same program for the same user, ended alike, and the shown
 * children of each have the same set of shapes. One that only others name has its own. 0 or -ENOMEM. */
int history_set_shapes(struct history *history);
struct life *history_find(const struct history *history, struct bytes id);
/* In the order in which they were first named. */
struct life *history_first(const struct history *history);
size_t history_count(const struct history *history);
