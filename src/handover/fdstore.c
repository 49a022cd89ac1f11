/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "handover/fdstore.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "util/notify.h"

struct passed {
	int fd;	    /* -1: taken, or closed */
	char *name; /* NULL only in an array that is half built */
};

struct fdstore {
	size_t count;
	struct passed passed[];
};

static bool is_kept(const struct passed *passed)
{
	return strncmp(passed->name, STORE_PREFIX, strlen(STORE_PREFIX)) == 0;
}

int fdstore_new_of(struct fdstore **ret, const int *fds, const char *const *names, size_t count)
{
	_cleanup_(fdstore_free_p) struct fdstore *store = calloc(1, sizeof(*store) + count * sizeof(store->passed[0]));

	if (!store) {
		for (size_t i = 0; i < count; i++)
			close(fds[i]);
		return -ENOMEM;
	}
	store->count = count;
	for (size_t i = 0; i < count; i++)
		store->passed[i].fd = fds[i];
	for (size_t i = 0; i < count; i++) {
		store->passed[i].name = strdup(names[i]);
		if (!store->passed[i].name)
			return -ENOMEM;
	}
	*ret = TAKE_PTR(store);
	return 0;
}

int fdstore_new(struct fdstore **ret)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names), r;
	_cleanup_free_ int *fds = NULL;

	if (n < 0)
		return n;
	fds = calloc((size_t)n + 1, sizeof(*fds));
	r = fds ? 0 : -ENOMEM;
	for (int i = 0; fds && i < n; i++)
		fds[i] = SD_LISTEN_FDS_START + i;
	if (r == 0)
		r = fdstore_new_of(ret, fds, (const char *const *)names, (size_t)n);
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return r;
}

struct fdstore *fdstore_free(struct fdstore *store)
{
	if (!store)
		return NULL;
	for (size_t i = 0; i < store->count; i++) {
		if (store->passed[i].fd >= 0)
			close(store->passed[i].fd);
		free(store->passed[i].name);
	}
	free(store);
	return NULL;
}

int fdstore_take_listening(struct fdstore *store, int *ret, size_t *ret_count)
{
	struct passed *socket = NULL;
	size_t count = 0;

	for (size_t i = 0; i < store->count; i++) {
		if (store->passed[i].fd < 0 || is_kept(&store->passed[i]))
			continue;
		socket = &store->passed[i];
		count++;
	}
	*ret_count = count;
	if (count > 1 || (socket && sd_is_socket(socket->fd, AF_UNIX, SOCK_STREAM, 1) <= 0))
		return -EINVAL;
	*ret = socket ? TAKE_FD(socket->fd) : -1;
	return 0;
}

/* "kept-VERSION-NAME". */
static void full_name(char ret[static 64], const char *name)
{
	ASSERT(strlen(name) <= FDSTORE_NAME_MAX);
	snprintf(ret, 64, STORE_PREFIX STORE_VERSION "-%s", name);
}

int fdstore_take(struct fdstore *store, const char *name)
{
	char full[64];

	full_name(full, name);
	for (size_t i = 0; i < store->count; i++)
		if (store->passed[i].fd >= 0 && strcmp(store->passed[i].name, full) == 0)
			return TAKE_FD(store->passed[i].fd);
	return -1;
}

void fdstore_keep(const char *name, int fd)
{
	char full[64];

	full_name(full, name);
	/* Without a store it is a daemon whose restart is noticed. */
	notify_store(full, fd);
}

void fdstore_forget(const char *name)
{
	char full[64];

	full_name(full, name);
	notify_store_remove(full);
}

size_t fdstore_discard(struct fdstore *store)
{
	size_t count = 0;

	for (size_t i = 0; i < store->count; i++) {
		struct passed *passed = &store->passed[i];

		if (passed->fd < 0 || !is_kept(passed))
			continue;
		close(TAKE_FD(passed->fd));
		/* All of that name go at once; doing it again does no harm. */
		notify_store_remove(passed->name);
		count++;
	}
	return count;
}
