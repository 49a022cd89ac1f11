/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Long lists of strings. A process may have hundreds of thousands of arguments, of one byte each or of any bytes, so
 * that a call or two for each string would take most of the time. Here a list is one run of bytes: the NUL between two
 * strings is a byte whose form is `","`, and a byte that is no UTF-8 one whose form is U+FFFD.
 */
#include "output/json_writer.h"
#include "util/utf8.h"

#define PORTION 4096 /* bytes that are written at once, */
#define FORM_MAX 6   /* each of which becomes at most so many */

enum form_kind { ALONE, REPLACED, LEADS };

/* What a byte becomes. */
struct form {
	char text[FORM_MAX];
	unsigned char kind; /* LEADS: if it does not begin a character of several bytes */
	unsigned char size;
};

static struct form forms[256];
static char pairs[4096][2]; /* of base64: what twelve bits become */

static void make_form(struct form *form, const char *text, enum form_kind kind)
{
	form->size = (unsigned char)strlen(text);
	form->kind = kind;
	memcpy(form->text, text, form->size);
}

void json_list_init(void)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char text[FORM_MAX + 1];

	for (unsigned c = 0; c < 256; c++) {
		if (c < 0x80)
			*json_put_ascii_at(text, (char)c) = '\0';
		if (c < 0x80)
			make_form(&forms[c], text, ALONE);
		else if (c < 0xc2 || c > 0xf4)
			make_form(&forms[c], JSON_REPLACEMENT, REPLACED);
		else
			make_form(&forms[c], JSON_REPLACEMENT, LEADS);
	}
	make_form(&forms[0], "\",\"", ALONE);
	for (unsigned i = 0; i < 4096; i++) {
		pairs[i][0] = digits[i >> 6];
		pairs[i][1] = digits[i & 63];
	}
}

/* A character of several bytes, or what is none, at *at. Returns what follows `to`. */
static char *put_character(char *to, struct bytes list, size_t *at, bool *replaced)
{
	const char *from = list.data + *at;
	const unsigned char lead = (unsigned char)*from;
	/* Of two bytes, the second of which is one. */
	bool valid = lead < 0xe0;
	size_t n = valid ? 2 : utf8_first(from, list.size - *at, &valid);

	*at += n;
	if (!valid) {
		*replaced = true;
		memcpy(to, JSON_REPLACEMENT, sizeof(JSON_REPLACEMENT));
		return to + sizeof(JSON_REPLACEMENT) - 1;
	}
	if (json_may_act(lead) && utf8_acts(from, n) > 0)
		return json_escape_code(to, utf8_code(from, n));
	to[0] = from[0];
	to[1] = from[1];
	for (size_t i = 2; i < n; i++)
		to[i] = from[i];
	return to + n;
}

/* Of what may be a character of several bytes. */
static bool has_second(struct bytes list, size_t at)
{
	return at + 1 < list.size && ((unsigned char)list.data[at + 1] & 0xc0) == 0x80;
}

/* Bytes from *at on until at least `end`. Returns what follows `to`, after which some more bytes are written to. */
static char *put_some(char *to, struct bytes list, size_t *at, size_t end, bool *replaced)
{
	size_t i = *at;

	while (i < end) {
		size_t stop = end - i > sizeof(uint64_t) ? i + sizeof(uint64_t) : end;
		uint64_t word;

		if (stop - i == sizeof(word)) {
			memcpy(&word, list.data + i, sizeof(word));
			if (json_is_unescaped_word(word)) {
				memcpy(to, &word, sizeof(word));
				to += sizeof(word);
				i = stop;
				continue;
			}
		}
		while (i < stop) {
			const struct form *form = &forms[(unsigned char)list.data[i]];

			if (form->kind == LEADS && has_second(list, i)) {
				to = put_character(to, list, &i, replaced);
				continue;
			}
			*replaced |= form->kind != ALONE;
			memcpy(to, form, sizeof(*form));
			to += form->size;
			i++;
		}
	}
	*at = i;
	return to;
}

bool json_put_list(struct json_writer *w, struct bytes list)
{
	bool replaced = false;
	size_t at = 0;

	if (list.data[list.size - 1] == '\0')
		list.size--;
	json_put(w, "[\"", 2);
	while (at < list.size) {
		size_t end = list.size - at > PORTION ? at + PORTION : list.size;

		if (!json_reserve(w, (end - at) * FORM_MAX + sizeof(struct form)))
			return false;
		w->out.size = (size_t)(put_some(w->out.data + w->out.size, list, &at, end, &replaced) - w->out.data);
	}
	json_put(w, "\"]", 2);
	return replaced;
}

size_t json_list_count(struct bytes list, size_t *at, size_t counted, size_t most)
{
	size_t i = *at;
	uint64_t word;

	while (i < list.size && counted <= most) {
		if (list.size - i >= sizeof(word)) {
			memcpy(&word, list.data + i, sizeof(word));
			if (json_is_unescaped_word(word)) {
				counted += sizeof(word);
				i += sizeof(word);
				continue;
			}
		}
		for (size_t stop = list.size - i > sizeof(word) ? i + sizeof(word) : list.size; i < stop; i++) {
			const struct form *form = &forms[(unsigned char)list.data[i]];

			counted += form->kind == ALONE ? form->size : 1;
		}
	}
	*at = i;
	return counted;
}

/* The size of the string at the beginning. Most are short. */
static size_t string_size(const char *text, size_t size)
{
	const char *end;

	for (size_t i = 0; i < size && i < 16; i++)
		if (text[i] == '\0')
			return i;
	end = memchr(text, '\0', size);
	return end ? (size_t)(end - text) : size;
}

char *json_base64(char *to, const char *from, size_t size)
{
	const unsigned char *p = (const unsigned char *)from;
	uint32_t bits;

	for (; size >= 3; size -= 3, p += 3, to += 4) {
		bits = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
		memcpy(to, pairs[bits >> 12], 2);
		memcpy(to + 2, pairs[bits & 4095], 2);
	}
	if (size == 0)
		return to;
	bits = (uint32_t)p[0] << 16 | (size > 1 ? (uint32_t)p[1] << 8 : 0);
	memcpy(to, pairs[bits >> 12], 2);
	to[2] = size > 1 ? pairs[bits & 4095][0] : '=';
	to[3] = '=';
	return to + 4;
}

void json_put_base64_list(struct json_writer *w, struct bytes list)
{
	json_put_char(w, '[');
	for (size_t at = 0; at < list.size;) {
		size_t size = string_size(list.data + at, list.size - at);
		char *to;

		if (!json_reserve(w, size / 3 * 4 + 7))
			return;
		to = w->out.data + w->out.size;
		*to = ',';
		to += at > 0;
		*to++ = '"';
		to = json_base64(to, list.data + at, size);
		*to++ = '"';
		w->out.size = (size_t)(to - w->out.data);
		at += size + 1;
	}
	json_put_char(w, ']');
}
