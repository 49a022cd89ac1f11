/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/bytebuf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "util/cleanup.h"

int bytebuf_grow(struct bytebuf *room, size_t size)
{
	char *data;

	if (size <= room->size)
		return 0;
	data = realloc(room->data, size);
	if (!data)
		return -ENOMEM;
	room->data = data;
	room->size = size;
	return 0;
}

int bytebuf_read(struct bytebuf *room, int fd, size_t limit, size_t *ret_size)
{
	size_t size = 0;

	while (size < limit) {
		size_t want = size ? 2 * size : 4096;
		ssize_t n;
		int r;

		r = bytebuf_grow(room, want < limit ? want : limit);
		if (r < 0)
			return r;
		want = (room->size < limit ? room->size : limit) - size;
		n = read(fd, room->data + size, want);
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		size += (size_t)n;
	}
	*ret_size = size;
	return 0;
}

int bytebuf_read_file(struct bytebuf *room, int dir, const char *name, size_t limit, struct bytes *ret)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	size_t size;
	int r;

	if (fd < 0)
		return -errno;
	r = bytebuf_read(room, fd, limit, &size);
	if (r < 0)
		return r;
	*ret = (struct bytes){ room->data, size };
	return 0;
}

int bytebuf_read_link(struct bytebuf *room, int dir, const char *name, struct bytes *ret)
{
	for (size_t size = 512; size <= LINK_SIZE_MAX; size *= 2) {
		ssize_t n;
		int r;

		r = bytebuf_grow(room, size);
		if (r < 0)
			return r;
		n = readlinkat(dir, name, room->data, room->size);
		if (n < 0)
			return -errno;
		if ((size_t)n < room->size) {
			room->data[n] = '\0';
			*ret = (struct bytes){ room->data, (size_t)n };
			return 0;
		}
	}
	return -ENAMETOOLONG;
}
