/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A buffer of bytes that grows as needed. All zero is an empty one. */
#pragma once

#include "util/bytes.h"

#define LINK_SIZE_MAX (64u << 10) /* the kernel's buffer is a page (do_proc_readlink); pages have up to 64 KiB */

struct bytebuf {
	char *data;
	size_t size, capacity;
};

/* Memory for `more` bytes after the last. */
int bytebuf_grow(struct bytebuf *b, size_t more);
static inline int bytebuf_reserve(struct bytebuf *b, size_t more)
{
	return b->capacity - b->size >= more ? 0 : bytebuf_grow(b, more);
}

/* Appends; the memory has been reserved. */
static inline void bytebuf_put(struct bytebuf *b, const char *data, size_t size)
{
	memcpy(b->data + b->size, data, size);
	b->size += size;
}

/* Appends. */
int bytebuf_add(struct bytebuf *b, struct bytes bytes);

/* Empties it, and frees its memory if that is more than `max` bytes. */
void bytebuf_reset(struct bytebuf *b, size_t max);
void bytebuf_free(struct bytebuf *b);

/* These replace the content. From a file: up to its end, but at most `limit` bytes (not 0). */
int bytebuf_read(struct bytebuf *b, int fd, size_t limit);
int bytebuf_read_file(struct bytebuf *b, int dir, const char *name, size_t limit, struct bytes *ret);
/* The target of a symbolic link, with a NUL after it that is not counted. */
int bytebuf_read_link(struct bytebuf *b, int dir, const char *name, struct bytes *ret);
