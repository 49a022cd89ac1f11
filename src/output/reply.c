/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "output/reply.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/utf8.h"

void reply_text(yajl_gen gen, const char *text)
{
	yajl_gen_string(gen, (const unsigned char *)text, strlen(text));
}

void reply_pair(yajl_gen gen, const char *key, const char *value)
{
	reply_text(gen, key);
	reply_text(gen, value);
}

void reply_count(yajl_gen gen, const char *key, uint64_t value)
{
	char text[24];

	reply_text(gen, key);
	yajl_gen_number(gen, text, (size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)value));
}

void reply_map(yajl_gen gen, const char *key)
{
	reply_text(gen, key);
	yajl_gen_map_open(gen);
}

yajl_gen reply_begin(const char *type)
{
	yajl_gen gen = yajl_gen_alloc(NULL);

	if (!gen)
		return NULL;
	yajl_gen_map_open(gen);
	reply_pair(gen, "type", type);
	return gen;
}

/* Escapes what acts on a terminal (utf8.h), which yajl does not; it can be in strings only. Returns
 * the size; `to` may be NULL. */
static size_t escape(char *to, const char *text, size_t size)
{
	size_t used = 0;

	for (size_t at = 0; at < size;) {
		size_t n = utf8_acts(text + at, size - at);
		char escaped[8];

		if (to && n > 0) {
			snprintf(escaped, sizeof(escaped), "\\u%04X", utf8_code(text + at, n));
			memcpy(to + used, escaped, 6);
		} else if (to) {
			to[used] = text[at];
		}
		used += n > 0 ? 6 : 1;
		at += n > 0 ? n : 1;
	}
	return used;
}

static int generate(yajl_gen gen, struct line **ret)
{
	const unsigned char *text;
	size_t size, escaped;
	int r;

	if (yajl_gen_get_buf(gen, &text, &size) != yajl_gen_status_ok)
		return -ENOMEM;
	escaped = escape(NULL, (const char *)text, size);
	r = line_new(ret, escaped + 1);
	if (r < 0)
		return r;
	escape((*ret)->data, (const char *)text, size);
	(*ret)->data[escaped] = '\n';
	return 0;
}

int reply_end(yajl_gen gen, struct line **ret)
{
	int r;

	yajl_gen_map_close(gen);
	r = generate(gen, ret);
	yajl_gen_free(gen);
	return r;
}
