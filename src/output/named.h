/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Durable subscriptions: a subscriber with a name, which belongs to a user and outlives its connection (execsnoopd(8),
 * Durable subscriptions). While there is a connection, its peer has the subscriber; else this has it, and it is fed
 * like the others.
 */
#pragma once

#include "output/request.h"
#include "output/server_internal.h"

struct named {
	struct named *next;
	char name[REQUEST_NAME_MAX + 1];
	struct ucred cred; /* of the last connection; the uid is the owner */
	struct peer *peer; /* NULL: no connection */
	/* Without a connection: */
	struct subscriber *subscriber;
	uint64_t args_bytes;
	unsigned slot;
	struct checkpoint_subscriber *place; /* in the checkpoint; NULL: there was none */
};

struct named *named_find(const struct server *server, uid_t uid, const char *name);
/* Why a user can't have another; NULL: it can. */
const char *named_refusal(const struct server *server, uid_t uid);
/* Gives the peer's subscriber a name; `line` is the reply. -errno: the peer is to end. */
int named_new(struct peer *peer, const char *name, struct line *line);
/* One that a previous daemon had. `peer` NULL: it has no connection; then takes the subscriber over on success. */
int named_restore(struct server *server, struct peer *peer, const struct named *state);
/* Its subscriber, whichever connection has it. */
struct subscriber *named_subscriber(const struct named *named);
/*
 * The peer continues it. The old connection, if there is one, ends. `line`: the reply. -errno: the peer is to end, and
 * the subscription has no connection.
 */
int named_attach(struct named *named, struct peer *peer, struct line *line);
/* The peer ends: it has no subscriber any more. */
void named_detach(struct peer *peer);
/* The peer gets a new subscriber, to which nothing is sent but replies. -errno: nothing changed. */
int named_leave(struct peer *peer);
/* Ends it; a peer that has it stays, with an ordinary subscription. */
void named_forget(struct server *server, struct named *named);
void named_free_all(struct server *server);
/* Writes `named`, an array, as a member of the object that is open. */
void named_gen(const struct server *server, yajl_gen gen);
