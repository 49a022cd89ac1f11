/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of peers, for the next daemon: in the archive at an end in order, in the checkpoint as it changes. What a
 * peer asked for is kept as the request that asks for it, so it is read by what reads requests. A connection that lasts
 * gets a place in the checkpoint and a duplicate in systemd's store; short connections make no work for systemd.
 */
#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "output/named.h"
#include "util/notify.h"

#define PEERS_MAX (1u << 20) /* more than there can be descriptors */
#define STORE_AFTER_US 250000
#define STORE_MAX 32 /* in one turn: a message that waits has a descriptor */
#define END_MS 500   /* for the service manager to read, at the end */

/* In an archive, before the subscriber. */
struct peer_state {
	unsigned slot;
	struct bytes subscription, input;
	bool own_subscription, more, requests_ended, closing;
	/* Of the subscription, once it was read. */
	uint64_t mark, args_bytes;
	char name[REQUEST_NAME_MAX + 1];
	struct ucred cred;
};

static void peer_state_archive(struct peer_state *state, struct archive *a)
{
	ARCHIVE(a, state->slot);
	archive_bytes(a, &state->subscription);
	archive_flag(a, &state->own_subscription);
	ARCHIVE(a, state->cred);
	archive_bytes(a, &state->input);
	archive_flag(a, &state->more);
	archive_flag(a, &state->requests_ended);
	archive_flag(a, &state->closing);
}

/* A subscription as a request, valid as long as gen is. Empty without memory, or where the configuration filters by
 * what is no UTF-8. */
static struct bytes request_text(yajl_gen gen, const struct request *request)
{
	_cleanup_(filter_free_p) struct filter *none = NULL;
	struct request whole = *request;
	const unsigned char *text;
	size_t size;

	if (!whole.filter && filter_new(&none) < 0)
		return BYTES("");
	if (!whole.filter)
		whole.filter = none;
	yajl_gen_map_open(gen);
	request_gen(&whole, gen);
	yajl_gen_map_close(gen);
	return yajl_gen_get_buf(gen, &text, &size) == yajl_gen_status_ok ? (struct bytes){ (const char *)text, size }
									 : BYTES("");
}

static struct bytes subscription_text(yajl_gen gen, const struct peer *peer)
{
	struct request request = {
		.keys = subscriber_keys(peer->subscriber),
		.filter = subscriber_filter(peer->subscriber),
		.mark = peer->own_subscription ? peer->mark_us / 1000000 : 0, /* else that of the settings */
		.args_bytes = peer->args_bytes,
		.folds = subscriber_folds(peer->subscriber),
	};

	if (peer->named)
		strcpy(request.name, peer->named->name);
	return request_text(gen, &request);
}

/* In the checkpoint. */

