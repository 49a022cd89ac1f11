/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * By yajl's events. Strings are copied, decoded, into one buffer as large as the line: decoded text is never longer
 * than its JSON. Lists become runs of strings, each with its NUL, which takes the place of the quotes.
 */
#include "ctl/event/event_parser.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

#include "util/bytebuf.h"
#include "util/utf8.h"

#define NO_KEY KEY_MAX

struct event_parser {
	yajl_handle yajl; /* NULL: to be made again after an error */
	struct bytebuf text;
	char reason[256];

	struct parsed *parsed;
	unsigned depth;
	bool ended;	     /* the object of this line */
	enum key key;	     /* whose value comes next; NO_KEY: one that is not known */
	bool raw;	     /* the value is base64 of exact bytes */
	bool in_value;	     /* within a list or an object of `key` */
	size_t value;	     /* where that began */
	size_t item;	     /* within an object, where the last name began */
	bool is_named;	     /* and its value has not come */
	struct bytes *extra; /* a text that is no key of an event: reason */
};

/* A value that is no part of an object: the line is none, or has more than one. */
static bool is_outside(const struct event_parser *p)
{
	return p->depth == 0;
}

static bool is_at_top(const struct event_parser *p)
{
	return p->depth == 1;
}

/* Appends; there is room, see above. */
static void put(struct event_parser *p, const void *data, size_t size)
{
	bytebuf_put(&p->text, data, size);
}

