/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "handover/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define BUFFER_SIZE 65536 /* written at once */
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

struct archive {
	int error;
	/* Reading: the file. */
	const char *map, *at, *end;
	/* Writing. */
	int fd;
	size_t used;
	char *buffer;
};

int archive_new(struct archive **ret)
{
	_cleanup_(archive_free_p) struct archive *archive = calloc(1, sizeof(*archive));

	if (!archive)
		return -ENOMEM;
	archive->fd = memfd_create("execsnoopd-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (archive->fd < 0)
		return -errno;
	archive->buffer = malloc(BUFFER_SIZE);
	if (!archive->buffer)
		return -ENOMEM;
	*ret = TAKE_PTR(archive);
	return 0;
}

int archive_open(struct archive **ret, int fd)
{
	_cleanup_(archive_free_p) struct archive *archive = calloc(1, sizeof(*archive));
	struct stat st;
	void *map;

	if (!archive)
		return -ENOMEM;
	archive->fd = -1;
	/* Unsealed it could change, or shrink, while it is read. */
	if (fcntl(fd, F_GET_SEALS) != SEALS)
		return -EINVAL;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size > 0) {
		map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (map == MAP_FAILED)
			return -errno;
		archive->map = archive->at = map;
		archive->end = archive->at + st.st_size;
	} else {
		archive->map = archive->at = archive->end = "";
	}
	*ret = TAKE_PTR(archive);
	return 0;
}

struct archive *archive_free(struct archive *archive)
{
	if (!archive)
		return NULL;
	if (archive->map && archive->end > archive->map)
		munmap((void *)archive->map, (size_t)(archive->end - archive->map));
	if (archive->fd >= 0)
		close(archive->fd);
	free(archive->buffer);
	free(archive);
	return NULL;
}

bool archive_is_reading(const struct archive *archive)
{
	return archive->map;
}

int archive_error(const struct archive *archive)
{
	return archive->error;
}

void archive_fail(struct archive *archive)
{
	if (archive->error == 0)
		archive->error = -EBADMSG;
}

static void write_out(struct archive *archive, const char *data, size_t size)
{
	while (archive->error == 0 && size > 0) {
		ssize_t n = write(archive->fd, data, size);

		if (n < 0 && errno != EINTR)
			archive->error = -errno;
		if (n > 0) {
			data += n;
			size -= (size_t)n;
		}
	}
}

static void flush(struct archive *archive)
{
	write_out(archive, archive->buffer, archive->used);
	archive->used = 0;
}

void archive_raw(struct archive *archive, void *value, size_t size)
{
	if (archive->map) {
		if (archive->error == 0 && size > (size_t)(archive->end - archive->at))
			archive->error = -EBADMSG;
		if (archive->error < 0) {
			memset(value, 0, size);
			return;
		}
		memcpy(value, archive->at, size);
		archive->at += size;
		return;
	}
	if (size > BUFFER_SIZE - archive->used)
		flush(archive);
	if (size > BUFFER_SIZE) {
		write_out(archive, value, size);
		return;
	}
	memcpy(archive->buffer + archive->used, value, size);
	archive->used += size;
}

void archive_flag(struct archive *archive, bool *flag)
{
	/* What is read into may not be set yet. */
	unsigned char byte = archive->map ? 0 : *flag;

	ARCHIVE(archive, byte);
	*flag = byte != 0;
}

void archive_count(struct archive *archive, size_t *count, size_t most)
{
	ARCHIVE(archive, *count);
	if (archive->map && *count > most) {
		archive_fail(archive);
		*count = 0;
	}
}

void archive_bytes(struct archive *archive, struct bytes *bytes)
{
	bool known = !archive->map && bytes->data;

	archive_flag(archive, &known);
	if (!known) {
		*bytes = BYTES_NONE;
		return;
	}
	ARCHIVE(archive, bytes->size);
	if (!archive->map) {
		archive_raw(archive, (void *)bytes->data, bytes->size);
		return;
	}
	if (archive->error == 0 && bytes->size > (size_t)(archive->end - archive->at))
		archive->error = -EBADMSG;
	if (archive->error < 0) {
		*bytes = BYTES_NONE;
		return;
	}
	bytes->data = archive->at;
	archive->at += bytes->size;
}

int archive_seal(struct archive *archive, int *ret)
{
	flush(archive);
	if (archive->error < 0)
		return archive->error;
	if (fcntl(archive->fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	*ret = TAKE_FD(archive->fd);
	return 0;
}
