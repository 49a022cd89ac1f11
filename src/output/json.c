/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Strings are looked at eight bytes at a time, since nearly all of them have nothing to escape. What RFC 8259, 7, asks for is escaped,
 * and what acts on a terminal (utf8.h): the same value for a reader of JSON, and harmless for who looks at the lines.
 *
 * Bytes that are not UTF-8 are replaced, and a variable that stands twice in an environment is given once (RFC 8259 leaves a name
 * that comes twice undefined).
 *
 * The line is made in memory that is kept from event to event, so what an event costs is one allocation, the line, exactly
 * as large as it is; only what a very long one needed is given back. A failed allocation is remembered (`r`), the rest of
 * that event goes nowhere, and the next event begins afresh.
 */
#include "output/json.h"

#include <errno.h>

#include "util/bytebuf.h"
#include "util/nulstr.h"
#include "util/utf8.h"

#define KEEP_MAX (256u * 1024)	   /* of each room, between events */
#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* How a member begins. */
struct prefix {
	char text[32]; /* ,"name": */
	size_t size;
};

struct json {
	struct bytebuf out;  /* the object */
	struct bytebuf text; /* a value made UTF-8, then its base64 */
	struct bytebuf vars; /* struct var: the variables of an environment */
	int r;		     /* of printing: 0 or -ENOMEM */
	struct prefix keys[KEY_MAX], raw_keys[KEY_MAX];
	struct line_map *map; /* of json_event_map() */
};

struct var {
	struct bytes name, value;
};

/* Room for `more` bytes of the line. False: there is none, and no more is printed. */
static bool has_room(struct json *json, size_t more)
{
	if (json->r == 0)
		json->r = bytebuf_reserve(&json->out, more);
	return json->r == 0;
}

static void put(struct json *json, const char *data, size_t size)
{
	if (has_room(json, size))
		bytebuf_put(&json->out, data, size);
}

static void put_char(struct json *json, char c)
{
	put(json, &c, 1);
}

/* What stands between brackets has been put since `begin` with a comma before each: that of the first makes way. */
static void put_brackets(struct json *json, size_t begin, char open, char close)
{
	if (json->out.size == begin)
		put_char(json, open);
	else if (json->r == 0)
		json->out.data[begin] = open;
	put_char(json, close);
}

/* What can be in a string as it is; what can't; what may begin a character that can't. */
enum { AS_IT_IS, ESCAPED, MAY_ACT };
static const unsigned char kinds[256] = {
	[0 ... 0x1f] = ESCAPED, ['"'] = ESCAPED,  ['\\'] = ESCAPED, [0x7f] = ESCAPED,
	[0xc2] = MAY_ACT,	[0xd8] = MAY_ACT, [0xe2] = MAY_ACT,
};

/*
 * Eight bytes of ASCII in which there is nothing to escape. The highest bit of a byte is set here if it is above 0x7e, below 0x20, or one of
 * the two; of a word in which no byte has such a bit, no byte has borrowed from its neighbour either.
 */
static bool is_plain_word(uint64_t word)
{
	const uint64_t each = UINT64_C(0x0101010101010101);

	return !((word | (word + each) | (word - 0x20 * each) | ((word ^ '"' * each) - each) |
		  ((word ^ '\\' * each) - each)) &
		 0x80 * each);
}

static bool is_plain(struct bytes s)
{
	uint64_t word, last = UINT64_C(0x2020202020202020);
	size_t at = 0;

	for (; s.size - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, s.data + at, sizeof(word));
		if (!is_plain_word(word))
			return false;
	}
	if (at == s.size)
		return true;
	memcpy(&last, s.data + at, s.size - at);
	return is_plain_word(last);
}

static void put_plain(struct json *json, struct bytes s)
{
	struct bytebuf *out = &json->out;

	if (!has_room(json, s.size + 2))
		return;
	out->data[out->size++] = '"';
	bytebuf_put(out, s.data, s.size);
	out->data[out->size++] = '"';
}

