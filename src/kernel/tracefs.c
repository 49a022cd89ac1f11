/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/tracefs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mount.h>

#include "util/cleanup.h"

int tracefs_open(void)
{
	static const char *const places[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
	_cleanup_close_ int fs = -1;
	bool denied = false;
	int fd;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		_cleanup_close_ int place = open(places[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		_cleanup_close_ int events = -1;

		/* Not access(2): that asks without capabilities. */
		if (place >= 0)
			events = openat(place, "events/syscalls", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (events >= 0)
			return TAKE_FD(place);
		denied |= place >= 0 && errno == EACCES;
	}
	fs = fsopen("tracefs", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return denied ? -EACCES : -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	return fd < 0 ? -errno : fd;
}

int tracefs_syscall_event(int tracefs, const char *name)
{
	char path[128], text[32];
	_cleanup_close_ int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "events/syscalls/%s/id", name);
	fd = openat(tracefs, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return n < 0 ? -errno : -EIO;
	text[n] = '\0';
	return atoi(text);
}
