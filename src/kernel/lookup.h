/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looks up processes in /proc, in a child process, which is killed when it waits for one of them:
 * some of these files can block their reader for ever (procfs.c). The part that it was reading
 * stays unknown, and is named in image.incomplete.
 */
#pragma once

#include <stddef.h>

#include "model/process.h"
#include "record.h"
#include "util/cleanup.h"

#define LOOKUP_MAX 64 /* queries at once */

enum lookup_kind {
	LOOKUP_LISTED, /* the image of a process of the kernel's list */
	LOOKUP_HIDDEN, /* ids and image of one that is not in it */
	LOOKUP_ALIVE,  /* only whether it is there */
};

struct lookup_query {
	enum lookup_kind kind;
	struct process process; /* tgid and start; the rest stays as it is */
	struct record_running listed;
	bool insist; /* read what may wait, even if its memory was locked when the list was read */
};

struct lookup_answer {
	int result;		/* 0; -ESRCH: it is gone; -ETIMEDOUT: unknown; -errno */
	bool alive;		/* it was there, and not a zombie */
	struct process process; /* what it points to lives until the next lookup_wait() */
};

struct lookup;

/* proc: a descriptor of /proc (kept, not owned). args_limit, env: as procfs.h has them. */
int lookup_new(struct lookup **ret, int proc, size_t args_limit, bool env);
struct lookup *lookup_free(struct lookup *lookup);
DEFINE_CLEANUP(struct lookup *, lookup_free);

/* Copies the queries. None may be pending. 0 or -ENOMEM. */
int lookup_ask(struct lookup *lookup, const struct lookup_query *queries, size_t count);
/* How many have no answer yet. */
size_t lookup_pending(const struct lookup *lookup);
/* Waits up to `wait_ms` for answers, in the order of the queries: how many there are now, 0 for
 * none yet. Call it again and again while any are pending. */
size_t lookup_wait(struct lookup *lookup, int wait_ms, const struct lookup_answer **ret);
/* Ends the child; the next lookup_ask() starts another one. */
void lookup_rest(struct lookup *lookup);
