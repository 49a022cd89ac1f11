/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes JSON. Strings are checked eight bytes at a time, since nearly all have nothing to escape.
 * What RFC 8259, section 7, requires is escaped, and what acts on a terminal (utf8.h): the same
 * value for a JSON parser, and harmless where lines are shown.
 *
 * The first failed allocation is remembered in `r`, and nothing is written after it. All zero is a
 * new writer.
 */
#pragma once

#include <stdint.h>

#include "util/bytebuf.h"

#define JSON_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

struct json_writer {
	struct bytebuf out;
	struct bytebuf text; /* of json_make_utf8() */
	int r;		     /* 0 or -ENOMEM */
};

void json_writer_reset(struct json_writer *w); /* for the next line */
void json_writer_free(struct json_writer *w);  /* what it has allocated */

/* Memory for `more` bytes of w->out. */
static inline bool json_reserve(struct json_writer *w, size_t more)
{
	if (w->r == 0)
		w->r = bytebuf_reserve(&w->out, more);
	return w->r == 0;
}

/* As they are. */
static inline void json_put(struct json_writer *w, const char *data, size_t size)
{
	if (json_reserve(w, size))
		bytebuf_put(&w->out, data, size);
}

static inline void json_put_char(struct json_writer *w, char c)
{
	json_put(w, &c, 1);
}

/* Turns what was written from offset `begin` on, each member after a comma, into an array or
 * object: the first comma becomes `open`. */
void json_put_brackets(struct json_writer *w, size_t begin, char open, char close);

/* A string; s is ASCII with nothing to escape. */
void json_put_ascii(struct json_writer *w, struct bytes s);
/* A string; s is valid UTF-8. */
void json_put_string(struct json_writer *w, struct bytes s);
/* A string of any bytes, with U+FFFD for what is not UTF-8. Returns whether there was any. */
bool json_put_utf8(struct json_writer *w, struct bytes s);
/* A string of the bytes in base64 (RFC 4648, padded). */
void json_put_base64(struct json_writer *w, struct bytes s);

/* Replaces *s, if it is not UTF-8, by a copy with U+FFFD, valid until the next string. Returns
 * whether it did. */
bool json_make_utf8(struct json_writer *w, struct bytes *s);

/* json_list.c: the same for all strings of a list (nulstr.h), which is not empty, as an array. */
bool json_put_list(struct json_writer *w, struct bytes list);
void json_put_base64_list(struct json_writer *w, struct bytes list);
/* Adds to `counted` what json_put_list() writes at least for the bytes from *at on, until it is more than `most`. */
size_t json_list_count(struct bytes list, size_t *at, size_t counted, size_t most);

/* For the files of the writer. To be called once before anything else. */
void json_list_init(void);
/*
 * Eight bytes of ASCII with nothing to escape. The expression sets the highest bit of a byte that
 * is above 0x7e, below 0x20, or one of the two; if no byte has such a bit, no byte has borrowed
 * from its neighbour either.
 */
static inline bool json_is_unescaped_word(uint64_t word)
{
	const uint64_t each = UINT64_C(0x0101010101010101);

	return !((word | (word + each) | (word - 0x20 * each) | ((word ^ '"' * each) - each) |
		  ((word ^ '\\' * each) - each)) &
		 0x80 * each);
}

/* It may begin a character that acts on a terminal. */
static inline bool json_may_act(unsigned char lead)
{
	return lead == 0xc2 || lead == 0xd8 || lead == 0xe2;
}
/* Each writes something at `to`, and returns what follows: a byte of ASCII; a character that acts on a terminal, of
 * more than one byte; bytes in base64. */
char *json_put_ascii_at(char *to, char c);
char *json_escape_code(char *to, unsigned code);
char *json_base64(char *to, const char *from, size_t size);
