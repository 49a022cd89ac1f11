/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Peers are strangers: what one does ends that one at most. Requests are read also from a peer that reads nothing (one
 * that cannot follow needs a new filter), but only as long as its subscriber takes replies: so a peer's memory is its
 * queue, one request line, and a few replies, whatever it sends.
 *
 * A turn of a peer is one read, one request, and one portion of output; the loop then continues, with the ring buffer
 * first. Further requests wait for EPOLLOUT: the socket is writable as soon as there is room for their replies.
 *
 * Of the peers that are ready, the one that has used the least CPU time has its turn first (server_charge()). So one
 * that asks for costly snapshots without end, or a hundred of them, do not make one wait whose turns are short.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <syslog.h>

#include "output/named.h"
#include "output/reply.h"
#include "output/request.h"
#include "output/server_internal.h"
#include "util/charge.h"
#include "util/clock.h"

#define NEW_US 1000	/* that a new peer has used: else connections that come and go would always be first */
#define LAST_US 5000	/* of CPU time for the last requests of a connection that was closed */
#define LISTED_MAX 1024 /* subscribers in a reply, the newest */

void slot_name(char ret[static FDSTORE_NAME_MAX], unsigned slot)
{
	snprintf(ret, FDSTORE_NAME_MAX, "subscriber-%u", slot);
}

bool slot_is_taken(const struct server *server, unsigned slot)
{
	for (const struct peer *peer = server->peers; peer; peer = peer->next)
		if (peer->slot == slot)
			return true;
	for (const struct named *named = server->named; named; named = named->next)
		if (!named->peer && named->slot == slot)
			return true;
	return false;
}

/* Unread input would make the close a reset. shutdown(2), since a duplicate in systemd's store would keep it open. */
void shutdown_and_close(int fd)
{
	char rest[16384];

	shutdown(fd, SHUT_RDWR);
	for (int i = 0; i < 64 && recv(fd, rest, sizeof(rest), MSG_DONTWAIT) > 0; i++)
		;
	close(fd);
}

void peer_end(struct peer *peer, const char *why)
{
	struct server *server = peer->server;
	struct subscriber_stats stats = {};

	if (peer->subscriber)
		subscriber_stats(peer->subscriber, &stats);
	server_log(server, LOG_DEBUG, "subscriber %d (uid %u) %s; %llu events, %llu lost", (int)peer->cred.pid,
		   (unsigned)peer->cred.uid, why, (unsigned long long)stats.events, (unsigned long long)stats.lost);
	/* Those of a named subscription go on. */
	if (!peer->named) {
		server->stats.events += stats.events;
		server->stats.lost += stats.lost;
	}
	server->stats.subscribers--;
	if (stats.queue_peak > server->stats.queue_peak)
		server->stats.queue_peak = stats.queue_peak;
	if (peer->next)
		peer->next->previous = peer->previous;
	if (peer->previous)
		peer->previous->next = peer->next;
	else
		server->peers = peer->next;
	sd_event_source_disable_unref(peer->source);
	sd_event_source_disable_unref(peer->deadline);
	if (peer->named)
		named_detach(peer);
	peer_leave_checkpoint(peer);
	subscriber_free(peer->subscriber);
	shutdown_and_close(peer->fd);
	free(peer->input);
	free(peer);
}

static void peer_watch(struct peer *peer)
{
	uint32_t events = 0;

	if (peer->blocked || peer->more)
		events |= EPOLLOUT;
	if (!peer->more && !peer->requests_ended && !peer->closing && subscriber_takes_replies(peer->subscriber))
		events |= EPOLLIN;
	sd_event_source_set_io_events(peer->source, events);
}

void peer_write_later(struct peer *peer)
{
	peer->blocked = true;
	peer_watch(peer);
}

bool peer_write(struct peer *peer)
{
	int r = subscriber_write(peer->subscriber);

	if (r == SUBSCRIBER_E_SLOW) {
		server_log(peer->server, server_log_level(peer->server, LOG_NOTICE),
			   "subscriber %d (uid %u) is too slow and is disconnected", (int)peer->cred.pid,
			   (unsigned)peer->cred.uid);
		peer_end(peer, "was too slow");
		return false;
	}
	if (r < 0 || (peer->closing && r == 0)) {
		peer_end(peer, r < 0 ? "is gone" : "was rejected");
		return false;
	}
	if (subscriber_written(peer->subscriber) != peer->written) {
		peer->written = subscriber_written(peer->subscriber);
		sd_event_now(peer->server->event, CLOCK_MONOTONIC, &peer->moved_us);
	}
	peer->blocked = r != 0;
	peer_watch(peer);
	server_bound_snapshots(peer->server);
	return true;
}

