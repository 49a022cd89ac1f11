/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When a peer gets its next `mark`. The timer is set to the earliest, so a daemon without marks has no wake-up. */
#include "output/server_internal.h"

#define SECOND_US 1000000

static void set_timer(struct server *server, uint64_t next)
{
	server->marks_us = next;
	if (next < UINT64_MAX)
		sd_event_source_set_time(server->mark_timer, next);
	sd_event_source_set_enabled(server->mark_timer, next < UINT64_MAX ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static uint64_t earliest(const struct server *server)
{
	uint64_t next = UINT64_MAX;

	for (const struct peer *peer = server->peers; peer; peer = peer->next)
		if (peer->mark_us > 0 && !peer->closing && peer->mark_next_us < next)
			next = peer->mark_next_us;
	return next;
}

/* One that could not be made in time is not made up for. */
static void mark(struct peer *peer, uint64_t now)
{
	peer->mark_next_us += peer->mark_us;
	if (peer->mark_next_us <= now)
		peer->mark_next_us = now + peer->mark_us;
	subscriber_mark(peer->subscriber);
	if (!peer->blocked && subscriber_has_output(peer->subscriber))
		peer_write_later(peer);
}

static int on_mark(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct server *server = userdata;
	uint64_t now;
	int r = sd_event_now(server->event, CLOCK_MONOTONIC, &now);

	if (r < 0)
		return r;
	for (struct peer *peer = server->peers; peer; peer = peer->next)
		if (peer->mark_us > 0 && !peer->closing && peer->mark_next_us <= now)
			mark(peer, now);
	set_timer(server, earliest(server));
	return 0;
}

int server_marks_init(struct server *server)
{
	int r = sd_event_add_time(server->event, &server->mark_timer, CLOCK_MONOTONIC, 0, 0, on_mark, server);

	server->marks_us = UINT64_MAX;
	return r < 0 ? r : sd_event_source_set_enabled(server->mark_timer, SD_EVENT_OFF);
}

void peer_set_mark(struct peer *peer, uint64_t seconds)
{
	uint64_t now = 0;

	sd_event_now(peer->server->event, CLOCK_MONOTONIC, &now);
	peer->mark_us = seconds * SECOND_US;
	peer->mark_next_us = now + peer->mark_us;
	/* Too early is harmless, and a look at all peers for each of them would not be. */
	if (seconds > 0 && peer->mark_next_us < peer->server->marks_us)
		set_timer(peer->server, peer->mark_next_us);
}
