/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the server share: server.c, listener.c, admission.c, peer.c, peer_request.c, peer_state.c,
 * named.c, marks.c. */
#pragma once

#include <sys/socket.h>
#include <time.h>

#include "output/server.h"
#include "output/socket_file.h"
#include "output/subscriber.h"

#define TURNS_SURVIVED 1000 /* of a peer: then the death of an earlier daemon is forgotten */
#define CLOSE_US 2000000    /* for a rejected peer to read the reason */

struct named;

struct peer {
	struct server *server;
	struct peer *next, *previous;
	int fd;
	unsigned slot; /* unique: its name in systemd's store */
	sd_event_source *source;
	sd_event_source *deadline; /* while closing */
	struct subscriber *subscriber;
	struct ucred cred;
	uint64_t used_us;		     /* server_charge() */
	uint64_t since_us;		     /* CLOCK_MONOTONIC when it connected */
	uint64_t moved_us;		     /* and when it last read something */
	uint64_t written;		     /* bytes, then */
	struct checkpoint_subscriber *place; /* in the checkpoint; NULL: not yet */
	char *input;			     /* REQUEST_LINE_MAX bytes while there is something in it; else NULL */
	size_t input_size;
	bool more;	     /* there is a whole line in it */
	bool blocked;	     /* output waits for EPOLLOUT */
	bool requests_ended; /* half-closed */
	bool closing;	     /* close when all is written */
	bool stalled;	     /* the server has waited for it in vain */
	bool own_subscription;
	bool is_outdated;      /* it has the filter of the settings before, for a short time */
	bool is_stored;	       /* in systemd's store */
	struct named *named;   /* of which it has the subscriber; NULL: none (named.h) */
	uint64_t mark_us;      /* between marks; 0: none */
	uint64_t mark_next_us; /* CLOCK_MONOTONIC */
	uint64_t args_bytes;   /* as it asked for */
	unsigned turns;	       /* since a daemon died while it worked for it; up to TURNS_SURVIVED */
};

struct server {
	struct sink sink;
	sd_event *event;
	struct proctable *table;
	struct server_config config;
	struct json *json;
	struct budget budget;
	uint64_t used_us, listen_used_us; /* server_charge() */
	struct checkpoint_work *work;	  /* in the checkpoint, or */
	struct checkpoint_work no_work;	  /* where there is none */
	int fd;
	struct socket_file *socket_file; /* NULL: the socket is systemd's */
	sd_event_source *source, *pause, *checkpoint_timer, *sweep, *mark_timer, *renewal;
	uint64_t renewal_used_us; /* server_charge() */
	uint64_t marks_us;	  /* for when mark_timer is set; UINT64_MAX: it is off */
	uint64_t files_allow;	  /* subscribers, by RLIMIT_NOFILE */
	bool renews;		  /* subscribers have yet to get the filter of the settings */
	bool accept_paused;	  /* and that was logged */
	bool manager_is_stuck;	  /* at the end */
	unsigned drain_budget_ms; /* the rest of server_set_drain_budget() */
	struct peer *peers;
	struct named *named;
	unsigned slot;			       /* the one that was given last */
	time_t logged_at;		       /* the second of the last messages, */
	unsigned logged;		       /* and their number in it */
	uint64_t refusals, refusals_logged_us; /* not logged yet; when they may be */
	struct server_stats stats;	       /* without what living peers have */
};

/* server.c. A message for the log. */
__attribute__((format(printf, 3, 4))) void server_log(struct server *server, int level, const char *format, ...);
/* The level of a message that a peer can cause: debug beyond a few a second. */
int server_log_level(struct server *server, int level);
/* Ends snapshots until the rest fits snapshot_memory, the one that has not moved for longest first. */
void server_bound_snapshots(struct server *server);
/* A subscriber with the settings' limits; takes filter over on success. */
int server_subscriber(struct server *server, struct subscriber **ret, int fd, uid_t uid, key_set keys,
		      struct filter *filter);