/* A compiler barrier is enough: it is read after the end of this process. */
static void set_size(struct checkpoint_subscriber *place, uint32_t size)
{
	__atomic_store_n(&place->subscription_size, size, __ATOMIC_RELEASE);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void peer_save_subscription(struct peer *peer)
{
	struct checkpoint_subscriber *place = peer->place;
	yajl_gen gen = place ? yajl_gen_alloc(NULL) : NULL;
	struct bytes text;

	if (!place)
		return;
	set_size(place, 0);
	if (!gen)
		return;
	text = subscription_text(gen, peer);
	place->own_subscription = peer->own_subscription;
	place->requests_ended = peer->requests_ended;
	place->is_named = peer->named != NULL;
	if (text.size <= sizeof(place->subscription)) {
		memcpy(place->subscription, text.data, text.size);
		set_size(place, (uint32_t)text.size);
	}
	yajl_gen_free(gen);
}

static struct bytes detached_text(yajl_gen gen, const struct named *named)
{
	struct request request = {
		.keys = subscriber_keys(named->subscriber),
		.filter = subscriber_filter(named->subscriber),
		.args_bytes = named->args_bytes,
		.folds = subscriber_folds(named->subscriber),
	};

	strcpy(request.name, named->name);
	return request_text(gen, &request);
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
	peer_save_subscription(peer);
	subscriber_set_checkpoint(peer->subscriber, &peer->place->stream);
	return true;
}

/* As peer_enter_checkpoint(), for a named subscription without a connection; `subscription`: its request. */
static void named_enter_checkpoint(struct server *server, struct named *named, struct bytes subscription)
{
	struct checkpoint_subscriber *place = free_place(server);

	if (!place || subscription.size > sizeof(place->subscription))
		return;
	named->place = place;
	*place = (struct checkpoint_subscriber){
		.slot = named->slot,
		.cred = named->cred,
		.own_subscription = true,
		.is_named = true,
	};
	memcpy(place->subscription, subscription.data, subscription.size);
	set_size(place, (uint32_t)subscription.size);
	subscriber_set_checkpoint(named->subscriber, &place->stream);
}

void peer_leave_checkpoint(struct peer *peer)
{
	char name[FDSTORE_NAME_MAX];

	if (!peer->place)
		return;
	peer->place->slot = 0;
	subscriber_set_checkpoint(peer->subscriber, NULL);
	peer->place = NULL;
	peer->is_stored = false;
	slot_name(name, peer->slot);
	fdstore_forget(name);
}

/* False: there is no place for more. */
static bool store_peer(struct peer *peer)
{
	char name[FDSTORE_NAME_MAX];

	if (!peer->place && !peer_enter_checkpoint(peer))
		return false;
	slot_name(name, peer->slot);
	fdstore_keep(name, peer->fd);
	peer->is_stored = true;
	return true;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct server *server = userdata;
	unsigned stored = 0;
	bool more = false;

	/* Not before systemd has taken what waits: what comes and goes meanwhile makes no message at all. */
	if (notify_waiting() > 0) {
		server_checkpoint_soon(server);
		return 0;
	}
	for (struct peer *peer = server->peers; peer; peer = peer->next) {
		if (peer->is_stored || peer->closing)
			continue;
		if (stored == STORE_MAX || peer->since_us + STORE_AFTER_US > usec)
			more = true;
		else if (store_peer(peer))
			stored++;
		else
			break;
	}
	if (more)
		server_checkpoint_soon(server);
	return 0;
}

int server_checkpoint_init(struct server *server)
{
	int r = sd_event_add_time_relative(server->event, &server->checkpoint_timer, CLOCK_MONOTONIC, 0, 0, on_time,
					   server);

	return r < 0 ? r : sd_event_source_set_enabled(server->checkpoint_timer, SD_EVENT_OFF);
}

void server_checkpoint_soon(struct server *server)
{
	int enabled = SD_EVENT_OFF;

	if (!server->config.checkpoint || sd_event_source_get_enabled(server->checkpoint_timer, &enabled) < 0 ||
	    enabled != SD_EVENT_OFF)
		return;
	sd_event_source_set_time_relative(server->checkpoint_timer, STORE_AFTER_US);
	sd_event_source_set_enabled(server->checkpoint_timer, SD_EVENT_ONESHOT);
}

/* From either. */

/* A subscriber that asks for what was state. 0 or -errno. */
static int restore_subscription(struct server *server, int fd, struct peer_state *state, struct subscriber **ret)
{
	char reason[REQUEST_REASON_SIZE];
	struct request request = { .keys = KEYS_ALL };
	int r = request_parse(&request, state->subscription.data ? state->subscription.data : "",
			      state->subscription.size, reason);

	if (r == -EINVAL && !state->own_subscription)
		r = 0; /* that of the configuration, which it is given then */
	if (r == 0)
		r = server_subscriber(server, ret, fd, state->cred.uid, request.keys, request.filter);
	if (r < 0) {
		request_clear(&request);
		return r;
	}
	state->mark = state->own_subscription ? request.mark : server->config.settings->socket.mark;
	state->args_bytes = request.args_bytes;
	strcpy(state->name, request.name);
	subscriber_set_args_bytes(*ret, state->args_bytes);
	subscriber_set_folds(*ret, request.folds);
	return 0;
}

/* A subscriber without a request follows the configuration, which may be another now. 0 or -errno. */
static int follow_settings(struct server *server, struct subscriber *subscriber, const struct peer_state *state)
{
	const struct settings_output *output = &server->config.settings->socket.output;
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	struct request request = { .keys = output->fields, .folds = output->path_search == PATH_SEARCH_FOLD };
	yajl_gen gen;
	bool same;
	int r;

	if (state->own_subscription)
		return 0;
	gen = yajl_gen_alloc(NULL);
	r = settings_filter(output, &filter);
	request.filter = filter;
	same = gen && r == 0 && bytes_equal(state->subscription, request_text(gen, &request));
	if (gen)
		yajl_gen_free(gen);
	if (r < 0 || same)
		return r;
	r = subscriber_configure(subscriber, output->fields, filter, false);
	subscriber_set_folds(subscriber, request.folds);
	if (r == 0)
		TAKE_PTR(filter);
	return r;
}

/* The subscription's name, if it has one. peer NULL: it has no connection. */
static int restore_name(struct server *server, struct peer *peer, struct subscriber *subscriber,
			const struct peer_state *state)
{
	struct named named = {
		.cred = state->cred,
		.subscriber = peer ? NULL : subscriber,
		.args_bytes = state->args_bytes,
		.slot = state->slot,
	};

	if (!*state->name) {
		subscriber_set_unnamed(subscriber);
		return 0;
	}
	strcpy(named.name, state->name);
	subscriber_set_limits(subscriber, server->config.settings->socket.queue, false);
	return named_restore(server, peer, &named);
}

/* Takes the subscriber over on success. */
static int restore_detached(struct server *server, struct subscriber *subscriber, const struct peer_state *state)
{
	int r = restore_name(server, NULL, subscriber, state);

	if (r == 0)
		named_enter_checkpoint(server, named_find(server, state->cred.uid, state->name), state->subscription);
	return r;
}

/* The peer of a subscriber; its connection is in systemd's store. Takes fd and subscriber over on success. */
static int restore_peer(struct server *server, int fd, struct subscriber *subscriber, const struct peer_state *state)
{
	_cleanup_free_ char *input = state->input.size > 0 ? malloc(REQUEST_LINE_MAX) : NULL;
	struct peer *peer;
	int r;

	if (state->input.size > 0 && !input)
		return -ENOMEM;
	r = peer_make(&peer, server, fd, subscriber);
	if (r < 0)
		return r;
	if (input) {
		memcpy(input, state->input.data, state->input.size);
		peer->input = TAKE_PTR(input);
		peer->input_size = state->input.size;
		peer->more = state->more;
	}
	peer->slot = state->slot;
	peer->cred = state->cred;
	peer->own_subscription = state->own_subscription;
	peer->requests_ended = state->requests_ended;
	peer->closing = state->closing;
	peer->args_bytes = state->args_bytes;
	peer_link(peer);
	peer_set_mark(peer, state->mark);
	if (restore_name(server, peer, subscriber, state) < 0) {
		peer_end(peer, "could not be restored");
		return 0;
	}
	peer->is_stored = peer_enter_checkpoint(peer);
	if (!peer->is_stored) {
		char name[FDSTORE_NAME_MAX];

		slot_name(name, peer->slot);
		fdstore_forget(name);
	}
	if (peer->closing && peer_set_deadline(peer) < 0)
		peer_end(peer, "could not be given time to close");
	return 0;
}

/* The archive. */

/* The limit of open files may leave few (listener.c). */
static void store_at_end(struct peer *peer, const char *name)
{
	struct server *server = peer->server;

	if (notify_waiting() >= STORE_MAX && !server->manager_is_stuck)
		server->manager_is_stuck = !notify_flush(END_MS);
	fdstore_keep(name, peer->fd);
}

static int write_peer(struct peer *peer, struct archive *a, struct line_set *lines)
{
	struct peer_state state = {
		.slot = peer->slot,
		.input = { peer->input, peer->input ? peer->input_size : 0 },
		.own_subscription = peer->own_subscription,
		.more = peer->more,
		.requests_ended = peer->requests_ended,
		.closing = peer->closing,
		.cred = peer->cred,
	};
	yajl_gen gen = yajl_gen_alloc(NULL);
	char name[FDSTORE_NAME_MAX];

	if (!gen)
		return -ENOMEM;
	state.subscription = subscription_text(gen, peer);
	peer_state_archive(&state, a);
	yajl_gen_free(gen);
	slot_name(name, peer->slot);
	if (!peer->is_stored)
		store_at_end(peer, name);
	return subscriber_archive(peer->subscriber, a, lines);
}

static int write_detached(struct named *named, struct archive *a, struct line_set *lines)
{
	struct peer_state state = { .slot = named->slot, .own_subscription = true, .cred = named->cred };
	yajl_gen gen = yajl_gen_alloc(NULL);

	if (!gen)
		return -ENOMEM;
	state.subscription = detached_text(gen, named);
	peer_state_archive(&state, a);
	yajl_gen_free(gen);
	return subscriber_archive(named->subscriber, a, lines);
}

/* A connection that was closed in between ends, unless its subscription has a name. */
static int read_peer(struct server *server, struct archive *a, struct fdstore *store, struct line_set *lines)
{
	_cleanup_(subscriber_free_p) struct subscriber *subscriber = NULL;
	_cleanup_close_ int fd = -1;
	char name[FDSTORE_NAME_MAX];
	struct peer_state state = {};
	int r;

	peer_state_archive(&state, a);
	/* Without a whole line in it, there is room for more (peer_line()). */
	if (state.input.size > REQUEST_LINE_MAX || (state.input.size == REQUEST_LINE_MAX && !state.more))
		archive_fail(a);
	r = archive_error(a);
	if (r < 0)
		return r;
	slot_name(name, state.slot);
	fd = fdstore_take(store, name);
	r = restore_subscription(server, fd, &state, &subscriber);
	/* Also of a closed connection: others follow in the archive. */
	if (r == 0)
		r = subscriber_archive(subscriber, a, lines);
	if (r == 0)
		r = follow_settings(server, subscriber, &state);
	if (r == 0 && fd < 0 && !*state.name)
		return 0;
	if (r == 0)
		r = fd >= 0 ? restore_peer(server, fd, subscriber, &state)
			    : restore_detached(server, subscriber, &state);
	if (r < 0) {
		fdstore_forget(name);
		return r;
	}
	TAKE_FD(fd);
	TAKE_PTR(subscriber);
	return 0;
}

int server_archive(struct server *server, struct archive *a, struct fdstore *store)
{
	struct line_set lines = {};
	size_t count = server->stats.subscribers;
	int r = 0;

	for (struct named *named = server->named; named; named = named->next)
		count += !named->peer;

	ARCHIVE(a, server->slot);
	ARCHIVE(a, server->stats);
	archive_count(a, &count, PEERS_MAX);
	if (archive_is_reading(a)) {
		server->stats.subscribers = 0;
		for (size_t i = 0; r == 0 && i < count; i++)
			r = read_peer(server, a, store, &lines);
		server_check_access(server);
	} else {
		for (struct peer *peer = server->peers; r == 0 && peer; peer = peer->next)
			r = write_peer(peer, a, &lines);
		for (struct named *named = server->named; r == 0 && named; named = named->next)
			if (!named->peer)
				r = write_detached(named, a, &lines);
	}
	line_set_clear(&lines);
	return r < 0 ? r : archive_error(a);
}

/* After a crash. */

static int resume_peer(struct server *server, const struct checkpoint_subscriber *previous, int fd)
{
	struct peer_state state = {
		.slot = previous->slot,
		.subscription = { previous->subscription, previous->subscription_size },
		.own_subscription = previous->own_subscription,
		.requests_ended = previous->requests_ended,
		.cred = previous->cred,
	};
	_cleanup_(subscriber_free_p) struct subscriber *subscriber = NULL;
	int r = restore_subscription(server, fd, &state, &subscriber);

	if (r < 0)
		return r;
	r = subscriber_resume(subscriber, &previous->stream);
	if (r < 0)
		return r;
	r = follow_settings(server, subscriber, &state);
	if (r < 0)
		return r;
	if (fd < 0 && !*state.name)
		return -EBADMSG;
	r = fd >= 0 ? restore_peer(server, fd, subscriber, &state) : restore_detached(server, subscriber, &state);
	if (r < 0)
		return r;
	TAKE_PTR(subscriber);
	return 0;
}

/* A peer is not blamed for the first SIGKILL that comes while the daemon works for it, but for the second. A name is
 * not blamed for a request: it would take with it what was not acknowledged, and acknowledgements are frequent. */
static bool is_to_blame(const struct checkpoint_work *work, const struct checkpoint_subscriber *previous)
{
	const bool is_own = work->is_own && !previous->is_named;

	return previous->deaths == UINT8_MAX ||
	       (previous->slot == work->slot && (is_own || work->fault || previous->deaths > 0));
}

static bool is_known(const struct checkpoint_subscriber *previous)
{
	return previous->subscription_size > 0 && previous->subscription_size <= sizeof(previous->subscription);
}

/* How many daemons have died while they worked for it. */
static void save_deaths(struct server *server, const struct checkpoint_subscriber *previous, unsigned deaths)
{
	struct checkpoint_page *page = server->config.checkpoint ? checkpoint_page(server->config.checkpoint) : NULL;

	for (size_t i = 0; page && i < CHECKPOINT_SUBSCRIBERS; i++)
		if (page->subscribers[i].slot == previous->slot)
			page->subscribers[i].deaths = (uint8_t)deaths;
}

/* 1, or 0: the connection can't be resumed: part of a line is out, or what it asked for is not known. A subscription
 * with a name continues without it. */
static unsigned resume_one(struct server *server, const struct checkpoint_work *work,
			   struct checkpoint_subscriber *previous, int fd)
{
	char name[FDSTORE_NAME_MAX];

	slot_name(name, previous->slot);
	if (is_to_blame(work, previous))
		server_log(server, LOG_WARNING,
			   "subscriber %d (uid %u) is disconnected: the previous daemon died while working for it",
			   (int)previous->cred.pid, (unsigned)previous->cred.uid);
	else if (is_known(previous) && resume_peer(server, previous, previous->stream.mid_line ? -1 : fd) == 0) {
		save_deaths(server, previous, previous->deaths + (previous->slot == work->slot));
		if (!previous->stream.mid_line)
			return fd >= 0;
	}
	if (fd >= 0)
		shutdown_and_close(fd);
	fdstore_forget(name);
	return 0;
}

unsigned server_resume(struct server *server, struct checkpoint_page *page, struct fdstore *store)
{
	const struct checkpoint_work work = page->work;
	unsigned count = 0;

	for (size_t i = 0; i < CHECKPOINT_SUBSCRIBERS; i++) {
		struct checkpoint_subscriber *previous = &page->subscribers[i];
		char name[FDSTORE_NAME_MAX];
		int fd;

		if (previous->slot == 0 || slot_is_taken(server, previous->slot))
			continue;
		slot_name(name, previous->slot);
		fd = fdstore_take(store, name);
		if (fd < 0 && !previous->is_named)
			continue;
		/* Until this daemon's page is valid, the next daemon reads that one again. */
		if (is_to_blame(&work, previous))
			previous->deaths = UINT8_MAX;
		page->work = (struct checkpoint_work){ .slot = previous->slot, .is_own = true, .fault = true };
		count += resume_one(server, &work, previous, fd);
		page->work.slot = 0;
	}
	page->work = work;
	server_check_access(server);
	return count;
}
