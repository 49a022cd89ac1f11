/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections that were made when mode and group of the socket's file let them in, and that these do not any more: after a reload, and after
 * a restart, which keeps connections. They end at once: what waits for them is no more for them than what comes.
 */
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <syslog.h>

#include "output/server_internal.h"

/* The file of the socket; false: there is none, or an access control list says more than its mode (acl(5)). */
static bool read_file(const struct server *server, struct stat *ret)
{
	struct sockaddr_un address = {};
	socklen_t size = sizeof(address) - 1;

	return getsockname(server->fd, (struct sockaddr *)&address, &size) == 0 && address.sun_family == AF_UNIX &&
	       address.sun_path[0] == '/' && lstat(address.sun_path, ret) == 0 && S_ISSOCK(ret->st_mode) &&
	       lgetxattr(address.sun_path, "system.posix_acl_access", NULL, 0) < 0;
}

/* Of the groups that it had when it connected (unix(7), SO_PEERCRED; Linux 4.13, SO_PEERGROUPS). */
static bool is_in_group(const struct peer *peer, gid_t gid)
{
	_cleanup_free_ gid_t *groups = NULL;
	socklen_t size = 0;

	if (peer->cred.gid == gid)
		return true;
	/* ERANGE says how much room there must be. */
	if (getsockopt(peer->fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || size == 0)
		return false;
	groups = malloc(size);
	if (!groups || getsockopt(peer->fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		return false;
	for (size_t i = 0; i < size / sizeof(*groups); i++)
		if (groups[i] == gid)
			return true;
	return false;
}

/* To connect takes the right to write (unix(7), path_resolution(7)). */
static bool may_connect(const struct peer *peer, const struct stat *file)
{
	if (peer->cred.uid == 0)
		return true;
	if (peer->cred.uid == file->st_uid)
		return file->st_mode & S_IWUSR;
	/* All have it, in a group or not. */
	if ((file->st_mode & S_IWGRP) && (file->st_mode & S_IWOTH))
		return true;
	return file->st_mode & (is_in_group(peer, file->st_gid) ? S_IWGRP : S_IWOTH);
}

void server_check_access(struct server *server)
{
	struct peer *next;
	struct stat file;

	if (!server->peers || !read_file(server, &file))
		return;
	for (struct peer *peer = server->peers; peer; peer = next) {
		next = peer->next;
		if (may_connect(peer, &file))
			continue;
		server_note(server, server_note_level(server, LOG_NOTICE),
			    "subscriber %d (uid %u) may no longer connect and is disconnected", (int)peer->cred.pid,
			    (unsigned)peer->cred.uid);
		peer_end(peer, "may no longer connect");
	}
}
