/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which connection gets a place. One user can't take all of them, root always gets in, and where all are taken, one whose
 * reader has stopped goes. Kept connections of the last daemon count as any other.
 */
#include <syslog.h>

#include "output/server_internal.h"

#define STUCK_US 60000000	  /* without one byte read, while events are lost */
#define RESERVE_MAX 16		  /* OTHER_FILES of server_listen.c has room for their descriptors */
#define REFUSALS_NOTE_US 60000000 /* between two messages about refusals */

/* For root alone, above max_subscribers. */
static uint64_t reserve(const struct settings *settings)
{
	uint64_t places = settings->socket.max_subscribers / 16;

	return places == 0 ? 1 : places < RESERVE_MAX ? places : RESERVE_MAX;
}

static uint64_t per_user(const struct settings *settings)
{
	uint64_t most = settings->socket.per_user ? settings->socket.per_user : settings->socket.max_subscribers / 4;

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
	server_note(server, server_note_level(server, LOG_INFO),
		    "subscriber %d (uid %u) has read nothing for %llu s and is disconnected in favour of a new one",
		    (int)peer->cred.pid, (unsigned)peer->cred.uid,
		    (unsigned long long)((now - peer->moved_us) / 1000000));
	peer_end(peer, "was replaced by a new one");
	return true;
}

const char *server_refusal(struct server *server, uid_t uid)
{
	const struct settings *settings = server->config.settings;
	uint64_t own = count_of(server, uid);

	if (uid != 0 && own >= per_user(settings))
		return "this user has as many subscribers as per_user allows";
	if (server->stats.subscribers < settings->socket.max_subscribers || (uid == 0 && own < reserve(settings)) ||
	    make_place(server, uid))
		return NULL;
	return "there are as many subscribers as max_subscribers allows";
}

void server_note_refusal(struct server *server, const struct ucred *cred, const char *reason)
{
	uint64_t now;

	server->stats.refused++;
	server->refusals++;
	if (sd_event_now(server->event, CLOCK_MONOTONIC, &now) < 0 || now < server->refusals_noted_us)
		return;
	server_note(server, LOG_NOTICE, "refused %llu subscribers, the last of which was %d (uid %u): %s",
		    (unsigned long long)server->refusals, (int)cred->pid, (unsigned)cred->uid, reason);
	server->refusals = 0;
	server->refusals_noted_us = now + REFUSALS_NOTE_US;
}