/* How much of it, from its beginning, is in a string as it is. */
static size_t as_it_is(struct bytes s)
{
	uint64_t word;
	size_t at = 0;

	while (at < s.size) {
		unsigned char kind = kinds[(unsigned char)s.data[at]];

		if (kind == ESCAPED || (kind == MAY_ACT && utf8_acts(s.data + at, s.size - at) > 0))
			break;
		at++;
		for (; s.size - at >= sizeof(word); at += sizeof(word)) {
			memcpy(&word, s.data + at, sizeof(word));
			if (!is_plain_word(word))
				break;
		}
	}
	return at;
}

/* The character at s, escaped. Returns its size. */
static size_t put_escape(struct json *json, struct bytes s)
{
	static const char digits[] = "0123456789ABCDEF";
	/* By number; 0x7f is in no table of short forms. */
	static const char short_forms[0x20] = { ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't' };
	unsigned char c = (unsigned char)s.data[0];
	size_t size = c < 0x7f ? 1 : utf8_acts(s.data, s.size);
	char escape[6] = { '\\', (char)c };
	unsigned code = utf8_code(s.data, size);

	if (c < 0x20 ? short_forms[c] != 0 : c < 0x7f) {
		escape[1] = c < 0x20 ? short_forms[c] : (char)c;
		put(json, escape, 2);
		return size;
	}
	escape[1] = 'u';
	for (unsigned i = 0; i < 4; i++)
		escape[2 + i] = digits[code >> (12 - 4 * i) & 15];
	put(json, escape, sizeof(escape));
	return size;
}

/* Valid UTF-8. */
static void put_escaped(struct json *json, struct bytes s)
{
	put_char(json, '"');
	while (s.size > 0) {
		size_t n = as_it_is(s);

		put(json, s.data, n);
		s = (struct bytes){ s.data + n, s.size - n };
		if (s.size == 0)
			break;
		n = put_escape(json, s);
		s = (struct bytes){ s.data + n, s.size - n };
	}
	put_char(json, '"');
}

static void put_string(struct json *json, struct bytes s)
{
	if (is_plain(s))
		put_plain(json, s);
	else
		put_escaped(json, s);
}

/* All of the array, and what is behind the text is overwritten by what comes next: a copy of known size is no call. */
static void put_prefix(struct json *json, const struct prefix *prefix)
{
	struct bytebuf *out = &json->out;

	if (!has_room(json, sizeof(prefix->text)))
		return;
	memcpy(out->data + out->size, prefix->text, sizeof(prefix->text));
	out->size += prefix->size;
}

static void put_key(struct json *json, enum key key)
{
	put_prefix(json, &json->keys[key]);
}

/* Appends s to json->text, with U+FFFD for what is not UTF-8, `good` bytes of which are known to be. */
static int add_replaced(struct json *json, struct bytes s, size_t good)
{
	struct bytebuf *text = &json->text;

	for (;;) {
		int r = bytebuf_reserve(text, good + sizeof(REPLACEMENT) - 1);

		if (r < 0)
			return r;
		bytebuf_put(text, s.data, good);
		s.data += good;
		s.size -= good;
		if (s.size == 0)
			return 0;
		bytebuf_put(text, REPLACEMENT, sizeof(REPLACEMENT) - 1);
		good = utf8_bad(s.data, s.size);
		s.data += good;
		s.size -= good;
		good = utf8_valid(s.data, s.size);
	}
}

/* *s as UTF-8: as it is, or a copy that lasts until the next string. Returns whether it had to change: 1 or 0. */
static int make_utf8(struct json *json, struct bytes *s)
{
	size_t good = utf8_valid(s->data, s->size);
	int r;

	if (good == s->size)
		return 0;
	json->text.size = 0;
	r = add_replaced(json, *s, good);
	if (r < 0)
		return r;
	*s = (struct bytes){ json->text.data, json->text.size };
	return 1;
}

static int put_utf8(struct json *json, struct bytes s)
{
	int r;

	if (is_plain(s)) {
		put_plain(json, s);
		return 0;
	}
	r = make_utf8(json, &s);
	if (r >= 0)
		put_string(json, s);
	return r;
}

static char *base64_group(char *to, const unsigned char *from, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits = (uint32_t)from[0] << 16 | (size > 1 ? (uint32_t)from[1] << 8 : 0) | (size > 2 ? from[2] : 0);

	*to++ = digits[bits >> 18];
	*to++ = digits[bits >> 12 & 63];
	*to++ = size > 1 ? digits[bits >> 6 & 63] : '=';
	*to++ = size > 2 ? digits[bits & 63] : '=';
	return to;
}

