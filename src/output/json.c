/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A line is built in memory that stays from event to event, so an event costs one allocation, the
 * line, exactly as large as it is; only the memory of a very long one is freed. If memory is short,
 * the event is lost, and the next one starts afresh.
 *
 * A variable that is twice in an environment is given once (RFC 8259 leaves the meaning of
 * duplicate names open).
 */
#include "output/json.h"

#include <errno.h>

#include "output/json_writer.h"
#include "util/nulstr.h"
#include "util/utf8.h"

#define LONG_LIST 1024		    /* bytes */
#define VARS_SIZE_MAX (256u * 1024) /* bytes of json->vars, from event to event */

/* How a member begins. */
struct prefix {
	char text[32]; /* ,"name": */
	size_t size;
};

struct json {
	struct json_writer writer;
	struct bytebuf vars;  /* struct var: the variables of an environment */
	struct line_map *map; /* NULL: not asked for */
};

struct var {
	struct bytes name, value;
};

static struct prefix prefixes[KEY_MAX], raw_prefixes[KEY_MAX]; /* by key, made by the first json_new() */

/* Copies all of the array, whose size is known to the compiler; what follows the text is
 * overwritten by what comes next. */
static void put_prefix(struct json *json, const struct prefix *prefix)
{
	struct bytebuf *out = &json->writer.out;

	if (!json_reserve(&json->writer, sizeof(prefix->text)))
		return;
	memcpy(out->data + out->size, prefix->text, sizeof(prefix->text));
	out->size += prefix->size;
}

static void put_key(struct json *json, enum key key)
{
	struct line_map *map = json->map;

	if (map) {
		ASSERT(map->count < KEY_MAX);
		map->keys[map->count].key = key;
		map->keys[map->count++].at = json->writer.out.size;
	}
	put_prefix(json, &prefixes[key]);
}

/* What event_visit calls. */

static int on_number(void *userdata, enum key key, int64_t value)
{
	struct json *json = userdata;
	struct bytebuf *out = &json->writer.out;

	put_key(json, key);
	if (json_reserve(&json->writer, EVENT_NUMBER_SIZE))
		out->size += event_number_format(out->data + out->size, key, value);
	return json->writer.r;
}

static int on_flag(void *userdata, enum key key)
{
	struct json *json = userdata;

	put_key(json, key);
	json_put(&json->writer, "true", 4);
	return json->writer.r;
}

static int on_text(void *userdata, enum key key, const char *value)
{
	struct json *json = userdata;

	put_key(json, key);
	json_put_ascii(&json->writer, bytes_of(value));
	return json->writer.r;
}

static int on_time(void *userdata, enum key key, uint64_t ns)
{
	struct json *json = userdata;
	char time[EVENT_TIME_SIZE];

	event_time_format(time, ns);
	put_key(json, key);
	json_put_ascii(&json->writer, (struct bytes){ time, sizeof(time) - 1 });
	return json->writer.r;
}

static int on_bytes(void *userdata, enum key key, struct bytes value)
{
	struct json *json = userdata;

	put_key(json, key);
	if (json_put_utf8(&json->writer, value) && key_has_raw(key)) {
		put_prefix(json, &raw_prefixes[key]);
		json_put_base64(&json->writer, value);
	}
	return json->writer.r;
}

static void put_items(struct json *json, struct bytes items, bool raw)
{
	size_t begin = json->writer.out.size;
	struct bytes item;

	for (size_t at = 0; nulstr_next(items, &at, &item);) {
		json_put_char(&json->writer, ',');
		if (raw)
			json_put_base64(&json->writer, item);
		else
			json_put_utf8(&json->writer, item);
	}
	json_put_brackets(&json->writer, begin, '[', ']');
}

static int on_list(void *userdata, enum key key, struct bytes items)
{
	struct json *json = userdata;
	struct json_writer *w = &json->writer;

	put_key(json, key);
	if (items.size >= LONG_LIST) {
		if (json_put_list(w, items) && key_has_raw(key)) {
			put_prefix(json, &raw_prefixes[key]);
			json_put_base64_list(w, items);
		}
		return w->r;
	}
	put_items(json, items, false);
	/* NUL is ASCII: all items are UTF-8 just when the whole list is. */
	if (key_has_raw(key) && utf8_valid(items.data, items.size) < items.size) {
		put_prefix(json, &raw_prefixes[key]);
		put_items(json, items, true);
	}
	return w->r;
}

/* By name, then by place. */
static int compare_vars(const void *a, const void *b)
{
	const struct var *left = a, *right = b;
	size_t size = left->name.size < right->name.size ? left->name.size : right->name.size;
	int r = memcmp(left->name.data, right->name.data, size);

	if (r == 0 && left->name.size != right->name.size)
		r = left->name.size < right->name.size ? -1 : 1;
	return r != 0 ? r : left->name.data < right->name.data ? -1 : 1;
}

static int compare_places(const void *a, const void *b)
{
	const struct var *left = a, *right = b;

	return left->name.data < right->name.data ? -1 : 1;
}

/* Removes all but the first of each name, as getenv(3) does. Sorts, since the number of variables
 * is up to the process. */
