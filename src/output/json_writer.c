/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "output/json_writer.h"

#include <stdint.h>

#include "util/utf8.h"

#define KEEP_MAX (256u * 1024)	   /* bytes of each buffer, from line to line */
#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

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

/*
 * Eight bytes of ASCII with nothing to escape. The expression sets the highest bit of a byte that
 * is above 0x7e, below 0x20, or one of the two; if no byte has such a bit, no byte has borrowed
 * from its neighbour either.
 */
static bool is_unescaped_word(uint64_t word)
{
	const uint64_t each = UINT64_C(0x0101010101010101);

	return !((word | (word + each) | (word - 0x20 * each) | ((word ^ '"' * each) - each) |
		  ((word ^ '\\' * each) - each)) &
		 0x80 * each);
}

static bool is_unescaped(struct bytes s)
{
	uint64_t word, last = UINT64_C(0x2020202020202020);
	size_t at = 0;

	for (; s.size - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, s.data + at, sizeof(word));
		if (!is_unescaped_word(word))
			return false;
	}
	if (at == s.size)
		return true;
	memcpy(&last, s.data + at, s.size - at);
	return is_unescaped_word(last);
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

/* The size of what comes before the first character to escape. */
static size_t unescaped_size(struct bytes s)
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
			if (!is_unescaped_word(word))
				break;
		}
	}
	return at;
}

/* The character at s, escaped. Returns its size. */
static size_t put_escape(struct json_writer *w, struct bytes s)
{
	static const char digits[] = "0123456789ABCDEF";
	static const char short_forms[0x20] = { ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't' };
	unsigned char c = (unsigned char)s.data[0];
	size_t size = c < 0x7f ? 1 : utf8_acts(s.data, s.size);
	char escape[6] = { '\\', (char)c };
	unsigned code = utf8_code(s.data, size);

	if (c < 0x20 ? short_forms[c] != 0 : c < 0x7f) {
		escape[1] = c < 0x20 ? short_forms[c] : (char)c;
		json_put(w, escape, 2);
		return size;
	}
	escape[1] = 'u';
	for (unsigned i = 0; i < 4; i++)
		escape[2 + i] = digits[code >> (12 - 4 * i) & 15];
	json_put(w, escape, sizeof(escape));
	return size;
}

static void put_escaped(struct json_writer *w, struct bytes s)
{
	json_put_char(w, '"');
	while (s.size > 0) {
		size_t n = unescaped_size(s);

		json_put(w, s.data, n);
		s = (struct bytes){ s.data + n, s.size - n };
		if (s.size == 0)
			break;
		n = put_escape(w, s);
		s = (struct bytes){ s.data + n, s.size - n };
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

void json_put_base64(struct json_writer *w, struct bytes s)
{
	const unsigned char *from = (const unsigned char *)s.data;
	struct bytebuf *out = &w->out;
	char *to;

	if (!json_reserve(w, s.size / 3 * 4 + 6))
		return;
	to = out->data + out->size;
	*to++ = '"';
	for (size_t at = 0; at < s.size; at += 3)
		to = base64_group(to, from + at, s.size - at);
	*to++ = '"';
	out->size = (size_t)(to - out->data);
}
