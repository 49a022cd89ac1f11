/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The listening socket: a connection is accepted, or rejected since there are too many. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <syslog.h>
#include <time.h>

#include "output/server_internal.h"
#include "util/clock.h"

#define ACCEPTS_MAX 64	/* in one turn, */
#define ACCEPT_US 5000	/* and CPU time */
#define PAUSE_US 100000 /* of accepting, when descriptors ran out */
#define OTHER_FILES                                                                                                 \
	128 /* open beside those of max_subscribers: 45, in a restart those of the last daemon's probes, and root's \
	       reserve */
#define LISTENER "listener" /* in the store */
#define LOGS_MAX 5	    /* of connections, in a second */

/* Round and round, so that a name is not soon another's. */
static unsigned next_slot(struct server *server)
{
	do
		server->slot++;
	while (slot_is_taken(server, server->slot));
	return server->slot;
}

/* Connections are worth a message, but not at the price of a full log. */
int server_log_level(struct server *server, int level)
{
	time_t now = time(NULL);

	if (server->logged_at != now) {
		server->logged_at = now;
		server->logged = 0;
	}
	return server->logged++ < LOGS_MAX ? level : LOG_DEBUG;
}

static int peer_new(struct server *server, int fd, const struct ucred *cred)
{
	const struct settings *settings = server->config.settings;
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	_cleanup_(subscriber_free_p) struct subscriber *subscriber = NULL;
	struct peer *peer;
	int r = settings_filter(&settings->socket.output, &filter);

	if (r == 0)
		r = server_subscriber(server, &subscriber, fd, cred->uid, settings->socket.output.fields, filter);
	if (r < 0)
		return r;
	TAKE_PTR(filter);
	subscriber_set_folds(subscriber, settings->socket.output.path_search == PATH_SEARCH_FOLD);
	r = subscriber_join(subscriber, settings->socket.snapshot);
	if (r == 0)
		r = peer_make(&peer, server, fd, subscriber);
	if (r < 0)
		return r;
	TAKE_PTR(subscriber);
	peer->cred = *cred;
	peer->slot = next_slot(server);
	sd_event_now(server->event, CLOCK_MONOTONIC, &peer->since_us);
	peer_link(peer);
	peer_set_mark(peer, settings->socket.mark);
	server_checkpoint_soon(server);
	server->stats.accepted++;
	server_log(server, server_log_level(server, LOG_INFO), "subscriber %d (uid %u, gid %u) connected",
		   (int)peer->cred.pid, (unsigned)peer->cred.uid, (unsigned)peer->cred.gid);
	return 0;
}

static void refuse(struct server *server, int fd, const struct ucred *cred, const char *reason)
{
	char line[256];
	int size = snprintf(line, sizeof(line), "{\"type\":\"rejected\",\"reason\":\"%s\"}\n", reason);

	server_log_refusal(server, cred, reason);
	if (send(fd, line, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		server_log(server, LOG_DEBUG, "a subscriber beyond the limit has already disconnected");
	shutdown_and_close(fd);
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct server *server = userdata;

	return sd_event_source_set_enabled(server->source, SD_EVENT_ON);
}

/* Out of descriptors or memory: the backlog waits, and the loop does not spin. The timer is there since the beginning:
 * now it could not be made. It is logged once, until a connection is accepted again. */
static int pause_accepting(struct server *server, int error)
{
	int r = sd_event_source_set_time_relative(server->pause, PAUSE_US);

	if (r >= 0)
		r = sd_event_source_set_enabled(server->pause, SD_EVENT_ONESHOT);
	if (r < 0)
		return r;
	if (!server->accept_paused)
		server_log(server, LOG_WARNING, "cannot accept subscribers for now: %s", strerror(error));
	server->accept_paused = true;
	server->stats.accept_pauses++;
	return sd_event_source_set_enabled(server->source, SD_EVENT_OFF);
}

static int accept_some(struct server *server, int fd)
{
	uint64_t ends_us = clock_us(CLOCK_THREAD_CPUTIME_ID) + ACCEPT_US;

	/* A filter of the settings may be costly, and there may be many subscribers to count. */
	for (int i = 0; i < ACCEPTS_MAX && clock_us(CLOCK_THREAD_CPUTIME_ID) < ends_us; i++) {
		int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), r;
		struct ucred cred = { .uid = (uid_t)-1, .gid = (gid_t)-1 };
		socklen_t size = sizeof(cred);
		const char *refusal;

		if (peer < 0 && (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR))
			return 0;
		if (peer < 0)
			return pause_accepting(server, errno);
		getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &cred, &size);
		refusal = server_refusal(server, cred.uid);
		if (refusal) {
			refuse(server, peer, &cred, refusal);
			continue;
		}
		r = peer_new(server, peer, &cred);
		if (r < 0) {
			close(peer);
			return pause_accepting(server, -r);
		}
		server->accept_paused = false;
	}
	return 0;
}

static int on_listen(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct server *server = userdata;
	uint64_t began_us = clock_us(CLOCK_THREAD_CPUTIME_ID);
	int r = accept_some(server, fd);

	server_charge(server, source, &server->listen_used_us, clock_us(CLOCK_THREAD_CPUTIME_ID) - began_us);
	return r;
}

/* Systemd has the listening socket, too, and the checkpoint has which file it is. */
static void keep_listener(struct server *server, bool is_kept)
{
	struct checkpoint_page *page = server->config.checkpoint ? checkpoint_page(server->config.checkpoint) : NULL;

	if (!page)
		return;
	socket_file_identity(server->socket_file, &page->listener_dev, &page->listener_ino);
	if (!is_kept)
		fdstore_keep(LISTENER, server->fd);
}

