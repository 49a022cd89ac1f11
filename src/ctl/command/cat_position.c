/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/command/cat_position.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "util/cleanup.h"

#define FORMAT "stream=%s seq=%" PRIu64 " time=%" PRIu64 "\n"

int cat_cursor_read(const char *path, struct cat_position *ret)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	struct cat_position position = { 0 };
	char end;

	if (!file)
		return errno == ENOENT ? 0 : -errno;
	if (fscanf(file, "stream=%32[0-9a-zA-Z] seq=%" SCNu64 " time=%" SCNu64 "%c", position.stream, &position.max,
		   &position.time, &end) != 4 ||
	    end != '\n')
		return -EBADMSG;
	*ret = position;
	return 0;
}

static int write_file(int fd, const struct cat_position *position)
{
	char text[128];
	int size = snprintf(text, sizeof(text), FORMAT, position->stream, position->max, position->time);
	ssize_t n = write(fd, text, (size_t)size);

	if (n != size)
		return n < 0 ? -errno : -ENOSPC;
	return fdatasync(fd) < 0 ? -errno : 0;
}

int cat_cursor_write(const char *path, const struct cat_position *position)
{
	_cleanup_free_ char *temporary = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	if (asprintf(&temporary, "%s.new", path) < 0) {
		temporary = NULL;
		return -ENOMEM;
	}
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = write_file(fd, position);
	if (r >= 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(temporary);
	return r;
}