static int base64_digit(unsigned char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* RFC 4648, padded. False: it is not. */
static bool put_base64(struct event_parser *p, const unsigned char *data, size_t size)
{
	size_t padding = size >= 4 ? (data[size - 1] == '=') + (data[size - 2] == '=') : 0;
	uint32_t bits = 0;
	char bytes[3];

	if (size % 4 != 0)
		return false;
	for (size_t i = 0; i < size; i++) {
		int digit = i >= size - padding ? 0 : base64_digit(data[i]);

		if (digit < 0)
			return false;
		bits = bits << 6 | (uint32_t)digit;
		if (i % 4 != 3)
			continue;
		for (int j = 0; j < 3; j++)
			bytes[j] = (char)(bits >> (16 - 8 * j));
		put(p, bytes, i + 1 == size ? 3 - padding : 3);
	}
	return true;
}

/* Where a text goes that is no key of an event; NULL: nowhere. */
static struct bytes *extra_of(struct parsed *parsed, struct bytes name)
{
	const struct {
		const char *name;
		struct bytes *value;
	} extras[] = {
		{ "reason", &parsed->reason },	 { "stream", &parsed->stream },	  { "machine_id", &parsed->machine_id },
		{ "boot_id", &parsed->boot_id }, { "version", &parsed->version },
	};

	for (size_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++)
		if (bytes_equal(name, bytes_of(extras[i].name)))
			return extras[i].value;
	return NULL;
}

/* A name in an object whose value was no text: it is not kept. */
static void drop_name(struct event_parser *p)
{
	if (p->is_named)
		p->text.size = p->item;
	p->is_named = false;
}

static int on_map_key(void *userdata, const unsigned char *data, size_t size)
{
	static const char suffix[] = "_raw";
	struct event_parser *p = userdata;
	struct bytes name = { (const char *)data, size };

	if (p->in_value && p->depth == 2 && parsed_kind(p->key) == PARSED_OBJECT) {
		drop_name(p);
		p->is_named = true;
		p->item = p->text.size;
		put(p, data, size);
		put(p, "=", 1);
		return 1;
	}
	if (!is_at_top(p))
		return 1;
	p->extra = NULL;
	p->raw = false;
	if (key_by_name(name, &p->key))
		return 1;
	if (size > sizeof(suffix) - 1 && memcmp(data + size - (sizeof(suffix) - 1), suffix, sizeof(suffix) - 1) == 0 &&
	    key_by_name((struct bytes){ name.data, size - (sizeof(suffix) - 1) }, &p->key) && key_has_raw(p->key)) {
		p->raw = true;
		return 1;
	}
	p->key = NO_KEY;
	p->extra = extra_of(p->parsed, name);
	return 1;
}

static int on_string(void *userdata, const unsigned char *data, size_t size)
{
	struct event_parser *p = userdata;
	size_t at = p->text.size;

	if (is_outside(p))
		return 0;
	if (p->in_value && p->depth == 2) {
		if (!p->raw)
			put(p, data, size);
		else if (!put_base64(p, data, size))
			p->text.size = at;
		put(p, "", 1);
		p->is_named = false;
		return 1;
	}
	if (!is_at_top(p) || (p->key == NO_KEY && !p->extra))
		return 1;
	if (!p->raw) {
		put(p, data, size);
	} else if (!put_base64(p, data, size)) {
		p->text.size = at;
		return 1;
	}
	if (p->extra)
		*p->extra = (struct bytes){ p->text.data + at, p->text.size - at };
	else
		parsed_text(p->parsed, p->key, (struct bytes){ p->text.data + at, p->text.size - at });
	return 1;
}

/* An integer without a fraction, of 64 bits with or without a sign. */
static int on_number(void *userdata, const char *data, size_t size)
{
	struct event_parser *p = userdata;

	if (is_at_top(p) && p->key != NO_KEY && parsed_kind(p->key) == PARSED_NUMBER)
		parsed_value(p->parsed, p->key, (struct bytes){ data, size });
	return !is_outside(p);
}

static int on_boolean(void *userdata, int value)
{
	struct event_parser *p = userdata;

	if (is_at_top(p) && p->key != NO_KEY && value)
		parsed_flag(p->parsed, p->key);
	return !is_outside(p);
}

static int on_null(void *userdata)
{
	return !is_outside(userdata);
}

static int begin(struct event_parser *p, enum parsed_kind kind)
{
	if (is_at_top(p) && p->key != NO_KEY && parsed_kind(p->key) == kind) {
		p->in_value = true;
		p->value = p->text.size;
	}
	p->depth++;
	return 1;
}

static int end(struct event_parser *p)
{
	p->depth--;
	if (is_at_top(p) && p->in_value) {
		p->in_value = false;
		drop_name(p);
		parsed_list(p->parsed, p->key, (struct bytes){ p->text.data + p->value, p->text.size - p->value });
	}
	if (p->depth == 0)
		p->ended = true;
	return 1;
}

static int on_start_map(void *userdata)
{
	struct event_parser *p = userdata;

	return !p->ended && begin(p, PARSED_OBJECT);
}

static int on_start_array(void *userdata)
{
	struct event_parser *p = userdata;

	return !is_outside(p) && begin(p, PARSED_LIST);
}

static int on_end(void *userdata)
{
	return end(userdata);
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_start_map,
	.yajl_map_key = on_map_key,
	.yajl_end_map = on_end,
	.yajl_start_array = on_start_array,
	.yajl_end_array = on_end,
};

int event_parser_new(struct event_parser **ret)
{
	struct event_parser *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	*ret = p;
	return 0;
}

struct event_parser *event_parser_free(struct event_parser *p)
{
	if (!p)
		return NULL;
	if (p->yajl)
		yajl_free(p->yajl);
	bytebuf_free(&p->text);
	free(p);
	return NULL;
}

/* Made once for many lines: a complete value leaves it as it was at first. */
static int need_yajl(struct event_parser *p)
{
	if (p->yajl)
		return 0;
	p->yajl = yajl_alloc(&callbacks, NULL, p);
	if (!p->yajl)
		return -ENOMEM;
	yajl_config(p->yajl, yajl_allow_multiple_values, 1);
	return 0;
}

static int bad(struct event_parser *p, const char *reason, const char **ret_reason)
{
	snprintf(p->reason, sizeof(p->reason), "%s", reason);
	/* yajl's own end in a newline. */
	p->reason[strcspn(p->reason, "\n")] = '\0';
	if (p->yajl) {
		yajl_free(p->yajl);
		p->yajl = NULL;
	}
	*ret_reason = p->reason;
	return -EBADMSG;
}

/* What stopped yajl, without the text around it, which comes from outside and may hold anything. */
static int bad_json(struct event_parser *p, struct bytes line, const char **ret_reason)
{
	size_t at = yajl_get_bytes_consumed(p->yajl);
	unsigned char *text = yajl_get_error(p->yajl, 0, (const unsigned char *)line.data, line.size);
	char reason[192];

	snprintf(reason, sizeof(reason), "%s, at byte %zu",
		 p->ended	 ? "text after the object"
		 : p->depth == 0 ? "not a JSON object"
		 : text		 ? (const char *)text + strspn((const char *)text, " ")
				 : "not JSON",
		 at);
	if (text)
		yajl_free_error(p->yajl, text);
	for (char *c = reason; *c; c++)
		if (*c == '\n' || (*c == '.' && c[1] == ','))
			memmove(c, c + 1, strlen(c));
	return bad(p, reason, ret_reason);
}

int event_parser_line(struct event_parser *p, struct bytes line, struct parsed *ret, const char **ret_reason)
{
	int r = need_yajl(p);

	p->text.size = 0;
	if (r >= 0)
		r = bytebuf_reserve(&p->text, line.size + 1);
	if (r < 0)
		return r;
	p->depth = 0;
	p->ended = p->in_value = p->raw = p->is_named = false;
	p->key = NO_KEY;
	p->extra = NULL;
	p->parsed = ret;
	parsed_begin(ret);
	ret->line = line;
	if (yajl_parse(p->yajl, (const unsigned char *)line.data, line.size) != yajl_status_ok)
		return bad_json(p, line, ret_reason);
	/* The newline ends a number that is all of the text, and what is cut within a word. */
	if (yajl_parse(p->yajl, (const unsigned char *)"\n", 1) != yajl_status_ok)
		return bad(p,
			   p->ended	  ? "text after the object"
			   : p->depth > 0 ? "the line ends within the object"
					  : "not a JSON object",
			   ret_reason);
	/* yajl accepts overlong forms. */
	if (utf8_valid(line.data, line.size) < line.size)
		return bad(p, "not UTF-8", ret_reason);
	if (!p->ended)
		return bad(p, p->depth > 0 ? "the line ends within the object" : "not a JSON object", ret_reason);
	if (!ret->type.data)
		return bad(p, "an object without \"type\"", ret_reason);
	parsed_end(ret);
	return 0;
}
