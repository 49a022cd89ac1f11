/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which connection is admitted, and which stays. One user can't take all places, root always gets one, and where all
 * are taken, a connection whose reader has stopped is closed. Restored connections count as any other. After a reload,
 * and after a restart, those that mode and group of the socket's file would not let in any more end at once, without
 * what waits for them.
 */
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <syslog.h>

#include "output/server_internal.h"

#define STUCK_US 60000000	 /* without one byte read, while events are lost */
#define RESERVE_MAX 16		 /* OTHER_FILES of listener.c has room for their descriptors */
#define REFUSALS_LOG_US 60000000 /* between two messages about refusals */

static bool is_short_of_files(const struct server *server)
{
	return server->files_allow < server->config.settings->socket.max_subscribers;
}

static uint64_t places(const struct server *server)
{
	return is_short_of_files(server) ? server->files_allow : server->config.settings->socket.max_subscribers;
}

/* For root alone, above the others. */
static uint64_t reserve(const struct server *server)
{
	uint64_t part = places(server) / 16;

	return part == 0 ? 1 : part < RESERVE_MAX ? part : RESERVE_MAX;
}

static uint64_t per_user(const struct server *server)
{
	uint64_t most = server->config.settings->socket.per_user;

	if (most == 0)
		most = places(server) / 4;
	return most > 0 ? most : 1;
}

static uint64_t count_of(const struct server *server, uid_t uid)
{
	uint64_t count = 0;

	for (const struct peer *peer = server->peers; peer; peer = peer->next)
		count += peer->cred.uid == uid;
	return count;
}

/* The one whose reader has taken nothing for longest; NULL: all do, or lose nothing by it. */
static struct peer *find_stuck(const struct server *server, uid_t uid, uint64_t now)
{
	struct peer *found = NULL;

	for (struct peer *peer = server->peers; peer; peer = peer->next) {
		if (!subscriber_is_dropping(peer->subscriber) || peer->moved_us + STUCK_US > now ||
		    (peer->cred.uid == 0 && uid != 0))
			continue;
		if (!found || peer->moved_us < found->moved_us)
			found = peer;
	}
	return found;
}

static bool make_place(struct server *server, uid_t uid)
{
	struct peer *peer;
	uint64_t now;

	if (sd_event_now(server->event, CLOCK_MONOTONIC, &now) < 0)
		return false;
	peer = find_stuck(server, uid, now);
	if (!peer)
		return false;
	server_log(server, server_log_level(server, LOG_INFO),
		   "subscriber %d (uid %u) has read nothing for %llu s and is disconnected in favour of a new one",
		   (int)peer->cred.pid, (unsigned)peer->cred.uid,
		   (unsigned long long)((now - peer->moved_us) / 1000000));
	peer_end(peer, "was replaced by a new one");
	return true;
}

const char *server_refusal(struct server *server, uid_t uid)
{
	uint64_t own = count_of(server, uid);

	if (uid != 0 && own >= per_user(server))
		return "this user has as many subscribers as per_user allows";
	if (server->stats.subscribers < places(server) || (uid == 0 && own < reserve(server)) ||
	    make_place(server, uid))
		return NULL;
	return is_short_of_files(server) ? "there are as many subscribers as the limit of open files allows"
					 : "there are as many subscribers as max_subscribers allows";
}

void server_log_refusal(struct server *server, const struct ucred *cred, const char *reason)
{
	uint64_t now;

	server->stats.refused++;
	server->refusals++;
	if (sd_event_now(server->event, CLOCK_MONOTONIC, &now) < 0 || now < server->refusals_logged_us)
		return;
	server_log(server, LOG_NOTICE, "refused %llu subscribers, the last of which was %d (uid %u): %s",
		   (unsigned long long)server->refusals, (int)cred->pid, (unsigned)cred->uid, reason);
	server->refusals = 0;
	server->refusals_logged_us = now + REFUSALS_LOG_US;
}

/* Access. */

/* The file of the socket; false: there is none, or an access control list grants other rights than its mode (acl(5)).
 */
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
	/* With ERANGE it is the size that is needed. */
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
		server_log(server, server_log_level(server, LOG_NOTICE),
			   "subscriber %d (uid %u) may no longer connect and is disconnected", (int)peer->cred.pid,
			   (unsigned)peer->cred.uid);
		peer_end(peer, "may no longer connect");
	}
}
