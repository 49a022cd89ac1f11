/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hash table by id, with open addressing: where there are many processes, each look at one of them misses the CPU's
 * cache, so the hashes are in the table. What is shown of a process is made into text when its event comes, cut to what
 * a line can show, so that a million of them take a few hundred bytes each.
 */
#include "ctl/collect/history.h"

#include <errno.h>
#include <stdlib.h>

#include "ctl/text/event_text.h"
#include "output/json.h"
#include "util/bytebuf.h"
#include "util/hash.h"
#include "util/quote.h"

#define COMMAND_SIZE 512
#define TABLE_FIRST 1024
#define ANCESTORS_MAX 4096
#define RECENT 1024 /* a power of two */

struct slot {
	uint64_t hash;
	struct life *life; /* NULL: it is free */
};

struct history {
	struct slot *table;
	struct slot recent[RECENT]; /* by hash, those last looked for */
	size_t size, count;	    /* size: a power of two */
	STAILQ_HEAD(, life) order;
	struct json *json; /* NULL: lines are not kept */
	uint64_t since, until;
};

int history_new(struct history **ret, bool keep_json)
{
	_cleanup_(history_free_p) struct history *h = calloc(1, sizeof(*h));
	int r = 0;

	if (!h)
		return -ENOMEM;
	STAILQ_INIT(&h->order);
	h->size = TABLE_FIRST;
	h->table = calloc(h->size, sizeof(*h->table));
	if (!h->table)
		return -ENOMEM;
	if (keep_json)
		r = json_new(&h->json);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(h);
	return 0;
}

static void life_free(struct life *life)
{
	free(life->strings);
	free(life->json);
	free(life);
}

struct history *history_free(struct history *h)
{
	struct life *life;

	if (!h)
		return NULL;
	while ((life = STAILQ_FIRST(&h->order))) {
		STAILQ_REMOVE_HEAD(&h->order, in_order);
		life_free(life);
	}
	json_free(h->json);
	free(h->table);
	free(h);
	return NULL;
}

static bool is_of(const struct slot *slot, struct bytes id, uint64_t hash)
{
	return slot->life && slot->hash == hash && bytes_equal(id, bytes_of(slot->life->id));
}

/* Its slot, or the free one where it would be. */
static struct slot *find(const struct history *h, struct bytes id, uint64_t hash)
{
	for (size_t i = hash & (h->size - 1);; i = (i + 1) & (h->size - 1)) {
		struct slot *slot = &h->table[i];

		if (!slot->life || is_of(slot, id, hash))
			return slot;
	}
}

struct life *history_find(const struct history *h, struct bytes id)
{
	return find(h, id, bytes_hash(id))->life;
}

static int grow(struct history *h)
{
	size_t size = 2 * h->size;
	struct slot *table = calloc(size, sizeof(*table));

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < h->size; i++) {
		size_t to = h->table[i].hash & (size - 1);

		if (!h->table[i].life)
			continue;
		while (table[to].life)
			to = (to + 1) & (size - 1);
		table[to] = h->table[i];
	}
	free(h->table);
	h->table = table;
	h->size = size;
	return 0;
}

static struct life *add(struct history *h, struct bytes id, uint64_t hash)
{
	struct life *life;

	if (4 * h->count >= 3 * h->size && grow(h) < 0)
		return NULL;
	life = calloc(1, sizeof(*life) + id.size + 1);
	if (!life)
		return NULL;
	memcpy(life->id, id.data, id.size);
	life->hash = hash;
	life->status = life->comm = life->unit = life->command = "";
	STAILQ_INIT(&life->children);
	STAILQ_INSERT_TAIL(&h->order, life, in_order);
	life->order = h->count++;
	*find(h, id, hash) = (struct slot){ hash, life };
	return life;
}

static struct life *get(struct history *h, struct bytes id)
{
	uint64_t hash = bytes_hash(id);
	struct slot *recent = &h->recent[hash & (RECENT - 1)];
	struct life *life;

	if (is_of(recent, id, hash))
		return recent->life;
	life = find(h, id, hash)->life ?: add(h, id, hash);
	if (life)
		*recent = (struct slot){ hash, life };
	return life;
}

static bool is_end(const struct history *h, const struct event *event)
{
	return event->type == EVENT_EXITED && (h->until == 0 || event->time < h->until);
}

/* command, comm, unit and status, in one piece of memory. */
static int set_strings(const struct history *h, struct life *life, const struct parsed *parsed)
{
	const struct process *process = &parsed->process;
	char strings[COMMAND_SIZE + 64 + 160 + 64], *comm, *unit, *status, *end;
	size_t size;
	struct text text;

	text_begin(&text, strings, COMMAND_SIZE);
	text_command(&text, process);
	comm = strings + strlen(strings) + 1;
	text_begin(&text, comm, 64);
	text_name(&text, process->comm);
	unit = comm + strlen(comm) + 1;
	text_begin(&text, unit, 160);
	text_name(&text, process->image.unit);
	status = unit + strlen(unit) + 1;
	status[0] = '\0';
	if (parsed->event.type != EVENT_EXITED || is_end(h, &parsed->event))
		parsed_status(parsed, status, 64);
	end = status + strlen(status) + 1;
	size = (size_t)(end - strings);
	free(life->strings);
	life->strings = malloc(size);
	if (!life->strings)
		return -ENOMEM;
	memcpy(life->strings, strings, size);
	life->command = life->strings;
	life->comm = life->strings + (comm - strings);
	life->unit = life->strings + (unit - strings);
	life->status = life->strings + (status - strings);
	return 0;
}

