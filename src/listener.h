/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The listening socket that the daemon makes itself, and its file. */
#ifndef EXECSNOOP_LISTENER_H
#define EXECSNOOP_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "cleanup.h"
#include "settings.h"

struct listener;

/*
 * Binds settings->socket.path and listens, with mode and group. A stale socket file is replaced; one that a living daemon
 * listens on is -EADDRINUSE, what is no socket -EEXIST. *ret_fd: the socket, the caller's. *ret_without_group: there is no
 * such group, and the mode is without the group's bits.
 */
int listener_new(struct listener **ret, const struct settings *settings, int *ret_fd, bool *ret_without_group);
/*
 * The same with a socket that another daemon made, whose file is (dev, ino): if it is at that path, fd is used (and is still the
 * caller's). -ENOENT: it is not.
 */
int listener_adopt(struct listener **ret, const struct settings *settings, int fd, uint64_t dev, uint64_t ino,
		   bool *ret_without_group);
/* Of one that is not adopted: removes the file, if it is still there. */
void listener_discard(int fd, uint64_t dev, uint64_t ino);
/* Which file it is, for whoever adopts it; and the end of this side of it, where the file stays. */
void listener_identity(const struct listener *listener, uint64_t *ret_dev, uint64_t *ret_ino);
struct listener *listener_leave(struct listener *listener);
/* Removes the file if it is still the one that was made. */
struct listener *listener_free(struct listener *listener);
DEFINE_CLEANUP(struct listener *, listener_free);

/* Is the file still the one that was made? Somebody may have removed it, and another daemon made its own. */
bool listener_is_there(const struct listener *listener);
const char *listener_path(const struct listener *listener);
/* Mode and group anew. *ret_without_group as with listener_new(); NULL: without such a group nothing is changed, and it is -ESRCH.
 * 0 or -errno. */
int listener_set_access(const struct listener *listener, const struct settings *settings, bool *ret_without_group);

#endif
