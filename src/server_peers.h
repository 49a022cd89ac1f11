/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What server.c and server_archive.c share. For nobody else. */
#ifndef EXECSNOOP_SERVER_PEERS_H
#define EXECSNOOP_SERVER_PEERS_H

#include <sys/socket.h>
#include <time.h>

#include "listener.h"
#include "server.h"
#include "subscriber.h"

#define LEAVE_US 2000000 /* for a peer that is sent away to read why */

struct peer {
	struct server *server;
	struct peer *next, *previous;
	int fd;
	unsigned slot; /* no other has it: its name in systemd's store */
	sd_event_source *source;
	sd_event_source *deadline; /* of one that is leaving */
	struct subscriber *subscriber;
	struct ucred cred;
	char *input; /* REQUEST_LINE_MOST bytes while there is something in it; else NULL */
	size_t input_size;
	bool more;	     /* there is a whole line in it */
	bool blocked;	     /* output waits for EPOLLOUT */
	bool requests_ended; /* half-closed */
	bool leaving;	     /* close when all is written */
	bool own_subscription;
};

struct server {
	struct sink sink;
	sd_event *event;
	struct proctable *table;
	struct server_config config;
	struct json *json;
	int fd;
	struct listener *listener; /* NULL: the socket is systemd's */
	sd_event_source *source, *pause;
	bool short_of; /* what accept needs: it was said */
	struct peer *peers;
	unsigned slot;		   /* the one that was given last */
	time_t noted_at;	   /* the second of the last notes, */
	unsigned noted;		   /* and how many there were in it */
	struct server_stats stats; /* without what living peers have */
};

/* A subscriber as the settings have it, that asks for what keys and filter say; takes filter over on success. */
int server_subscriber(struct server *server, struct subscriber **ret, int fd, key_set keys, struct filter *filter);
/* A peer of its own subscriber; takes fd and subscriber over on success. It is in no list yet. */
int peer_make(struct peer **ret, struct server *server, int fd, struct subscriber *subscriber);
void peer_enter(struct peer *peer);
void peer_end(struct peer *peer, const char *why);
/* Whoever is sent away goes after LEAVE_US, whether it has read why or not. 0 or -errno. */
int peer_set_deadline(struct peer *peer);
/* Its name in systemd's store. */
void slot_name(char ret[static STORE_NAME_MOST], unsigned slot);

#endif
