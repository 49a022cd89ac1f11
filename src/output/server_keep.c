/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Subscribers over a crash. A connection that lasts gets a place in the checkpoint and a duplicate in systemd's store; so
 * whoever connects and goes at once makes no work for systemd.
 */
#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "output/request.h"
#include "output/server_internal.h"
#include "util/notify.h"

#define KEEP_AFTER_US 250000
#define KEEP_MAX 64 /* in one turn */

/* A compiler barrier is enough: who reads it comes after this process. */
static void set_size(struct checkpoint_subscriber *place, uint32_t size)
{
	__atomic_store_n(&place->subscription_size, size, __ATOMIC_RELEASE);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void peer_note(struct peer *peer)
{
	struct checkpoint_subscriber *place = peer->place;
	yajl_gen gen = place ? yajl_gen_alloc(NULL) : NULL;
	struct bytes text;

	if (!place)
		return;
	set_size(place, 0);
	if (!gen)
		return;
	text = subscription_text(gen, subscriber_keys(peer->subscriber), subscriber_filter(peer->subscriber));
	place->own_subscription = peer->own_subscription;
	place->requests_ended = peer->requests_ended;
	if (text.size <= sizeof(place->subscription)) {
		memcpy(place->subscription, text.data, text.size);
		set_size(place, (uint32_t)text.size);
	}
	yajl_gen_free(gen);
}

static struct checkpoint_subscriber *free_place(struct server *server)
{
	struct checkpoint_page *page = server->config.checkpoint ? checkpoint_page(server->config.checkpoint) : NULL;

	for (size_t i = 0; page && i < CHECKPOINT_SUBSCRIBERS; i++)
		if (page->subscribers[i].slot == 0)
			return &page->subscribers[i];
	return NULL;
}

bool peer_enter_checkpoint(struct peer *peer)
{
	peer->place = free_place(peer->server);
	if (!peer->place)
		return false;
	*peer->place = (struct checkpoint_subscriber){ .slot = peer->slot, .cred = peer->cred };
	peer_note(peer);
	subscriber_set_checkpoint(peer->subscriber, &peer->place->stream);
	return true;
}

void peer_leave_checkpoint(struct peer *peer)
{
	char name[FDSTORE_NAME_MAX];

	if (!peer->place)
		return;
	peer->place->slot = 0;
	subscriber_set_checkpoint(peer->subscriber, NULL);
	peer->place = NULL;
	slot_name(name, peer->slot);
	fdstore_forget(name);
}

/* False: there is no place for more. */
static bool keep(struct peer *peer)
{
	char name[FDSTORE_NAME_MAX];

	if (!peer_enter_checkpoint(peer))
		return false;
	slot_name(name, peer->slot);
	fdstore_keep(name, peer->fd);
	return true;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct server *server = userdata;
	unsigned kept = 0;
	bool more = false;

	/* Not before systemd has taken what waits: what comes and goes meanwhile makes no message at all. */
	if (notify_waiting() > 0) {
		server_keep_soon(server);
		return 0;
	}
	for (struct peer *peer = server->peers; peer; peer = peer->next) {
		if (peer->place || peer->leaving)
			continue;
		if (kept == KEEP_MAX || peer->since_us + KEEP_AFTER_US > usec)
			more = true;
		else if (keep(peer))
			kept++;
		else
			break;
	}
	if (more)
		server_keep_soon(server);
	return 0;
}

int server_keep_init(struct server *server)
{
	int r = sd_event_add_time_relative(server->event, &server->keep, CLOCK_MONOTONIC, 0, 0, on_time, server);

	return r < 0 ? r : sd_event_source_set_enabled(server->keep, SD_EVENT_OFF);
}

void server_keep_soon(struct server *server)
{
	int enabled = SD_EVENT_OFF;

	if (!server->config.checkpoint || sd_event_source_get_enabled(server->keep, &enabled) < 0 ||
	    enabled != SD_EVENT_OFF)
		return;
	sd_event_source_set_time_relative(server->keep, KEEP_AFTER_US);
	sd_event_source_set_enabled(server->keep, SD_EVENT_ONESHOT);
}

/* After a crash. */

static int resume_peer(struct server *server, const struct checkpoint_subscriber *left, int fd)
{
	const struct kept kept = {
		.slot = left->slot,
		.subscription = { left->subscription, left->subscription_size },
		.own_subscription = left->own_subscription,
		.requests_ended = left->requests_ended,
		.cred = left->cred,
	};
	_cleanup_(subscriber_free_p) struct subscriber *subscriber = NULL;
	int r = peer_subscription(server, fd, &kept, &subscriber);

	if (r == 0)
		r = subscriber_resume(subscriber, &left->stream);
	if (r == 0)
		r = peer_follow_settings(server, subscriber, &kept);
	if (r == 0)
		r = peer_restore(server, fd, subscriber, &kept);
	if (r == 0)
		TAKE_PTR(subscriber);
	return r;
}

/* One who was only there when a SIGKILL came is not to blame, but twice is no chance. */
static bool is_to_blame(const struct checkpoint_work *work, const struct checkpoint_subscriber *left)
{
	return left->deaths == UINT8_MAX ||
	       (left->slot == work->slot && (work->is_own || work->fault || left->deaths > 0));
}

/* 1, or 0: it does not go on. Nobody knows how much of a line is out, or what it asked for. */
static unsigned resume_one(struct server *server, const struct checkpoint_work *work,
			   struct checkpoint_subscriber *left, int fd)
{
	char name[FDSTORE_NAME_MAX];

	slot_name(name, left->slot);
	if (is_to_blame(work, left))
		server_note(server, LOG_WARNING,
			    "subscriber %d (uid %u) is disconnected: the previous daemon died while working for it",
			    (int)left->cred.pid, (unsigned)left->cred.uid);
	else if (!left->stream.mid_line && left->subscription_size > 0 &&
		 left->subscription_size <= sizeof(left->subscription) && resume_peer(server, left, fd) == 0) {
		/* It is the first of the list. */
		if (server->peers && server->peers->slot == left->slot && server->peers->place)
			server->peers->place->deaths = (uint8_t)(left->deaths + (left->slot == work->slot));
		return 1;
	}
	shutdown_and_close(fd);
	fdstore_forget(name);
	return 0;
}

unsigned server_resume(struct server *server, struct checkpoint_page *page, struct fdstore *store)
{
	const struct checkpoint_work work = page->work;
	unsigned count = 0;

	for (size_t i = 0; i < CHECKPOINT_SUBSCRIBERS; i++) {
		struct checkpoint_subscriber *left = &page->subscribers[i];
		char name[FDSTORE_NAME_MAX];
		int fd;

		if (left->slot == 0 || slot_is_taken(server, left->slot))
			continue;
		slot_name(name, left->slot);
		fd = fdstore_take(store, name);
		if (fd < 0)
			continue;
		/* As long as this daemon's page does not count, whoever comes next reads that one again. */
		if (is_to_blame(&work, left))
			left->deaths = UINT8_MAX;
		page->work = (struct checkpoint_work){ .slot = left->slot, .is_own = true };
		count += resume_one(server, &work, left, fd);
		page->work.slot = 0;
	}
	page->work = work;
	server_check_access(server);
	return count;
}
