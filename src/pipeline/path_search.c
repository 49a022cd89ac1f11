/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pipeline/path_search.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define NAME_SIZE 255 /* NAME_MAX of linux/limits.h: no file has a longer name */
#define BUCKETS 1024  /* a power of two */

struct search {
	LIST_ENTRY(search) same; /* in its bucket, or in the list of free ones */
	TAILQ_ENTRY(search) order;
	uint32_t tgid, tid;
	uint64_t start;
	uint64_t first, last; /* time of its first and of its last try */
	uint32_t tries;
	uint8_t name_size; /* 0: not open */
	char name[NAME_SIZE];
};
LIST_HEAD(search_list, search);

struct path_searches {
	TAILQ_HEAD(search_order, search) open; /* by their last try */
	struct search_list free;	       /* of those that were used before */
	unsigned used;			       /* the rest was not, so its memory was never touched */
	struct search_list buckets[BUCKETS];   /* by tgid */
	path_search_end end;
	void *userdata;
	struct search searches[SEARCHES_MAX]; /* from 0 on; events count from 1 on */
};

int path_searches_new(struct path_searches **ret, path_search_end end, void *userdata)
{
	struct path_searches *all = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	all->end = end;
	all->userdata = userdata;
	TAILQ_INIT(&all->open);
	*ret = all;
	return 0;
}

struct path_searches *path_searches_free(struct path_searches *all)
{
	free(all);
	return NULL;
}

static struct search_list *bucket(struct path_searches *all, uint32_t tgid)
{
	return &all->buckets[tgid % BUCKETS];
}

/* NULL: all are open. */
static struct search *take_free(struct path_searches *all)
{
	struct search *s = LIST_FIRST(&all->free);

	if (s)
		LIST_REMOVE(s, same);
	else if (all->used < SEARCHES_MAX)
		s = &all->searches[all->used++];
	return s;
}

static void open_search(struct path_searches *all, struct search *s)
{
	LIST_INSERT_HEAD(bucket(all, s->tgid), s, same);
	TAILQ_INSERT_TAIL(&all->open, s, order);
}

static void end_search(struct path_searches *all, struct search *s, bool found)
{
	LIST_REMOVE(s, same);
	TAILQ_REMOVE(&all->open, s, order);
	LIST_INSERT_HEAD(&all->free, s, same);
	s->name_size = 0;
	all->end(all->userdata, (unsigned)(s - all->searches) + 1, found);
}

/* The search of a thread: a thread has one at most. */
static struct search *find(struct path_searches *all, uint32_t tgid, uint64_t start, uint32_t tid)
{
	struct search *s;

	LIST_FOREACH (s, bucket(all, tgid), same)
		if (s->tid == tid && s->tgid == tgid && s->start == start)
			return s;
	return NULL;
}

/* The last component; empty: there is none that can be searched for. */
static struct bytes name_of(struct bytes path)
{
	const char *slash = path.size > 0 ? memrchr(path.data, '/', path.size) : NULL;

	if (!path.data)
		return BYTES("");
	if (slash) {
		path.size -= (size_t)(slash + 1 - path.data);
		path.data = slash + 1;
	}
	return path.size <= NAME_SIZE ? path : BYTES("");
}

static bool has_name(const struct search *s, struct bytes name)
{
	return s->name_size == name.size && memcmp(s->name, name.data, name.size) == 0;
}

/* After these execvp(3) of glibc tries the next folder: posix/execvpe.c, __execvpe_common(). musl continues after the
 * first three (src/process/execvp.c), and so does env(1), which calls execvp(3). */
static bool continues(int error)
{
	return error == ENOENT || error == ENOTDIR || error == EACCES || error == ESTALE || error == ENODEV ||
	       error == ETIMEDOUT;
}

static struct search *begin_search(struct path_searches *all, const struct path_search_call *call, struct bytes name)
{
	struct search *s = take_free(all);

	if (!s) {
		end_search(all, TAILQ_FIRST(&all->open), false);
		s = take_free(all);
	}
	s->tgid = call->tgid;
	s->tid = call->tid;
	s->start = call->start;
	s->first = call->time;
	s->tries = 0;
	s->name_size = (uint8_t)name.size;
	memcpy(s->name, name.data, name.size);
	open_search(all, s);
	return s;
}