void server_discard_listener(struct fdstore *store, const struct checkpoint_page *previous)
{
	_cleanup_close_ int fd = store ? fdstore_take(store, LISTENER) : -1;

	if (fd < 0)
		return;
	if (previous)
		socket_file_discard(fd, previous->listener_dev, previous->listener_ino);
	fdstore_forget(LISTENER);
}

/* That of another daemon, where it is the one that the settings ask for. */
static int adopt_listener(struct server *server, bool *ret_without_group)
{
	const struct server_config *config = &server->config;
	const struct checkpoint_page *previous = config->previous;
	_cleanup_close_ int fd = previous && config->checkpoint ? fdstore_take(config->store, LISTENER) : -1;
	int r = fd < 0 ? -ENOENT
		       : socket_file_adopt(&server->socket_file, config->settings, fd, previous->listener_dev,
					   previous->listener_ino, ret_without_group);

	if (r == 0) {
		server->fd = TAKE_FD(fd);
		keep_listener(server, true);
	} else if (fd >= 0) {
		socket_file_discard(fd, previous->listener_dev, previous->listener_ino);
		fdstore_forget(LISTENER);
	}
	return r;
}

static void log_without_group(struct server *server, const struct settings *settings)
{
	server_log(
		server, LOG_WARNING,
		"%s: group %s does not exist, so the socket's mode lacks the bits of the group; reload once systemd-sysusers has created it",
		socket_file_path(server->socket_file), settings->socket.group);
}

/* The group that was in force may be one that was missing all the time: then it is not this reload's fault. */
int server_set_access(struct server *server, const struct settings *settings)
{
	const char *old = server->config.settings->socket.group, *group = settings->socket.group;
	bool without_group = false;
	int r;

	if (!server->socket_file)
		return 0;
	if (!socket_file_is_there(server->socket_file)) {
		server_log(server, LOG_WARNING, "%s was removed or replaced; its mode and group are not changed",
			   socket_file_path(server->socket_file));
		return 0;
	}
	r = socket_file_set_access(server->socket_file, settings,
				   old && group && strcmp(old, group) == 0 ? &without_group : NULL);
	if (r == -ESRCH)
		server_log(server, LOG_ERR, "[socket]: group %s does not exist", group);
	else if (r < 0)
		server_log(server, LOG_ERR, "%s: setting its mode and group: %s", socket_file_path(server->socket_file),
			   strerror(-r));
	else if (without_group)
		log_without_group(server, settings);
	return r;
}

/* Subscribers leave the daemon the files that it needs itself: for a reload, for /proc, for the state that a restart
 * hands over. */
static uint64_t files_for_subscribers(rlim_t limit)
{
	return limit > 2 * OTHER_FILES ? limit - OTHER_FILES : limit / 4;
}

/* The soft limit that we are started with is 1024 as a rule, for programs that use select(2). */
void server_allow_files(struct server *server)
{
	const rlim_t wanted = server->config.settings->socket.max_subscribers + OTHER_FILES;
	struct rlimit limit, higher;

	server->files_allow = UINT64_MAX;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
		return;
	higher = limit;
	higher.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &higher) == 0)
		limit = higher;
	if (limit.rlim_cur >= wanted)
		return;
	server->files_allow = files_for_subscribers(limit.rlim_cur);
	server_log(
		server, LOG_WARNING,
		"[socket] max_subscribers = %llu needs %llu open files, but the limit is %llu (RLIMIT_NOFILE; LimitNOFILE= in a unit): %llu subscribers may connect",
		(unsigned long long)server->config.settings->socket.max_subscribers, (unsigned long long)wanted,
		(unsigned long long)limit.rlim_cur, (unsigned long long)server->files_allow);
}

static int server_bind(struct server *server)
{
	const struct settings *settings = server->config.settings;
	bool without_group;
	int r = adopt_listener(server, &without_group);

	if (r < 0) {
		r = socket_file_new(&server->socket_file, settings, &server->fd, &without_group);
		if (r == 0)
			keep_listener(server, false);
	}
	if (r == 0 && without_group)
		log_without_group(server, settings);
	return r;
}

int server_listen(struct server *server, int listen_fd)
{
	int r = sd_event_add_time_relative(server->event, &server->pause, CLOCK_MONOTONIC, 0, 0, on_pause_over, server);

	server_allow_files(server);
	if (r >= 0)
		r = sd_event_source_set_enabled(server->pause, SD_EVENT_OFF);
	if (r >= 0)
		r = listen_fd >= 0 ? (fcntl(listen_fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0) : server_bind(server);
	if (r >= 0)
		r = sd_event_add_io(server->event, &server->source, listen_fd >= 0 ? listen_fd : server->fd, EPOLLIN,
				    on_listen, server);
	if (r < 0)
		return r;
	if (listen_fd >= 0)
		server->fd = listen_fd;
	return 0;
}

void server_listen_no_more(struct server *server)
{
	sd_event_source_set_enabled(server->source, SD_EVENT_OFF);
	sd_event_source_set_enabled(server->pause, SD_EVENT_OFF);
}

void server_listen_end(struct server *server)
{
	sd_event_source_disable_unref(server->source);
	sd_event_source_disable_unref(server->pause);
	if (server->socket_file && server->config.checkpoint)
		fdstore_forget(LISTENER);
	socket_file_free(server->socket_file);
	if (server->fd >= 0)
		close(server->fd);
}
