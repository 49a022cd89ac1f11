/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "output/json_writer.h"

#include <stdint.h>

#include "util/utf8.h"

#define KEEP_MAX (256u * 1024) /* bytes of each buffer, from line to line */
#define PORTION 4096	       /* bytes that are escaped at once */
#define ESCAPE_MAX 6	       /* bytes: \\uXXXX */

void json_writer_reset(struct json_writer *w)
{
	w->r = 0;
	bytebuf_reset(&w->out, KEEP_MAX);
	bytebuf_reset(&w->text, KEEP_MAX);
}

void json_writer_free(struct json_writer *w)
{
	bytebuf_free(&w->out);
	bytebuf_free(&w->text);
}

void json_put_brackets(struct json_writer *w, size_t begin, char open, char close)
{
	if (w->out.size == begin)
		json_put_char(w, open);
	else if (w->r == 0)
		w->out.data[begin] = open;
	json_put_char(w, close);
}

/* A byte that needs no escape; one that does; one that may begin a character that does. */
enum { UNESCAPED, ESCAPED, MAY_ACT };
static const unsigned char kinds[256] = {
	[0 ... 0x1f] = ESCAPED, ['"'] = ESCAPED,  ['\\'] = ESCAPED, [0x7f] = ESCAPED,
	[0xc2] = MAY_ACT,	[0xd8] = MAY_ACT, [0xe2] = MAY_ACT,
};

/* The last word may overlap the one before: a copy of constant size needs no call. */
static bool is_unescaped(struct bytes s)
{
	uint64_t word = UINT64_C(0x2020202020202020);

	if (s.size < sizeof(word)) {
		memcpy(&word, s.data, s.size);
		return json_is_unescaped_word(word);
	}
	for (size_t at = 0; at < s.size - sizeof(word); at += sizeof(word)) {
		memcpy(&word, s.data + at, sizeof(word));
		if (!json_is_unescaped_word(word))
			return false;
	}
	memcpy(&word, s.data + s.size - sizeof(word), sizeof(word));
	return json_is_unescaped_word(word);
}

void json_put_ascii(struct json_writer *w, struct bytes s)
{
	struct bytebuf *out = &w->out;

	if (!json_reserve(w, s.size + 2))
		return;
	out->data[out->size++] = '"';
	bytebuf_put(out, s.data, s.size);
	out->data[out->size++] = '"';
}

/* One byte's escape, at `to`. */
static char *escape_ascii(char *to, unsigned char c)
{
	static const char digits[] = "0123456789ABCDEF";
	static const char short_forms[0x80] = {
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't', ['"'] = '"', ['\\'] = '\\',
	};

	to[0] = '\\';
	to[1] = short_forms[c];
	if (to[1])
		return to + 2;
	memcpy(to + 1, "u00", 3);
	to[4] = digits[c >> 4];
	to[5] = digits[c & 15];
	return to + ESCAPE_MAX;
}

char *json_put_ascii_at(char *to, char c)
{
	if (kinds[(unsigned char)c] == ESCAPED)
		return escape_ascii(to, (unsigned char)c);
	*to = c;
	return to + 1;
}

char *json_escape_code(char *to, unsigned code)
{
	static const char digits[] = "0123456789ABCDEF";

	to[0] = '\\';
	to[1] = 'u';
	for (unsigned i = 0; i < 4; i++)
		to[2 + i] = digits[code >> (12 - 4 * i) & 15];
	return to + ESCAPE_MAX;
}

/* Of s: characters from *at on until at least `end`, at `to`. Returns what follows. */
static char *escape_some(char *to, struct bytes s, size_t *at, size_t end)
{
	uint64_t word;

	while (*at < end) {
		unsigned char c = (unsigned char)s.data[*at];
		size_t acts = kinds[c] == MAY_ACT ? utf8_acts(s.data + *at, s.size - *at) : 0;

		if (acts > 0) {
			to = json_escape_code(to, utf8_code(s.data + *at, acts));
			*at += acts;
			continue;
		}
		++*at;
		if (kinds[c] == ESCAPED) {
			to = escape_ascii(to, c);
			continue;
		}
		*to++ = (char)c;
		for (; c < 0x80 && end - *at >= sizeof(word); *at += sizeof(word), to += sizeof(word)) {
			memcpy(&word, s.data + *at, sizeof(word));
			if (!json_is_unescaped_word(word))
				break;
			memcpy(to, &word, sizeof(word));
		}
	}
	return to;
}

/* In portions, each of which has memory for what it may become: a megabyte of control characters is six. */
static void put_escaped(struct json_writer *w, struct bytes s)
{
	size_t at = 0;

	json_put_char(w, '"');
	while (at < s.size) {
		size_t end = s.size - at > PORTION ? at + PORTION : s.size;

		if (!json_reserve(w, (end - at) * ESCAPE_MAX))
			return;
		w->out.size = (size_t)(escape_some(w->out.data + w->out.size, s, &at, end) - w->out.data);
	}
	json_put_char(w, '"');
}

void json_put_string(struct json_writer *w, struct bytes s)
{
	if (is_unescaped(s))
		json_put_ascii(w, s);
	else
		put_escaped(w, s);
}

/* Appends s to w->text, with U+FFFD for what is not UTF-8, `good` bytes of which are known to
 * be. */
static int add_replaced(struct json_writer *w, struct bytes s, size_t good)
{
	struct bytebuf *text = &w->text;

	for (;;) {
		int r = bytebuf_reserve(text, good + sizeof(JSON_REPLACEMENT));

		if (r < 0)
			return r;
		if (good > 0)
			bytebuf_put(text, s.data, good);
		s.data += good;
		s.size -= good;
		if (s.size == 0)
			return 0;
		/* With its NUL: four bytes at once. */
		memcpy(text->data + text->size, JSON_REPLACEMENT, sizeof(JSON_REPLACEMENT));
		text->size += sizeof(JSON_REPLACEMENT) - 1;
		good = utf8_bad(s.data, s.size);
		s.data += good;
		s.size -= good;
		good = utf8_valid(s.data, s.size);
	}
}

bool json_make_utf8(struct json_writer *w, struct bytes *s)
{
	size_t good = utf8_valid(s->data, s->size);

	if (good == s->size || w->r < 0)
		return false;
	w->text.size = 0;
	w->r = add_replaced(w, *s, good);
	if (w->r < 0)
		return false;
	*s = (struct bytes){ w->text.data, w->text.size };
	return true;
}

bool json_put_utf8(struct json_writer *w, struct bytes s)
{
	bool replaced;

	if (is_unescaped(s)) {
		json_put_ascii(w, s);
		return false;
	}
	replaced = json_make_utf8(w, &s);
	json_put_string(w, s);
	return replaced;
}

void json_put_base64(struct json_writer *w, struct bytes s)
{
	struct bytebuf *out = &w->out;
	char *to;

	if (!json_reserve(w, s.size / 3 * 4 + 6))
		return;
	to = out->data + out->size;
	*to++ = '"';
	to = json_base64(to, s.data, s.size);
	*to++ = '"';
	out->size = (size_t)(to - out->data);
}