static int put_base64(struct json *json, struct bytes s)
{
	const unsigned char *from = (const unsigned char *)s.data;
	char *to;
	int r;

	json->text.size = 0;
	r = bytebuf_reserve(&json->text, s.size / 3 * 4 + 4);
	if (r < 0)
		return r;
	to = json->text.data;
	for (size_t at = 0; at < s.size; at += 3)
		to = base64_group(to, from + at, s.size - at);
	put_string(json, (struct bytes){ json->text.data, (size_t)(to - json->text.data) });
	return 0;
}

/* What event_visit calls. */

static int on_number(void *userdata, enum key key, int64_t value)
{
	struct json *json = userdata;
	struct bytebuf *out = &json->out;

	put_key(json, key);
	if (has_room(json, EVENT_NUMBER_SIZE))
		out->size += event_number_format(out->data + out->size, key, value);
	return json->r;
}

static int on_truth(void *userdata, enum key key)
{
	struct json *json = userdata;

	put_key(json, key);
	put(json, "true", 4);
	return json->r;
}

static int on_text(void *userdata, enum key key, const char *value)
{
	struct json *json = userdata;

	put_key(json, key);
	put_string(json, bytes_of(value));
	return json->r;
}

static int on_time(void *userdata, enum key key, uint64_t ns)
{
	struct json *json = userdata;
	char time[EVENT_TIME_SIZE];

	event_time_format(time, ns);
	put_key(json, key);
	put_plain(json, (struct bytes){ time, sizeof(time) - 1 });
	return json->r;
}

static int on_bytes(void *userdata, enum key key, struct bytes value)
{
	struct json *json = userdata;
	int r;

	put_key(json, key);
	r = put_utf8(json, value);
	if (r > 0 && key_has_raw(key)) {
		put_prefix(json, &json->raw_keys[key]);
		r = put_base64(json, value);
	}
	return r < 0 ? r : json->r;
}

static int put_items(struct json *json, struct bytes items, int (*put_item)(struct json *json, struct bytes item))
{
	size_t begin = json->out.size;
	struct bytes item;
	int r = 0;

	for (size_t at = 0; r >= 0 && nulstr_next(items, &at, &item);) {
		put_char(json, ',');
		r = put_item(json, item);
	}
	put_brackets(json, begin, '[', ']');
	return r;
}

