/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes JSON. Strings are checked eight bytes at a time, since nearly all have nothing to escape.
 * What RFC 8259, section 7, requires is escaped, and what acts on a terminal (utf8.h): the same
 * value for a JSON parser, and harmless where lines are shown.
 *
 * The first failed allocation is remembered in `r`, and nothing is written after it. All zero is a
 * new writer.
 */
#ifndef EXECSNOOP_JSON_WRITER_H
#define EXECSNOOP_JSON_WRITER_H

#include "util/bytebuf.h"

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

#endif
