/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/bytebuf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/populate.h"

#define CAPACITY_MIN 4096
#define LARGE ((size_t)1 << 20)

/* A large one by a part of it, since all of that is populated; realloc(3) does not copy it (mremap(2)). */
static size_t grown(size_t capacity)
{
	if (capacity >= LARGE)
		return capacity + capacity / 4;
	return capacity ? 2 * capacity : CAPACITY_MIN;
}

int bytebuf_grow(struct bytebuf *b, size_t more)
{
	size_t capacity = grown(b->capacity);
	char *data;

	if (more > SIZE_MAX / 4 - b->size)
		return -ENOMEM;
	if (capacity < b->size + more)
		capacity = b->size + more;
	data = realloc(b->data, capacity);
	if (!data)
		return -ENOMEM;
	populate(data + b->capacity, capacity - b->capacity);
	b->data = data;
	b->capacity = capacity;
	return 0;
}

int bytebuf_add(struct bytebuf *b, struct bytes bytes)
{
	int r = bytebuf_reserve(b, bytes.size);

	if (r == 0 && bytes.size > 0)
		bytebuf_put(b, bytes.data, bytes.size);
	return r;
}

void bytebuf_reset(struct bytebuf *b, size_t max)
{
	b->size = 0;
	if (b->capacity > max)
		bytebuf_free(b);
}

void bytebuf_free(struct bytebuf *b)
{
	free(b->data);
	*b = (struct bytebuf){};
}

int bytebuf_read(struct bytebuf *b, int fd, size_t limit)
{
	b->size = 0;
	while (b->size < limit) {
		size_t want;
		ssize_t n;
		int r = bytebuf_reserve(b, 1);

		if (r < 0)
			return r;
		want = (b->capacity < limit ? b->capacity : limit) - b->size;
		n = read(fd, b->data + b->size, want);
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		b->size += (size_t)n;
	}
	return 0;
}

int bytebuf_read_file(struct bytebuf *b, int dir, const char *name, size_t limit, struct bytes *ret)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = bytebuf_read(b, fd, limit);
	if (r < 0)
		return r;
	*ret = (struct bytes){ b->data, b->size };
	return 0;
}

int bytebuf_read_link(struct bytebuf *b, int dir, const char *name, struct bytes *ret)
{
	b->size = 0;
	for (size_t size = CAPACITY_MIN; size <= LINK_SIZE_MAX; size *= 2) {
		ssize_t n;
		int r = bytebuf_reserve(b, size);

		if (r < 0)
			return r;
		n = readlinkat(dir, name, b->data, b->capacity);
		if (n < 0)
			return -errno;
		if ((size_t)n < b->capacity) {
			b->data[n] = '\0';
			b->size = (size_t)n;
			*ret = (struct bytes){ b->data, b->size };
			return 0;
		}
	}
	return -ENAMETOOLONG;
}
