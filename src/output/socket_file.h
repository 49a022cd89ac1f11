/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The listening socket that the daemon makes itself, and its file. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "settings/settings.h"
#include "util/cleanup.h"

struct socket_file;

/*
 * Binds settings->socket.path and listens, with mode and group. A stale socket file is replaced; one that a living
 * daemon listens on is -EADDRINUSE, what is no socket -EEXIST. *ret_fd: the socket, the caller's. *ret_without_group:
 * there is no such group, and the mode is without the group's bits.
 */
int socket_file_new(struct socket_file **ret, const struct settings *settings, int *ret_fd, bool *ret_without_group);
/*
 * The same with a socket that another daemon made, whose file is (dev, ino): if it is at that path, fd is used (and is
 * still the caller's). -ENOENT: it is not.
 */
int socket_file_adopt(struct socket_file **ret, const struct settings *settings, int fd, uint64_t dev, uint64_t ino,
		      bool *ret_without_group);
/* Of one that is not adopted: removes the file, if it is still there. */
void socket_file_discard(int fd, uint64_t dev, uint64_t ino);
/* The file's identity, for the daemon that adopts it. socket_file_hand_over() frees without removing the file. */
void socket_file_identity(const struct socket_file *socket_file, uint64_t *ret_dev, uint64_t *ret_ino);
struct socket_file *socket_file_hand_over(struct socket_file *socket_file);
/* Removes the file if it is still the one that was made. */
struct socket_file *socket_file_free(struct socket_file *socket_file);
DEFINE_CLEANUP(struct socket_file *, socket_file_free);

/* Whether the file is still the one that was made: it may have been removed or replaced. */
bool socket_file_is_there(const struct socket_file *socket_file);
const char *socket_file_path(const struct socket_file *socket_file);
/* Sets mode and group again. *ret_without_group as with socket_file_new(); NULL: without such a group nothing is
 * changed and -ESRCH returned. */
int socket_file_set_access(const struct socket_file *socket_file, const struct settings *settings,
			   bool *ret_without_group);