/* Gives its subscriber the limits of the settings. */
void server_set_limits(struct server *server, struct peer *peer);

/* A turn took so much CPU time. Of the sources that are ready, the one that has used the least has the next turn.
 * *used_us is what this one has used; one that was idle has at least what those had that were ready (used_us). */
void server_charge(struct server *server, sd_event_source *source, uint64_t *used_us, uint64_t took_us);

/* marks.c. One timer for all peers, off while none wants marks. */
int server_marks_init(struct server *server);
/* The peer gets a mark each `seconds` from now on; 0: none. */
void peer_set_mark(struct peer *peer, uint64_t seconds);

/* admission.c. Why a connection of that user is refused; NULL: it is admitted, and another may be closed for it. */
const char *server_refusal(struct server *server, uid_t uid);
/* Counts a refusal, and logs some. */
void server_log_refusal(struct server *server, const struct ucred *cred, const char *reason);

/* The subscriber that is worked for from now on, for the next daemon after a crash; 0: none. */
static inline void server_work_slot(struct server *server, unsigned slot, bool is_own)
{
	server->work->is_own = is_own;
	/* A compiler barrier is enough: it is read when this process is gone. */
	__atomic_store_n(&server->work->slot, slot, __ATOMIC_RELEASE);
}

static inline void server_work(struct server *server, const struct peer *peer, bool is_own)
{
	server_work_slot(server, peer ? peer->slot : 0, is_own);
}

/* The end of that. */
static inline void server_worked(struct server *server, struct peer *peer)
{
	server_work(server, NULL, false);
	if (peer && peer->place && peer->place->deaths > 0 && ++peer->turns == TURNS_SURVIVED)
		peer->place->deaths = 0;
}

/* listener.c: over listen_fd, which is taken over on success, or at the path of the settings (-1). 0 or -errno. */
int server_listen(struct server *server, int listen_fd);
/* Raises the limit of open files to what max_subscribers may need; logs where that fails. */
void server_allow_files(struct server *server);
/* Mode and group of the socket's file by new settings. -ESRCH: there is no such group. A failure is logged. */
int server_set_access(struct server *server, const struct settings *settings);
void server_listen_no_more(struct server *server);
/* Closes the socket, and removes its file as server_free() has it. */
void server_listen_end(struct server *server);

/* admission.c. Ends the connections that mode and group of the socket's file would not let in. */
void server_check_access(struct server *server);

/* peer.c. A peer of its own subscriber; takes fd and subscriber over on success. It is in no list yet. */
int peer_make(struct peer **ret, struct server *server, int fd, struct subscriber *subscriber);
void peer_link(struct peer *peer);
/* What waits for it, as far as it takes it. False: the peer is gone. */
bool peer_write(struct peer *peer);
/* The same in the peer's own turn. */
void peer_write_later(struct peer *peer);
void peer_end(struct peer *peer, const char *why);
/* Replies with the reason, after which the connection is closed. 0 or -errno. */
int peer_reject(struct peer *peer, const char *reason);
int peer_reply_stats(struct peer *peer);
/* peer_request.c. One line: 0; -errno: the peer is to end. */
int peer_request(struct peer *peer, const char *line, size_t size);
/* Closes the peer after CLOSE_US, whether it has read the reason or not. */
int peer_set_deadline(struct peer *peer);
/* Its name in systemd's store. */
bool slot_is_taken(const struct server *server, unsigned slot);
void shutdown_and_close(int fd);
void slot_name(char ret[static FDSTORE_NAME_MAX], unsigned slot);

/* peer_state.c: over a crash. Connections that last get a place in the checkpoint soon. */
int server_checkpoint_init(struct server *server);
void server_checkpoint_soon(struct server *server);
/* Takes a place in the checkpoint; false: there is none. The connection is put into systemd's store by the caller. */
bool peer_enter_checkpoint(struct peer *peer);
/* Out of the checkpoint and the store, if it is there. */
void peer_leave_checkpoint(struct peer *peer);
/* What it asks for has changed. */
void peer_save_subscription(struct peer *peer);
