/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hash table by id. What is shown of a process is made into text when its event comes, cut to what a line can show,
 * so that a million of them take a few hundred bytes each.
 */
#include "ctl/collect/history.h"

#include <errno.h>
#include <stdlib.h>

#include "ctl/text/event_text.h"
#include "output/json.h"
#include "util/hash.h"
#include "util/quote.h"

#define COMMAND_SIZE 512
#define TABLE_FIRST 1024

struct history {
	struct life **table;
	size_t size, count; /* size: a power of two */
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
	free((char *)life->id);
	free((char *)life->command);
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

struct life *history_find(const struct history *h, struct bytes id)
{
	struct life *life = h->table[bytes_hash(id) & (h->size - 1)];

	while (life && !bytes_equal(id, bytes_of(life->id)))
		life = life->next_of_hash;
	return life;
}

static int grow(struct history *h)
{
	struct life **table = calloc(2 * h->size, sizeof(*table)), *life;

	if (!table)
		return -ENOMEM;
	free(h->table);
	h->table = table;
	h->size *= 2;
	STAILQ_FOREACH(life, &h->order, in_order)
	{
		struct life **head = &table[bytes_hash(bytes_of(life->id)) & (h->size - 1)];

		life->next_of_hash = *head;
		*head = life;
	}
	return 0;
}

static struct life *get(struct history *h, struct bytes id)
{
	struct life *life = history_find(h, id), **head;

	if (life)
		return life;
	if (h->count >= h->size && grow(h) < 0)
		return NULL;
	life = calloc(1, sizeof(*life));
	if (!life)
		return NULL;
	life->id = strndup(id.data, id.size);
	life->status = life->comm = life->unit = "";
	life->command = strdup("");
	if (!life->id || !life->command) {
		life_free(life);
		return NULL;
	}
	STAILQ_INIT(&life->children);
	STAILQ_INSERT_TAIL(&h->order, life, in_order);
	head = &h->table[bytes_hash(id) & (h->size - 1)];
	life->next_of_hash = *head;
	*head = life;
	life->order = h->count++;
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
	char command[COMMAND_SIZE], comm[64], unit[160], status[64], *all, *at;
	struct text text;

	text_begin(&text, command, sizeof(command));
	text_command(&text, process);
	text_begin(&text, comm, sizeof(comm));
	text_name(&text, process->comm);
	text_begin(&text, unit, sizeof(unit));
	text_name(&text, process->image.unit);
	status[0] = '\0';
	if (parsed->event.type != EVENT_EXITED || is_end(h, &parsed->event))
		parsed_status(parsed, status, sizeof(status));
	all = malloc(strlen(command) + strlen(comm) + strlen(unit) + strlen(status) + 4);
	if (!all)
		return -ENOMEM;
	at = stpcpy(all, command) + 1;
	free((char *)life->command);
	life->command = all;
	life->comm = at;
	at = stpcpy(at, comm) + 1;
	life->unit = at;
	at = stpcpy(at, unit) + 1;
	life->status = at;
	strcpy(at, status);
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

static bool is_below(const struct life *life, const struct life *other)
{
	for (; life; life = life->parent)
		if (life == other)
			return true;
	return false;
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
	if (is_below(parent, life))
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

struct life *history_first(const struct history *h)
{
	return STAILQ_FIRST(&h->order);
}

size_t history_count(const struct history *h)
{
	return h->count;
}
