/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The socket (execsnoopd(8), The socket): listens, accepts, and is the sink that feeds every subscriber. Each
 * has a descriptor, a queue and a request reader of its own; the fault of one ends that one only. It
 * writes and reads when the event loop says so, and never waits, but in server_drain.
 */
#ifndef EXECSNOOP_SERVER_H
#define EXECSNOOP_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include <yajl/yajl_gen.h>

#include "handover/archive.h"
#include "handover/checkpoint.h"
#include "handover/fdstore.h"
#include "model/proctable.h"
#include "output/sink.h"
#include "settings/settings.h"

struct server;

struct server_config {
	const struct settings *settings; /* [socket]; borrowed until the next server_reload */
	uint64_t boot;
	struct checkpoint *checkpoint; /* what is kept over a crash; borrowed, NULL: nothing is */
	/* For server_new alone: the listening socket of another daemon, if there is one, is in the store, and its file in its
	 * checkpoint. Borrowed, NULL: there is none. */
	struct fdstore *store;
	const struct checkpoint_page *left;
	/* A `stats` line is being made: the owner adds its keys to the object that is open. NULL: none. */
	void (*stats)(void *userdata, yajl_gen gen);
	/* A peer came or went, for the log: a line without newline. NULL: not told. */
	void (*note)(void *userdata, int level, const char *message);
	void *userdata;
};

/* listen_fd: a listening stream socket (taken over on success), or -1: the server binds settings->socket.path itself
 * (a stale socket file is replaced, one that a living daemon listens on is -EADDRINUSE, what is no socket -EEXIST),
 * with mode and group. A group that does not exist is noted, and the mode is without the group's bits. */
int server_new(struct server **ret, sd_event *event, struct proctable *table, const struct server_config *config,
	       int listen_fd);
/* The end: accepts nobody any more, and writes what is queued, for at most timeout_ms. */
void server_drain(struct server *server, unsigned timeout_ms);
/* Closes all; removes the socket file if the server made it and it is still that one. */
struct server *server_free(struct server *server);
DEFINE_CLEANUP(struct server *, server_free);

/*
 * Who is connected, what each asked for, what waits for each: for the daemon that comes after this one. Written, only
 * server_leave may follow. Read, the connections come out of the store; who hung up meanwhile is not there any more.
 * 0 or -errno, also of the archive.
 */
int server_archive(struct server *server, struct archive *archive, struct fdstore *store);
/* After a crash, over the table that was there then: goes on with those that were kept, but not with one that the last daemon
 * died of, or may have died of twice. Returns how many. */
unsigned server_resume(struct server *server, struct checkpoint_page *left, struct fdstore *store);
/* As server_free, but it hangs up on nobody: the connections live on in systemd's store; listens: so does the listening
 * socket, with its file. */
struct server *server_leave(struct server *server, bool listens);
/* A listening socket in the store that is not wanted any more goes, with its file. */
void server_discard_listener(struct fdstore *store, const struct checkpoint_page *left);

/* While the event loop does not run, and events come faster than from any storm: whoever's queue is half full is waited for, for
 * so long in all, as long as it reads. 0: that is over. */
void server_set_drain_budget(struct server *server, unsigned ms);

/* As a sink for the pipeline. */
struct sink *server_sink(struct server *server);

/* New settings: limits, mode, group, filters and fields of those who asked for none of their own. Who is connected
 * stays, whatever max_subscribers is now. On failure, which is noted, the old ones stay in force: mode or group cannot be set, or
 * (-ESRCH) there is no such group; but one that was not there before either is only noted. */
int server_reload(struct server *server, const struct settings *settings);

struct server_stats {
	unsigned subscribers;
	uint64_t accepted, refused, events, lost, queue, queue_peak, snapshots_ended;
};
void server_stats(const struct server *server, struct server_stats *ret);

#endif