/* Replies. */

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	peer_end(userdata, "did not read why it was rejected");
	return 0;
}

int peer_set_deadline(struct peer *peer)
{
	int r = sd_event_add_time_relative(peer->server->event, &peer->deadline, CLOCK_MONOTONIC, CLOSE_US, 0,
					   on_deadline, peer);

	return r < 0 ? r : 0;
}

/* Debug only: bad requests shall not fill the log, and the peer gets the reason itself. */
int peer_reject(struct peer *peer, const char *reason)
{
	_cleanup_(line_unref_p) struct line *line = NULL;
	yajl_gen gen = reply_begin("rejected");
	int r;

	if (!gen)
		return -ENOMEM;
	reply_pair(gen, "reason", reason);
	r = reply_end(gen, &line);
	if (r < 0)
		return r;
	if (peer->named) {
		r = named_leave(peer);
		if (r < 0)
			return r;
	}
	r = subscriber_finish(peer->subscriber, line);
	if (r < 0)
		return r;
	r = peer_set_deadline(peer);
	if (r < 0)
		return r;
	peer->closing = true;
	peer_leave_checkpoint(peer);
	server_log(peer->server, LOG_DEBUG, "request of subscriber %d (uid %u) rejected: %s", (int)peer->cred.pid,
		   (unsigned)peer->cred.uid, reason);
	return 0;
}

static void gen_peer(yajl_gen gen, const struct peer *peer)
{
	struct subscriber_stats stats;

	subscriber_stats(peer->subscriber, &stats);
	yajl_gen_map_open(gen);
	if (peer->named)
		reply_pair(gen, "name", peer->named->name);
	reply_count(gen, "pid", (uint64_t)peer->cred.pid);
	reply_count(gen, "uid", peer->cred.uid);
	reply_count(gen, "gid", peer->cred.gid);
	reply_count(gen, "events", stats.events);
	reply_count(gen, "lost", stats.lost);
	reply_count(gen, "queue", stats.queue);
	reply_count(gen, "queue_peak", stats.queue_peak);
	reply_count(gen, "queue_limit", stats.queue_limit);
	reply_count(gen, "filter_bytes", stats.filter);
	reply_count(gen, "snapshot_bytes", stats.portion);
	yajl_gen_map_close(gen);
}

/* All memory for which a subscriber can be blamed, but for its queue. */
static void gen_snapshots(yajl_gen gen, const struct server *server)
{
	uint64_t under_way = 0, requests = 0, moved;

	for (const struct peer *peer = server->peers; peer; peer = peer->next) {
		under_way += subscriber_snapshot_moved(peer->subscriber, &moved);
		requests += peer->input ? charge_of(REQUEST_LINE_MAX) : 0;
	}
	reply_map(gen, "snapshots");
	reply_count(gen, "under_way", under_way);
	reply_count(gen, "memory", proctable_retained_bytes(server->table) + subscriber_portions());
	reply_count(gen, "memory_limit", server->config.settings->socket.snapshot_memory);
	reply_count(gen, "ended", server->stats.snapshots_ended);
	yajl_gen_map_close(gen);
	reply_count(gen, "requests_bytes", requests);
}

int peer_reply_stats(struct peer *peer)
{
	_cleanup_(line_unref_p) struct line *line = NULL;
	struct server *server = peer->server;
	yajl_gen gen = reply_begin("stats");
	struct server_stats stats;
	unsigned listed = 0;
	int r;

	if (!gen)
		return -ENOMEM;
	if (server->config.stats)
		server->config.stats(server->config.userdata, gen);
	reply_count(gen, "accepted", server->stats.accepted);
	reply_count(gen, "refused", server->stats.refused);
	reply_count(gen, "accept_pauses", server->stats.accept_pauses);
	server_stats(server, &stats);
	reply_count(gen, "subscribers_lost", stats.lost);
	gen_snapshots(gen, server);
	reply_text(gen, "subscribers");
	yajl_gen_array_open(gen);
	for (struct peer *other = server->peers; other && listed < LISTED_MAX; other = other->next, listed++)
		gen_peer(gen, other);
	yajl_gen_array_close(gen);
	named_gen(server, gen);
	if (server->stats.subscribers > listed)
		reply_count(gen, "subscribers_not_listed", server->stats.subscribers - listed);
	r = reply_end(gen, &line);
	return r < 0 ? r : subscriber_reply(peer->subscriber, line);
}

/* Requests. */

