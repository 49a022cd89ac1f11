/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "output/named.h"

#include <errno.h>
#include <string.h>

#include "output/reply.h"

struct named *named_find(const struct server *server, uid_t uid, const char *name)
{
	for (struct named *named = server->named; named; named = named->next)
		if (named->cred.uid == uid && strcmp(named->name, name) == 0)
			return named;
	return NULL;
}

/* As with connections, one user can't take all, and root always gets one. */
const char *named_refusal(const struct server *server, uid_t uid)
{
	const uint64_t most = server->config.settings->socket.named, per_user = most / 4 > 0 ? most / 4 : 1;
	uint64_t all = 0, own = 0;

	for (const struct named *named = server->named; named; named = named->next) {
		all++;
		own += named->cred.uid == uid;
	}
	if (most == 0)
		return "named subscriptions are disabled (named = 0)";
	if (uid != 0 && own >= per_user)
		return "this user has a quarter of the named subscriptions that are allowed (named)";
	if (all >= most && (uid != 0 || own > 0))
		return "there are as many named subscriptions as allowed (named)";
	return NULL;
}

static struct named *add(struct server *server)
{
	struct named *named = calloc(1, sizeof(*named));

	if (!named)
		return NULL;
	named->next = server->named;
	server->named = named;
	return named;
}

static void remove_and_free(struct server *server, struct named *named)
{
	struct named **at = &server->named;

	while (*at != named)
		at = &(*at)->next;
	*at = named->next;
	free(named);
}

int named_new(struct peer *peer, const char *name, struct line *line)
{
	struct named *named = add(peer->server);
	int r;

	if (!named)
		return -ENOMEM;
	r = subscriber_set_named(peer->subscriber, line);
	if (r < 0) {
		remove_and_free(peer->server, named);
		return r;
	}
	strcpy(named->name, name);
	named->cred = peer->cred;
	named->peer = peer;
	peer->named = named;
	/* A connection gets its place when it has lasted; a name has to be known over a crash at once. */
	if (!peer->place)
		peer_enter_checkpoint(peer);
	return 0;
}

int named_restore(struct server *server, struct peer *peer, const struct named *state)
{
	struct named *named = add(server), *next;

	if (!named)
		return -ENOMEM;
	next = named->next;
	*named = *state;
	named->next = next;
	named->peer = peer;
	if (peer) {
		peer->named = named;
		return 0;
	}
	subscriber_detach(named->subscriber);
	return 0;
}

struct subscriber *named_subscriber(const struct named *named)
{
	return named->peer ? named->peer->subscriber : named->subscriber;
}

/* The peer's place in the checkpoint becomes that of the subscription: it is never without one. */
static void take_place(struct named *named, struct peer *peer)
{
	char name[FDSTORE_NAME_MAX];

	named->slot = peer->slot;
	named->place = peer->place;
	if (!peer->place)
		return;
	peer->place = NULL;
	slot_name(name, peer->slot);
	fdstore_forget(name);
}

void named_detach(struct peer *peer)
{
	struct named *named = peer->named;

	named->subscriber = peer->subscriber;
	named->args_bytes = peer->args_bytes;
	named->cred = peer->cred;
	named->peer = NULL;
	peer->named = NULL;
	peer->subscriber = NULL;
	subscriber_detach(named->subscriber);
	take_place(named, peer);
}

/* The subscription's place in the checkpoint becomes that of the peer, which has its subscriber already. Where it had
 * none, since the checkpoint was full, it gets one. */
static void give_place(struct named *named, struct peer *peer)
{
	if (peer->place)
		peer->place->slot = 0;
	peer->place = named->place;
	named->place = NULL;
	if (!peer->place) {
		peer_enter_checkpoint(peer);
		return;
	}
	peer->place->slot = peer->slot;
	peer->place->cred = peer->cred;
	peer->place->deaths = 0;
	server_checkpoint_soon(peer->server);
}

int named_attach(struct named *named, struct peer *peer, struct line *line)
{
	int r;

	if (named->peer)
		peer_end(named->peer, "was replaced by a newer connection of its name");
	r = subscriber_attach(named->subscriber, peer->subscriber, line);
	if (r < 0)
		return r;
	subscriber_free(peer->subscriber);
	peer->subscriber = named->subscriber;
	named->subscriber = NULL;
	named->cred = peer->cred;
	named->peer = peer;
	peer->named = named;
	give_place(named, peer);
	return 0;
}

int named_leave(struct peer *peer)
{
	_cleanup_(subscriber_free_p) struct subscriber *subscriber = NULL;
	int r = server_subscriber(peer->server, &subscriber, peer->fd, peer->cred.uid, 0, NULL);

	if (r < 0)
		return r;
	r = subscriber_replace(subscriber, peer->subscriber);
	if (r < 0)
		return r;
	named_detach(peer);
	peer->subscriber = TAKE_PTR(subscriber);
	return 0;
}

/* Of what it has without a connection. */
static void clear(struct named *named)
{
	if (named->place)
		named->place->slot = 0;
	named->subscriber = subscriber_free(named->subscriber);
}

void named_forget(struct server *server, struct named *named)
{
	struct peer *peer = named->peer;

	clear(named);
	remove_and_free(server, named);
	if (!peer)
		return;
	peer->named = NULL;
	subscriber_set_unnamed(peer->subscriber);
	server_set_limits(server, peer);
	peer_save_subscription(peer);
}

void named_free_all(struct server *server)
{
	while (server->named) {
		struct named *named = server->named;

		server->named = named->next;
		subscriber_free(named->subscriber);
		free(named);
	}
}

void named_gen(const struct server *server, yajl_gen gen)
{
	reply_text(gen, "named");
	yajl_gen_array_open(gen);
	for (const struct named *named = server->named; named; named = named->next) {
		struct subscriber_stats stats;

		subscriber_stats(named_subscriber(named), &stats);
		yajl_gen_map_open(gen);
		reply_pair(gen, "name", named->name);
		reply_count(gen, "uid", named->cred.uid);
		reply_text(gen, "connected");
		yajl_gen_bool(gen, named->peer != NULL);
		reply_count(gen, "events", stats.events);
		reply_count(gen, "lost", stats.lost);
		reply_count(gen, "queue", stats.queue);
		reply_count(gen, "queue_limit", stats.queue_limit);
		reply_count(gen, "unacknowledged", stats.unacknowledged);
		yajl_gen_map_close(gen);
	}
	yajl_gen_array_close(gen);
}