static int on_list(void *userdata, enum key key, struct bytes items)
{
	struct json *json = userdata;
	int r;

	put_key(json, key);
	r = put_items(json, items, put_utf8);
	/* NUL is ASCII: all items are UTF-8 just when their whole is. */
	if (r >= 0 && key_has_raw(key) && utf8_valid(items.data, items.size) < items.size) {
		put_prefix(json, &json->raw_keys[key]);
		r = put_items(json, items, put_base64);
	}
	return r < 0 ? r : json->r;
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

/* Drops all but the first of each name, as getenv does. By sorting, as the process chose how many there are. */
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

/* Strings without a name or without '=' are no variables. */
static int find_vars(struct json *json, struct bytes items, size_t *ret_count)
{
	struct bytes item;
	size_t count = 0;

	for (size_t at = 0; nulstr_next(items, &at, &item);) {
		const char *sign = memchr(item.data, '=', item.size);
		struct var var;
		int r;

		if (!sign || sign == item.data)
			continue;
		var.name = (struct bytes){ item.data, (size_t)(sign - item.data) };
		var.value = (struct bytes){ sign + 1, item.size - var.name.size - 1 };
		r = bytebuf_reserve(&json->vars, sizeof(var));
		if (r < 0)
			return r;
		bytebuf_put(&json->vars, (const char *)&var, sizeof(var));
		count++;
	}
	*ret_count = count;
	return 0;
}

static int on_object(void *userdata, enum key key, struct bytes items)
{
	struct json *json = userdata;
	struct var *vars;
	size_t count, begin;
	int r;

	/* First all of it, so that names that become the same are found to be. '=' and NUL stay where they are. */
	r = make_utf8(json, &items);
	if (r >= 0)
		r = find_vars(json, items, &count);
	if (r < 0)
		return r;
	put_key(json, key);
	begin = json->out.size;
	vars = (struct var *)(void *)json->vars.data;
	count = unique_vars(vars, count);
	for (size_t i = 0; i < count; i++) {
		put_char(json, ',');
		put_string(json, vars[i].name);
		put_char(json, ':');
		put_string(json, vars[i].value);
	}
	put_brackets(json, begin, '{', '}');
	return json->r;
}

static const struct event_visitor visitor = {
	.number = on_number,
	.truth = on_truth,
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

int json_new(struct json **ret)
{
	_cleanup_(json_free_p) struct json *json = calloc(1, sizeof(*json));

	if (!json)
		return -ENOMEM;
	for (unsigned i = 0; i < KEY_MAX; i++) {
		make_prefix(&json->keys[i], (enum key)i, "");
		make_prefix(&json->raw_keys[i], (enum key)i, "_raw");
	}
	*ret = TAKE_PTR(json);
	return 0;
}

struct json *json_free(struct json *json)
{
	if (!json)
		return NULL;
	bytebuf_free(&json->out);
	bytebuf_free(&json->text);
	bytebuf_free(&json->vars);
	free(json);
	return NULL;
}

/* The same visitor, with the places. */

static void map_key(struct json *json, enum key key)
{
	struct line_map *map = json->map;

	ASSERT(map->count < KEY_MAX);
	map->keys[map->count].key = key;
	map->keys[map->count++].at = json->out.size;
}

static int map_number(void *userdata, enum key key, int64_t value)
{
	map_key(userdata, key);
	return on_number(userdata, key, value);
}

static int map_truth(void *userdata, enum key key)
{
	map_key(userdata, key);
	return on_truth(userdata, key);
}

static int map_text(void *userdata, enum key key, const char *value)
{
	map_key(userdata, key);
	return on_text(userdata, key, value);
}

static int map_time(void *userdata, enum key key, uint64_t ns)
{
	map_key(userdata, key);
	return on_time(userdata, key, ns);
}

static int map_bytes(void *userdata, enum key key, struct bytes value)
{
	map_key(userdata, key);
	return on_bytes(userdata, key, value);
}

static int map_list(void *userdata, enum key key, struct bytes items)
{
	map_key(userdata, key);
	return on_list(userdata, key, items);
}

static int map_object(void *userdata, enum key key, struct bytes items)
{
	map_key(userdata, key);
	return on_object(userdata, key, items);
}

static const struct event_visitor mapping_visitor = {
	.number = map_number,
	.truth = map_truth,
	.text = map_text,
	.time = map_time,
	.bytes = map_bytes,
	.list = map_list,
	.object = map_object,
};

static int encode(struct json *json, struct line **ret, const struct event *event, key_set keys,
		  const struct event_visitor *how)
{
	struct line *line;
	int r;

	json->r = 0;
	r = event_visit(event, keys, how, json);
	put_brackets(json, 0, '{', '}');
	put_char(json, '\n');
	if (r == 0)
		r = json->r;
	if (r == 0)
		r = line_new(&line, json->out.size);
	if (r == 0) {
		memcpy(line->data, json->out.data, json->out.size);
		line->snapshot = event->snapshot;
		line->events = event->seq || event->type == EVENT_EXITED ? 1 : event->lost.count;
		line->seq = event->seq ? event->seq : event->lost.first_seq;
		*ret = line;
	}
	bytebuf_reset(&json->out, KEEP_MAX);
	bytebuf_reset(&json->text, KEEP_MAX);
	bytebuf_reset(&json->vars, KEEP_MAX);
	return r;
}

int json_event(struct json *json, struct line **ret, const struct event *event, key_set keys)
{
	return encode(json, ret, event, keys, &visitor);
}

int json_event_map(struct json *json, struct line **ret, const struct event *event, key_set keys,
		   struct line_map *ret_map)
{
	int r;

	json->map = ret_map;
	ret_map->count = 0;
	r = encode(json, ret, event, keys, &mapping_visitor);
	if (r == 0)
		ret_map->end = (*ret)->size - 2; /* before the bracket and the end of the line */
	return r;
}