/* Takes the first whole line out of the input, if there may be a reply. */
static int peer_line(struct peer *peer)
{
	const char *end = memchr(peer->input, '\n', peer->input_size);
	size_t size;
	int r = 0;

	if (end && subscriber_takes_replies(peer->subscriber)) {
		size = (size_t)(end - peer->input) + 1;
		r = peer_request(peer, peer->input, size - 1);
		peer->input_size -= size;
		memmove(peer->input, end + 1, peer->input_size);
		end = memchr(peer->input, '\n', peer->input_size);
	}
	if (r == 0 && !peer->closing && !end && peer->input_size == REQUEST_LINE_MAX)
		r = peer_reject(peer, "the line is longer than 64 KiB");
	if (peer->closing)
		peer->input_size = 0;
	peer->more = end && !peer->closing;
	return r;
}

/* One read: 0 or -errno. Half-closed (`echo ... | nc -U`): there are no more requests, but it listens on. */
static int peer_receive(struct peer *peer)
{
	ssize_t n = recv(peer->fd, peer->input + peer->input_size, REQUEST_LINE_MAX - peer->input_size, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	peer->input_size += (size_t)n;
	if (n > 0)
		return 0;
	peer->requests_ended = true;
	peer_save_subscription(peer);
	/* The last line may lack its end. */
	if (peer->input_size > 0)
		peer->input[peer->input_size++] = '\n';
	return 0;
}

/* 0 or -errno: it cannot be read, or not be answered. */
static int peer_read(struct peer *peer)
{
	int r = 0;

	if (!peer->input) {
		peer->input = malloc(REQUEST_LINE_MAX);
		if (!peer->input)
			return -ENOMEM;
		peer->input_size = 0;
	}
	/* What is there goes first: a line that is not whole then has room. */
	if (!peer->more && !peer->requests_ended)
		r = peer_receive(peer);
	if (r == 0)
		r = peer_line(peer);
	if (peer->input_size == 0) {
		free(peer->input);
		peer->input = NULL;
	}
	return r;
}

/* What it acknowledged before it closed the connection; what is not read of that in time comes again. */
static void read_last(struct peer *peer)
{
	uint64_t ends_us = clock_us(CLOCK_THREAD_CPUTIME_ID) + LAST_US;

	while (!peer->closing && subscriber_takes_replies(peer->subscriber) && (!peer->requests_ended || peer->more) &&
	       clock_us(CLOCK_THREAD_CPUTIME_ID) < ends_us)
		if (peer_read(peer) < 0)
			return;
}

/* False: the peer is gone. */
static bool peer_turn(struct peer *peer, uint32_t revents)
{
	if (revents & (EPOLLERR | EPOLLHUP)) {
		if (peer->named)
			read_last(peer);
		peer_end(peer, "closed the connection");
		return false;
	}
	if (revents & EPOLLOUT && !peer_write(peer))
		return false;
	if (!peer->closing && ((revents & EPOLLIN) || peer->more) && peer_read(peer) < 0) {
		peer_end(peer, "could not be sent a reply");
		return false;
	}
	if (subscriber_is_too_slow(peer->subscriber) || (!peer->blocked && subscriber_has_output(peer->subscriber)))
		return peer_write(peer);
	peer_watch(peer);
	return true;
}

static int on_peer(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct peer *peer = userdata;
	struct server *server = peer->server;
	uint64_t began_us = clock_us(CLOCK_THREAD_CPUTIME_ID);
	bool stays;

	server_work(server, peer, revents & EPOLLIN || peer->more || subscriber_is_costly(peer->subscriber));
	stays = peer_turn(peer, revents);
	server_worked(server, stays ? peer : NULL);
	if (stays)
		server_charge(server, peer->source, &peer->used_us, clock_us(CLOCK_THREAD_CPUTIME_ID) - began_us);
	return 0;
}

int peer_make(struct peer **ret, struct server *server, int fd, struct subscriber *subscriber)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	int r;

	if (!peer)
		return -ENOMEM;
	r = sd_event_add_io(server->event, &peer->source, fd, EPOLLIN | EPOLLOUT, on_peer, peer);
	if (r < 0) {
		free(peer);
		return r;
	}
	peer->server = server;
	peer->fd = fd;
	peer->subscriber = subscriber;
	sd_event_now(server->event, CLOCK_MONOTONIC, &peer->moved_us);
	/* Its first portion is written in its own turn, so that many that come at once do not hold up the loop. */
	peer->blocked = true;
	server_charge(server, peer->source, &peer->used_us, NEW_US);
	*ret = peer;
	return 0;
}

void peer_link(struct peer *peer)
{
	struct server *server = peer->server;

	peer->next = server->peers;
	if (peer->next)
		peer->next->previous = peer;
	server->peers = peer;
	server->stats.subscribers++;
}
