/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Searches along $PATH. execvp(3) tries one folder after another, by an exec that fails, until one succeeds. Here are
 * the searches that are open: of a thread whose last exec failed with an error after which execvp(3) tries the next
 * folder. The next exec of that thread belongs to the search if the last component of its path is the same.
 *
 *  - It succeeds: the program was found. Its `started` represents all tries.
 *  - It fails with an error that ends execvp(3): the search ends too, and that error represents all tries.
 *  - Another component, a fork of the thread, an exec or the end of the process, PATH_SEARCH_NS after the last try, a
 *    lost event (it may have been the one that decides): the search failed. Its last error represents all tries.
 *
 * The owner gets the end before the event that causes it. Outputs that fold hold the last error of each open search
 * until then (search_hold.h). The number of searches is bounded; the one with the oldest try ends for a new one. So is
 * the time of one: a program that tries the same path for ever is reported every PATH_SEARCH_MAX_NS.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "handover/archive.h"
#include "model/event.h"
#include "util/bytes.h"
#include "util/cleanup.h"

#define PATH_SEARCH_NS UINT64_C(200000000)
#define PATH_SEARCH_MAX_NS UINT64_C(1000000000) /* from the first try to the last one */

struct path_searches;

/* An exec: whose, of which path. */
struct path_search_call {
	uint32_t tgid, tid;
	uint64_t start; /* of the process */
	uint64_t time;	/* CLOCK_BOOTTIME */
	struct bytes path;
};

/* The end of a search. found: a program was started, or the error that follows represents it. */
typedef void (*path_search_end)(void *userdata, unsigned search, bool found);

int path_searches_new(struct path_searches **ret, path_search_end end, void *userdata);
struct path_searches *path_searches_free(struct path_searches *searches);
DEFINE_CLEANUP(struct path_searches *, path_searches_free);

/* A failed exec. Sets event->path_tries, and event->search if a search is open after it; `open`: it may be. */
void path_search_failed(struct path_searches *searches, const struct path_search_call *call, bool open,
			struct event *event);
/* A successful exec. Ends all searches of the process, and sets event->path_tries. */
void path_search_succeeded(struct path_searches *searches, const struct path_search_call *call, struct event *event);
/* The process, or the thread (tid != 0), has done something else. */
void path_search_stop(struct path_searches *searches, uint32_t tgid, uint64_t start, uint32_t tid);
/* Ends all. */
void path_search_stop_all(struct path_searches *searches);
/* It is boot_time now, and all that happened before is known. */
void path_search_expire(struct path_searches *searches, uint64_t boot_time);
/* The time at which the next search ends by itself, CLOCK_BOOTTIME; 0: none is open. */
uint64_t path_search_deadline(const struct path_searches *searches);

/* On read: there are none before. Searches keep their numbers. */
int path_search_archive(struct path_searches *searches, struct archive *archive);
