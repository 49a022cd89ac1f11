/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The socket (execsnoopd(8), The socket): listens, accepts, and is the sink that feeds every subscriber. Each has
 * a descriptor, a queue and an input buffer of its own; a fault of one ends that one only. It reads and writes when
 * the event loop calls it, and waits only in server_drain().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include <yajl/yajl_gen.h>

#include "handover/archive.h"
#include "handover/checkpoint.h"
#include "handover/fdstore.h"
#include "model/proctable.h"
#include "output/sink.h"
#include "output/stream.h"
#include "settings/settings.h"

struct server;

struct server_config {
	const struct settings *settings; /* [socket]; borrowed until the next server_reload */
	uint64_t boot;
	const struct stream *stream;   /* of all events; borrowed, NULL: stream_none */
	struct extras_source *extras;  /* for keys on request; borrowed, may be NULL */
	struct checkpoint *checkpoint; /* what is kept over a crash; borrowed, NULL: nothing is */
	/* For server_new() alone: the previous daemon's listening socket is in the store, its file in the page.
	 * Borrowed; NULL: there is none. */
	struct fdstore *store;
	const struct checkpoint_page *previous;
	/* A `stats` line is being made: the owner adds its keys to the object that is open. NULL: none. */
	void (*stats)(void *userdata, yajl_gen gen);
	/* A message for the log, without newline. NULL: dropped. */
	void (*log)(void *userdata, int level, const char *message);
	void *userdata;
};

/* listen_fd: a listening stream socket (taken over on success), or -1: the server binds settings->socket.path itself
 * (a stale socket file is replaced, one that a living daemon listens on is -EADDRINUSE, what is no socket -EEXIST),
 * with mode and group. A group that does not exist is logged, and the mode is without the group's bits. */
int server_new(struct server **ret, sd_event *event, struct proctable *table, const struct server_config *config,
	       int listen_fd);
/* Stops accepting, and writes what is queued, for at most timeout_ms. */
void server_drain(struct server *server, unsigned timeout_ms);
/* Closes all; removes the socket file if the server made it and it is still that one. */
struct server *server_free(struct server *server);
DEFINE_CLEANUP(struct server *, server_free);

/*
 * Connections, subscriptions and queues, for the next daemon. On write: only server_hand_over() may follow. On read:
 * the connections come out of the store; those that were closed meanwhile end. -errno, also of the archive.
 */
int server_archive(struct server *server, struct archive *archive, struct fdstore *store);
/* After a crash, with the table of that time: resumes the connections in the store, except one that the previous daemon
 * died of, or that two daemons may have died of. Returns how many. */
unsigned server_resume(struct server *server, struct checkpoint_page *previous, struct fdstore *store);
/* As server_free(), but the connections stay open in systemd's store; listens: so does the listening socket, with its
 * file. */
struct server *server_hand_over(struct server *server, bool listens);
/* Removes a listening socket in the store that is no longer wanted, with its file. */
void server_discard_listener(struct fdstore *store, const struct checkpoint_page *previous);

/* For a replay, when events come faster than from any storm and the event loop does not run: the server waits for peers
 * whose queue is half full, as long as they read, for `ms` in all. 0: no longer. */
void server_set_drain_budget(struct server *server, unsigned ms);

/* As a sink for the pipeline. */
struct sink *server_sink(struct server *server);

/* New settings: limits, mode, group, and filters and fields of subscribers without a request of their own. Connections
 * stay, whatever max_subscribers is. On failure, which is logged, the old settings stay in force: mode or group cannot
 * be set, or (-ESRCH) there is no such group; a group that was missing before too is only logged. */
int server_reload(struct server *server, const struct settings *settings);
/* Filters are given to subscribers in turns of the event loop; false: all have them. */
bool server_is_reloading(const struct server *server);

struct server_stats {
	unsigned subscribers;
	uint64_t accepted, refused, accept_pauses, events, lost, queue, queue_peak, snapshots_ended;
};
void server_stats(const struct server *server, struct server_stats *ret);
