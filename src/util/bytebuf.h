/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory that small files and links are read into: it grows to the largest, and is used again. */
#ifndef EXECSNOOP_BYTEBUF_H
#define EXECSNOOP_BYTEBUF_H

#include "util/bytes.h"

#define LINK_SIZE_MAX (64u << 10) /* the kernel's buffer is a page (do_proc_readlink); pages have up to 64 KiB */

struct bytebuf {
	char *data; /* free(3) it */
	size_t size;
};

/* All return 0 or -errno. */

int bytebuf_grow(struct bytebuf *room, size_t size);

/* Reads to the end of the file, but at most `limit` bytes (not 0). */
int bytebuf_read(struct bytebuf *room, int fd, size_t limit, size_t *ret_size);
int bytebuf_read_file(struct bytebuf *room, int dir, const char *name, size_t limit, struct bytes *ret);

/* Where the link points; ended by a NUL that does not count. */
int bytebuf_read_link(struct bytebuf *room, int dir, const char *name, struct bytes *ret);

#endif