static int set_json(const struct history *h, struct life *life, const struct parsed *parsed)
{
	struct line *line;
	char *json;
	int r;

	if (!h->json)
		return 0;
	if (parsed->line.data) {
		json = strndup(parsed->line.data, parsed->line.size);
	} else {
		r = json_event(h->json, &line, &parsed->event, parsed->keys);
		if (r < 0)
			return r;
		json = strndup(line->data, line->size - 1);
		line_unref(line);
	}
	if (!json)
		return -ENOMEM;
	free(life->json);
	life->json = json;
	return 0;
}

/* What has too many ancestors is taken for it: no process has them, and each look at them takes its time. */
static bool is_below(const struct life *life, const struct life *other)
{
	size_t n = 0;

	for (; life && n < ANCESTORS_MAX; life = life->parent, n++)
		if (life == other)
			return true;
	return life != NULL;
}

/* A parent stays the one that was named first: later ones have adopted the process. */
static int set_parent(struct history *h, struct life *life, struct bytes id)
{
	struct life *parent;

	if (life->parent || !id.data)
		return 0;
	parent = get(h, id);
	if (!parent)
		return -ENOMEM;
	if (parent == life || (!STAILQ_EMPTY(&life->children) && is_below(parent, life)))
		return 0;
	life->parent = parent;
	STAILQ_INSERT_TAIL(&parent->children, life, sibling);
	return 0;
}

static void add_end(const struct history *h, struct life *life, const struct parsed *parsed)
{
	const struct event *event = &parsed->event;

	life->ended = true;
	life->outside = event->time < h->since;
	life->has_failed = parsed_failed(parsed);
	life->running_ns = event->end.running_ns;
	life->cpu_ns = event->end.cpu_user_ns + event->end.cpu_system_ns;
	life->rss = event->end.max_rss_bytes;
}

void history_set_span(struct history *h, uint64_t since, uint64_t until)
{
	h->since = since;
	h->until = until;
}

int history_add(struct history *h, const struct parsed *parsed)
{
	const struct event *event = &parsed->event;
	struct life *life;
	int r;

	if (event->type >= EVENT_LOST || !parsed->id.data)
		return 0;
	life = get(h, parsed->id);
	if (!life)
		return -ENOMEM;
	life->pid = parsed->process.tgid;
	life->uid = parsed->process.uid;
	life->start_time = parsed->process.start_time;
	r = set_parent(h, life, parsed->parent_id);
	if (r < 0)
		return r;
	if (event->type == EVENT_ERROR) {
		life->failed++;
		/* It names the program that did not run, not the one that runs. */
		if (life->seen)
			return 0;
		life->has_failed = true;
		r = set_strings(h, life, parsed);
		return r < 0 ? r : set_json(h, life, parsed);
	}
	life->seen = true;
	life->has_failed = false;
	r = set_strings(h, life, parsed);
	if (r < 0)
		return r;
	if (is_end(h, event))
		add_end(h, life, parsed);
	return set_json(h, life, parsed);
}

static bool is_shown(const struct life *life, bool alive)
{
	if (alive && (life->ended || !life->seen))
		return false;
	return (life->seen || life->failed > 0) && !life->outside;
}

void history_mark_shown(struct history *h, bool alive)
{
	struct life *life;

	STAILQ_FOREACH(life, &h->order, in_order)
	if (is_shown(life, alive))
		for (struct life *up = life; up && !up->shown; up = up->parent)
			up->shown = true;
}

static int compare_shapes(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Those of its children are set. */
static int set_shape(struct life *life, struct bytebuf *scratch)
{
	uint64_t head[2] = { life->uid, life->ended }, *shapes;
	const struct life *child;
	size_t n = 0, unique = 0;
	int r;

	if (!life->seen) {
		life->shape = life->hash;
		return 0;
	}
	STAILQ_FOREACH(child, &life->children, sibling)
	n += child->shown;
	scratch->size = 0;
	r = bytebuf_reserve(scratch, (n + 2) * sizeof(*shapes) + strlen(life->comm) + strlen(life->status) + 2);
	if (r < 0)
		return r;
	shapes = (uint64_t *)scratch->data;
	n = 0;
	STAILQ_FOREACH(child, &life->children, sibling)
	if (child->shown)
		shapes[n++] = child->shape;
	qsort(shapes, n, sizeof(*shapes), compare_shapes);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || shapes[i] != shapes[unique - 1])
			shapes[unique++] = shapes[i];
	scratch->size = unique * sizeof(*shapes);
	bytebuf_put(scratch, (const char *)head, sizeof(head));
	bytebuf_put(scratch, life->comm, strlen(life->comm) + 1);
	bytebuf_put(scratch, life->status, strlen(life->status) + 1);
	life->shape = bytes_hash((struct bytes){ scratch->data, scratch->size });
	return 0;
}

static struct life *first_leaf(struct life *life)
{
	while (!STAILQ_EMPTY(&life->children))
		life = STAILQ_FIRST(&life->children);
	return life;
}

/* Without recursion: events of others can nest as deep as they like. */
static int set_shapes_below(struct life *root, struct bytebuf *scratch)
{
	for (struct life *life = first_leaf(root);;) {
		int r = life->shown ? set_shape(life, scratch) : 0;

		if (r < 0 || life == root)
			return r;
		life = STAILQ_NEXT(life, sibling) ? first_leaf(STAILQ_NEXT(life, sibling)) : life->parent;
	}
}

int history_set_shapes(struct history *h)
{
	struct bytebuf scratch = { 0 };
	struct life *life;
	int r = 0;

	STAILQ_FOREACH(life, &h->order, in_order)
	{
		if (!life->parent)
			r = set_shapes_below(life, &scratch);
		if (r < 0)
			break;
	}
	bytebuf_free(&scratch);
	return r;
}

struct life *history_first(const struct history *h)
{
	return STAILQ_FIRST(&h->order);
}

size_t history_count(const struct history *h)
{
	return h->count;
}