/* The open search that the call belongs to; one that it does not belong to has ended. */
static struct search *search_of(struct path_searches *all, const struct path_search_call *call, struct bytes name)
{
	struct search *s = find(all, call->tgid, call->start, call->tid);

	if (s && (!has_name(s, name) || call->time > s->first + PATH_SEARCH_MAX_NS)) {
		end_search(all, s, false);
		return NULL;
	}
	return s;
}

void path_search_failed(struct path_searches *all, const struct path_search_call *call, bool open, struct event *event)
{
	struct bytes name = name_of(call->path);
	struct search *s = search_of(all, call, name);

	if (!continues(event->error)) {
		event->path_tries = s ? s->tries + 1 : 1;
		if (s)
			end_search(all, s, true);
		return;
	}
	if (!s && open && name.size > 0)
		s = begin_search(all, call, name);
	if (!s)
		return;
	s->last = call->time;
	event->path_tries = ++s->tries;
	event->search = (unsigned)(s - all->searches) + 1;
	TAILQ_REMOVE(&all->open, s, order);
	TAILQ_INSERT_TAIL(&all->open, s, order);
}

void path_search_succeeded(struct path_searches *all, const struct path_search_call *call, struct event *event)
{
	struct search *s = search_of(all, call, name_of(call->path));

	if (s) {
		event->path_tries = s->tries + 1;
		end_search(all, s, true);
	}
	path_search_stop(all, call->tgid, call->start, 0);
}

void path_search_stop(struct path_searches *all, uint32_t tgid, uint64_t start, uint32_t tid)
{
	struct search *s = LIST_FIRST(bucket(all, tgid)), *next;

	for (; s; s = next) {
		next = LIST_NEXT(s, same);
		if (s->tgid == tgid && s->start == start && (tid == 0 || s->tid == tid))
			end_search(all, s, false);
	}
}

void path_search_stop_all(struct path_searches *all)
{
	while (!TAILQ_EMPTY(&all->open))
		end_search(all, TAILQ_FIRST(&all->open), false);
}

uint64_t path_search_deadline(const struct path_searches *all)
{
	return TAILQ_EMPTY(&all->open) ? 0 : TAILQ_FIRST(&all->open)->last + PATH_SEARCH_NS;
}

void path_search_expire(struct path_searches *all, uint64_t boot_time)
{
	while (!TAILQ_EMPTY(&all->open) && TAILQ_FIRST(&all->open)->last + PATH_SEARCH_NS <= boot_time)
		end_search(all, TAILQ_FIRST(&all->open), false);
}

/* Archive. */

static void search_archive(struct search *s, struct archive *a)
{
	ARCHIVE(a, s->tgid);
	ARCHIVE(a, s->tid);
	ARCHIVE(a, s->start);
	ARCHIVE(a, s->first);
	ARCHIVE(a, s->last);
	ARCHIVE(a, s->tries);
	ARCHIVE(a, s->name_size);
	archive_raw(a, s->name, s->name_size);
}

/* This one, which is free. */
static struct search *take_this(struct path_searches *all, unsigned i)
{
	struct search *s = &all->searches[i];

	for (; all->used <= i; all->used++)
		LIST_INSERT_HEAD(&all->free, &all->searches[all->used], same);
	LIST_REMOVE(s, same);
	return s;
}

static void read_search(struct path_searches *all, struct archive *a)
{
	struct search *s;
	unsigned i;

	ARCHIVE(a, i);
	if (i >= SEARCHES_MAX || all->searches[i].name_size > 0)
		archive_fail(a);
	if (archive_error(a) < 0)
		return;
	s = take_this(all, i);
	search_archive(s, a);
	if (s->name_size == 0)
		archive_fail(a);
	if (archive_error(a) == 0) {
		open_search(all, s);
		return;
	}
	s->name_size = 0;
	LIST_INSERT_HEAD(&all->free, s, same);
}

int path_search_archive(struct path_searches *all, struct archive *a)
{
	struct search *s;
	size_t count = 0;

	TAILQ_FOREACH(s, &all->open, order)
	count++;
	archive_count(a, &count, SEARCHES_MAX);
	if (archive_is_reading(a)) {
		while (count-- > 0 && archive_error(a) == 0)
			read_search(all, a);
		return archive_error(a);
	}
	TAILQ_FOREACH(s, &all->open, order)
	{
		unsigned i = (unsigned)(s - all->searches);

		ARCHIVE(a, i);
		search_archive(s, a);
	}
	return archive_error(a);
}