static size_t unique_vars(struct var *vars, size_t count)
{
	size_t n = 1;

	if (count < 2)
		return count;
	qsort(vars, count, sizeof(*vars), compare_vars);
	for (size_t i = 1; i < count; i++) {
		if (!bytes_equal(vars[i].name, vars[n - 1].name))
			vars[n++] = vars[i];
	}
	qsort(vars, n, sizeof(*vars), compare_places);
	return n;
}

/* A string without a name or without '=' is no variable. */
static int find_vars(struct json *json, struct bytes items, size_t *ret_count)
{
	struct bytes item;

	json->vars.size = 0;
	for (size_t at = 0; nulstr_next(items, &at, &item);) {
		const char *sign = memchr(item.data, '=', item.size);
		struct var var;
		int r;

		if (!sign || sign == item.data)
			continue;
		var.name = (struct bytes){ item.data, (size_t)(sign - item.data) };
		var.value = (struct bytes){ sign + 1, item.size - var.name.size - 1 };
		r = bytebuf_add(&json->vars, (struct bytes){ (const char *)&var, sizeof(var) });
		if (r < 0)
			return r;
	}
	*ret_count = json->vars.size / sizeof(struct var);
	return 0;
}

static int on_object(void *userdata, enum key key, struct bytes items)
{
	struct json *json = userdata;
	struct json_writer *w = &json->writer;
	struct var *vars;
	size_t count, begin;
	int r;

	/* All of it first, so that names that become equal are found to be. '=' and NUL stay where
	 * they are. */
	json_make_utf8(w, &items);
	r = find_vars(json, items, &count);
	if (r < 0)
		return r;
	put_key(json, key);
	begin = w->out.size;
	vars = (struct var *)(void *)json->vars.data;
	count = unique_vars(vars, count);
	for (size_t i = 0; i < count; i++) {
		json_put_char(w, ',');
		json_put_string(w, vars[i].name);
		json_put_char(w, ':');
		json_put_string(w, vars[i].value);
	}
	json_put_brackets(w, begin, '{', '}');
	return w->r;
}

static const struct event_visitor visitor = {
	.number = on_number,
	.flag = on_flag,
	.text = on_text,
	.time = on_time,
	.bytes = on_bytes,
	.list = on_list,
	.object = on_object,
};

static void make_prefix(struct prefix *prefix, enum key key, const char *more)
{
	const char *name = key_name(key);
	char *end;

	/* Letters and '_' alone: nothing in a name needs an escape. */
	ASSERT(strlen(name) + strlen(more) + sizeof(",\"\":") <= sizeof(prefix->text));
	end = stpcpy(stpcpy(stpcpy(stpcpy(prefix->text, ",\""), name), more), "\":");
	prefix->size = (size_t)(end - prefix->text);
}

static void make_prefixes(void)
{
	if (prefixes[0].size > 0)
		return;
	for (unsigned i = 0; i < KEY_MAX; i++) {
		make_prefix(&prefixes[i], (enum key)i, "");
		make_prefix(&raw_prefixes[i], (enum key)i, "_raw");
	}
}

int json_new(struct json **ret)
{
	_cleanup_(json_free_p) struct json *json = calloc(1, sizeof(*json));

	if (!json)
		return -ENOMEM;
	make_prefixes();
	json_list_init();
	*ret = TAKE_PTR(json);
	return 0;
}

struct json *json_free(struct json *json)
{
	if (!json)
		return NULL;
	json_writer_free(&json->writer);
	bytebuf_free(&json->vars);
	free(json);
	return NULL;
}

static int encode(struct json *json, struct line **ret, const struct event *event, key_set keys)
{
	struct json_writer *w = &json->writer;
	struct line *line;
	int r = event_visit(event, keys, &visitor, json);

	json_put_brackets(w, 0, '{', '}');
	json_put_char(w, '\n');
	if (r < 0 || w->r < 0)
		return r < 0 ? r : w->r;
	r = w->out.size < LINE_TAKE_MIN ? line_new(&line, w->out.size) : line_take(&line, &w->out);
	if (r < 0)
		return r;
	if (w->out.data)
		memcpy(line->data, w->out.data, line->size);
	line->snapshot = event->snapshot;
	if (event->seq || event->type == EVENT_EXITED || event->type == EVENT_LOST)
		line->events = event_missing(event);
	line->seq = event->seq ? event->seq : event->lost.first_seq;
	line->last_seq = event->seq ? event->seq : event->lost.last_seq;
	*ret = line;
	return 0;
}

int json_event_map(struct json *json, struct line **ret, const struct event *event, key_set keys,
		   struct line_map *ret_map)
{
	int r;

	json->map = ret_map;
	if (ret_map)
		ret_map->count = 0;
	r = encode(json, ret, event, keys);
	json_writer_reset(&json->writer);
	bytebuf_reset(&json->vars, VARS_SIZE_MAX);
	if (r == 0 && ret_map)
		ret_map->end = (*ret)->size - 2; /* before the bracket and the newline */
	return r;
}

int json_event(struct json *json, struct line **ret, const struct event *event, key_set keys)
{
	return json_event_map(json, ret, event, keys, NULL);
}
