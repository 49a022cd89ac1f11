/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/view/view_json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_gen.h>
#include <yajl/yajl_parse.h>

#include "ctl/text/event_text.h"
#include "output/json.h"
#include "util/utf8.h"

struct view_json {
	const struct terminal *terminal;
	struct json *json;
	bool guarded; /* see put_sh() */
};

int view_json_new(struct view_json **ret, const struct terminal *terminal)
{
	_cleanup_(view_json_free_p) struct view_json *view = calloc(1, sizeof(*view));
	int r;

	if (!view)
		return -ENOMEM;
	view->terminal = terminal;
	r = json_new(&view->json);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(view);
	return 0;
}

struct view_json *view_json_free(struct view_json *view)
{
	if (!view)
		return NULL;
	json_free(view->json);
	free(view);
	return NULL;
}

static int written(const struct view_json *view)
{
	return ferror(view->terminal->out) ? -EIO : 0;
}

/* RFC 8259, 7: beyond 16 bits, two surrogates. */
static void put_escape(FILE *out, unsigned code)
{
	if (code > 0xffff)
		fprintf(out, "\\u%04x\\u%04x", 0xd800 + ((code - 0x10000) >> 10), 0xdc00 + (code & 0x3ff));
	else
		fprintf(out, "\\u%04x", code);
}

/* The size of the first character if it has to be escaped: what acts on a terminal, and on one that is not UTF-8, where
 * single bytes of a character may act, all that is not ASCII. 0: it has not. */
static size_t escaped_size(const struct terminal *terminal, const char *text, size_t size)
{
	unsigned char c = (unsigned char)*text;
	bool is_valid;

	if (c < 0x80)
		return c == 0x7f || c < 0x20;
	return terminal->utf8 || !terminal->is_terminal ? utf8_acts(text, size) : utf8_first(text, size, &is_valid);
}

/* It goes out as JSON's own escape; in JSON it can only be within strings. */
static void put_safe(const struct terminal *terminal, struct bytes line)
{
	FILE *out = terminal->out;
	size_t from = 0;

	for (size_t i = 0; i < line.size;) {
		unsigned char c = (unsigned char)line.data[i];
		size_t n = escaped_size(terminal, line.data + i, line.size - i);

		if (n == 0) {
			i++;
			continue;
		}
		fwrite(line.data + from, 1, i - from, out);
		if (c < 0x20)
			fputc(' ', out);
		else
			put_escape(out, utf8_code(line.data + i, n));
		i += n;
		from = i;
	}
	fwrite(line.data + from, 1, line.size - from, out);
}

/* The event's line without its newline. *ret_line: to be unreferenced, if it is one. */
static int get_line(struct view_json *view, const struct parsed *parsed, struct bytes *ret, struct line **ret_line)
{
	int r;

	*ret_line = NULL;
	*ret = parsed->line;
	if (ret->data)
		return 0;
	r = json_event(view->json, ret_line, &parsed->event, parsed->keys);
	if (r < 0)
		return r;
	*ret = (struct bytes){ (*ret_line)->data, (*ret_line)->size - 1 };
	return 0;
}

int view_json_event(struct view_json *view, const struct parsed *parsed)
{
	struct line *made;
	struct bytes line;
	int r = get_line(view, parsed, &line, &made);

	if (r < 0)
		return r;
	if (view->terminal->is_terminal)
		put_safe(view->terminal, line);
	else
		fwrite(line.data, 1, line.size, view->terminal->out);
	fputc('\n', view->terminal->out);
	if (made)
		line_unref(made);
	return written(view);
}

/* yajl's parser drives its generator. */
static int again_null(void *gen)
{
	return yajl_gen_null(gen) == yajl_gen_status_ok;
}

static int again_boolean(void *gen, int value)
{
	return yajl_gen_bool(gen, value) == yajl_gen_status_ok;
}

static int again_number(void *gen, const char *data, size_t size)
{
	return yajl_gen_number(gen, data, size) == yajl_gen_status_ok;
}

/* In UTF-8: an escaped low surrogate without a high one before it becomes its three bytes in yajl (yajl_encode.c,
 * Utf32toUtf8()), which RFC 3629 forbids. All else was checked by the parser. */
static int again_string(void *gen, const unsigned char *data, size_t size)
{
	_cleanup_free_ unsigned char *copy = NULL;

	if (utf8_valid((const char *)data, size) == size)
		return yajl_gen_string(gen, data, size) == yajl_gen_status_ok;
	copy = malloc(size);
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	for (size_t at = 0; (at += utf8_valid((char *)copy + at, size - at)) + 2 < size;)
		memcpy(copy + at, "\xef\xbf\xbd", 3);
	return yajl_gen_string(gen, copy, size) == yajl_gen_status_ok;
}

static int again_map(void *gen)
{
	return yajl_gen_map_open(gen) == yajl_gen_status_ok;
}

static int again_map_end(void *gen)
{
	return yajl_gen_map_close(gen) == yajl_gen_status_ok;
}

static int again_array(void *gen)
{
	return yajl_gen_array_open(gen) == yajl_gen_status_ok;
}

static int again_array_end(void *gen)
{
	return yajl_gen_array_close(gen) == yajl_gen_status_ok;
}

static const yajl_callbacks again = {
	again_null, again_boolean, NULL,	  NULL,	       again_number,	again_string,
	again_map,  again_string,  again_map_end, again_array, again_array_end,
};

static int print_pretty(const struct view_json *view, struct bytes line)
{
	const unsigned char *data;
	size_t size, from = 0;
	yajl_gen gen = yajl_gen_alloc(NULL);
	yajl_handle parser = gen ? yajl_alloc(&again, NULL, gen) : NULL;
	FILE *out = view->terminal->out;
	int r = parser ? 0 : -ENOMEM;

	if (gen) {
		yajl_gen_config(gen, yajl_gen_beautify, 1);
		yajl_gen_config(gen, yajl_gen_indent_string, "  ");
	}
	if (r == 0 && (yajl_parse(parser, (const unsigned char *)line.data, line.size) != yajl_status_ok ||
		       yajl_gen_get_buf(gen, &data, &size) != yajl_gen_status_ok))
		r = -EBADMSG;
	/* Deeper than yajl nests what it writes: then it stays one line. */
	if (r == -EBADMSG) {
		put_safe(view->terminal, line);
		fputc('\n', out);
	}
	for (size_t i = 0; r == 0 && i < size; i++) {
		if (data[i] != '\n')
			continue;
		put_safe(view->terminal, (struct bytes){ (const char *)data + from, i - from });
		fputc('\n', out);
		from = i + 1;
	}
	if (parser)
		yajl_free(parser);
	if (gen)
		yajl_gen_free(gen);
	return r == -ENOMEM ? r : written(view);
}

int view_json_pretty(struct view_json *view, const struct parsed *parsed)
{
	struct line *made;
	struct bytes line;
	int r = get_line(view, parsed, &line, &made);

	if (r < 0)
		return r;
	r = print_pretty(view, line);
	if (made)
		line_unref(made);
	return r;
}

int view_sh_event(struct view_json *view, const struct parsed *parsed)
{
	const struct image *image = &parsed->process.image;

	if (parsed->event.type == EVENT_LOST)
		fprintf(view->terminal->out, "# %" PRIu64 " lost\n", parsed->event.lost.count);
	if (image->args.size > 0 && put_sh(view->terminal->out, image->cwd, image, &view->guarded) < 0)
		return -ENOMEM;
	return written(view);
}
