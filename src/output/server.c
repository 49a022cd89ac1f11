/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sink that feeds all peers. A peer may end whenever it is written to, so a walk over the list reads the next one
 * first.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

#include "output/json.h"
#include "output/named.h"
#include "output/server_internal.h"
#include "util/clock.h"

#define FLUSH_US 5000	/* of writing in one turn of the consumer; the rest is written in the turns of the peers */
#define RENEWAL_US 5000 /* of new filters in one turn */
#define WAIT_MS 100	/* at once, for those whose queues are half full */

void server_log(struct server *server, int level, const char *format, ...)
{
	char message[512];
	va_list args;

	if (!server->config.log)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	server->config.log(server->config.userdata, level, message);
}

int server_subscriber(struct server *server, struct subscriber **ret, int fd, uid_t uid, key_set keys,
		      struct filter *filter)
{
	const struct settings *settings = server->config.settings;
	struct subscriber_config config = {
		.queue = settings->socket.queue,
		.disconnect = settings->socket.slow == SLOW_DISCONNECT,
		.keys = keys,
		.filter = filter,
		.boot = server->config.boot,
		.stream = server->config.stream,
		.extras = server->config.extras,
		.json = server->json,
		.budget = &server->budget,
		.uid = uid,
	};

	return subscriber_new(ret, fd, &config, server->table);
}

void server_charge(struct server *server, sd_event_source *source, uint64_t *used_us, uint64_t took_us)
{
	if (server->used_us < *used_us)
		server->used_us = *used_us;
	*used_us = server->used_us + took_us + 1;
	sd_event_source_set_priority(source, (int64_t)*used_us);
}

/* The sink. */

/* Waits until a peer with output is writable, and writes to all that are. False: there is no output, or time is up. */
static bool drain_some(struct server *server, struct pollfd *fds, uint64_t deadline)
{
	uint64_t now = clock_ms(CLOCK_MONOTONIC);
	struct peer *next;
	nfds_t n = 0, i = 0;

	for (struct peer *peer = server->peers; peer; peer = peer->next)
		if (subscriber_has_output(peer->subscriber))
			fds[n++] = (struct pollfd){ .fd = peer->fd, .events = POLLOUT };
	if (n == 0 || now >= deadline || (poll(fds, n, (int)(deadline - now)) < 0 && errno != EINTR))
		return false;
	for (struct peer *peer = server->peers; peer; peer = next) {
		next = peer->next;
		if (i < n && fds[i].fd == peer->fd && fds[i++].revents)
			peer_write(peer);
	}
	return true;
}

static void drain_for(struct server *server, unsigned timeout_ms)
{
	_cleanup_free_ struct pollfd *fds = calloc(server->stats.subscribers + 1, sizeof(*fds));
	uint64_t deadline = clock_ms(CLOCK_MONOTONIC) + timeout_ms;

	while (fds && drain_some(server, fds, deadline))
		;
}

/* Until all is written or time is up; a peer whose queue is still half full then is not waited for again. */
static void wait_for_slow_peers(struct server *server)
{
	uint64_t began = clock_ms(CLOCK_MONOTONIC), took;

	drain_for(server, server->drain_budget_ms < WAIT_MS ? server->drain_budget_ms : WAIT_MS);
	took = clock_ms(CLOCK_MONOTONIC) - began;
	server->drain_budget_ms = took < server->drain_budget_ms ? server->drain_budget_ms - (unsigned)took : 0;
	for (struct peer *peer = server->peers; peer; peer = peer->next)
		peer->stalled |= subscriber_is_half_full(peer->subscriber);
}

/* The peer whose snapshot has not moved for longest; NULL: there is no snapshot under way. */
static struct peer *find_stalled(struct server *server)
{
	struct peer *found = NULL;
	uint64_t moved, least = UINT64_MAX;

	for (struct peer *peer = server->peers; peer; peer = peer->next) {
		if (subscriber_snapshot_moved(peer->subscriber, &moved) && moved < least) {
			found = peer;
			least = moved;
		}
	}
	return found;
}

void server_bound_snapshots(struct server *server)
{
	const size_t most = server->config.settings->socket.snapshot_memory;
	struct peer *peer;

	while (proctable_retained_bytes(server->table) + subscriber_portions() > most &&
	       (peer = find_stalled(server))) {
		server->stats.snapshots_ended++;
		server_log(
			server, server_log_level(server, LOG_INFO),
			"the snapshot of subscriber %d (uid %u) is not read and was ended: snapshot_memory is exhausted",
			(int)peer->cred.pid, (unsigned)peer->cred.uid);
		subscriber_end_snapshot(peer->subscriber);
		/* The caller may be walking the list. */
		if (subscriber_is_too_slow(peer->subscriber))
			sd_event_source_set_enabled(server->sweep, SD_EVENT_ONESHOT);
	}
}

/* Sends away those that are too slow, where no event comes that would. */
static int on_sweep(sd_event_source *source, void *userdata)
{
	struct server *server = userdata;
	struct peer *next;

	for (struct peer *peer = server->peers; peer; peer = next) {
		next = peer->next;
		if (subscriber_is_too_slow(peer->subscriber))
			peer_write(peer);
	}
	return 0;
}

static void on_event(struct sink *sink, const struct event *event, struct encoder *encoder)
{
	struct server *server = (struct server *)sink;
	bool slow = false;

	server_bound_snapshots(server);
	for (struct peer *peer = server->peers; peer; peer = peer->next) {
		if (peer->closing)
			continue;
		server_work(server, peer, false);
		subscriber_event(peer->subscriber, event, encoder);
		slow |= server->drain_budget_ms > 0 && !peer->stalled && subscriber_is_half_full(peer->subscriber);
	}
	for (struct named *named = server->named; named; named = named->next) {
		if (named->peer)
			continue;
		server_work_slot(server, named->slot, false);
		subscriber_event(named->subscriber, event, encoder);
	}
	server_work(server, NULL, false);
	if (slow)
		wait_for_slow_peers(server);
}

static void on_flush(struct sink *sink, bool behind)
{
	struct server *server = (struct server *)sink;
	struct peer *next;
	uint64_t ends_us = clock_us(CLOCK_MONOTONIC) + FLUSH_US;

	budget_turn(&server->budget, behind);
	for (struct peer *peer = server->peers; peer; peer = next) {
		next = peer->next;
		if (!subscriber_is_too_slow(peer->subscriber)) {
			if (peer->blocked || !subscriber_has_output(peer->subscriber))
				continue;
			if (clock_us(CLOCK_MONOTONIC) > ends_us) {
				peer_write_later(peer);
				continue;
			}
		}
		server_work(server, peer, false);
		server_worked(server, peer_write(peer) ? peer : NULL);
	}
}

static void on_fork(struct sink *sink, const struct process *child)
{
	struct server *server = (struct server *)sink;

	for (struct peer *peer = server->peers; peer; peer = peer->next)
		subscriber_fork(peer->subscriber, child);
	for (struct named *named = server->named; named; named = named->next)
		if (!named->peer)
			subscriber_fork(named->subscriber, child);
}

static void on_process_exit(struct sink *sink, const struct process *process)
{
	struct server *server = (struct server *)sink;

	for (struct peer *peer = server->peers; peer; peer = peer->next)
		subscriber_exit(peer->subscriber, process);
	for (struct named *named = server->named; named; named = named->next)
		if (!named->peer)
			subscriber_exit(named->subscriber, process);
}

static bool on_folds(const struct sink *sink)
{
	const struct server *server = (const struct server *)sink;

	for (const struct peer *peer = server->peers; peer; peer = peer->next)
		if (subscriber_folds(peer->subscriber))
			return true;
	for (const struct named *named = server->named; named; named = named->next)
		if (!named->peer && subscriber_folds(named->subscriber))
			return true;
	return false;
}

static void on_search_end(struct sink *sink, unsigned search, bool found)
{
	struct server *server = (struct server *)sink;

	for (struct peer *peer = server->peers; peer; peer = peer->next)
		subscriber_search_end(peer->subscriber, search, found);
	for (struct named *named = server->named; named; named = named->next)
		if (!named->peer)
			subscriber_search_end(named->subscriber, search, found);
}

static const struct sink_ops ops = {
	.event = on_event,
	.flush = on_flush,
	.fork = on_fork,
	.exit = on_process_exit,
	.folds = on_folds,
	.search_end = on_search_end,
};

static void renew(struct server *server, struct peer *peer)
{
	const struct settings_output *output = &server->config.settings->socket.output;
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	int r = settings_filter(output, &filter);

	peer->is_outdated = false;
	if (r == 0)
		r = subscriber_configure(peer->subscriber, output->fields, filter, false);
	if (r < 0) {
		peer_end(peer, "cannot get its new filter");
		return;
	}
	TAKE_PTR(filter);
	subscriber_set_folds(peer->subscriber, output->path_search == PATH_SEARCH_FOLD);
	peer_save_subscription(peer);
}

/* Filters may be costly, and subscribers many: so some of them in a turn. The clock is asked after each that gets one:
 * to walk over the others takes less time than that, and a turn in which none gets one would be followed by the same.
 */
static int on_renewal(sd_event_source *source, void *userdata)
{
	struct server *server = userdata;
	uint64_t began_us = clock_us(CLOCK_THREAD_CPUTIME_ID), now_us = began_us;
	struct peer *next, *peer = server->peers;
	int r = 0;

	for (; peer && now_us < began_us + RENEWAL_US; peer = next) {
		next = peer->next;
		if (!peer->is_outdated || peer->own_subscription)
			continue;
		renew(server, peer);
		now_us = clock_us(CLOCK_THREAD_CPUTIME_ID);
	}
	if (peer)
		r = sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	server->renews = peer;
	server_charge(server, source, &server->renewal_used_us, clock_us(CLOCK_THREAD_CPUTIME_ID) - began_us);
	return r;
}

int server_new(struct server **ret, sd_event *event, struct proctable *table, const struct server_config *config,
	       int listen_fd)
{
	_cleanup_(server_free_p) struct server *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return -ENOMEM;
	server->sink.ops = &ops;
	server->event = event;
	server->table = table;
	server->config = *config;
	if (!server->config.stream)
		server->config.stream = &stream_none;
	server->fd = -1;
	server->work = config->checkpoint ? &checkpoint_page(config->checkpoint)->work : &server->no_work;
	r = json_new(&server->json);
	if (r < 0)
		return r;
	r = server_checkpoint_init(server);
	if (r < 0)
		return r;
	r = sd_event_add_defer(event, &server->sweep, on_sweep, server);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(server->sweep, SD_EVENT_OFF);
	if (r < 0)
		return r;
	r = sd_event_add_defer(event, &server->renewal, on_renewal, server);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(server->renewal, SD_EVENT_OFF);
	if (r < 0)
		return r;
	r = server_marks_init(server);
	if (r < 0)
		return r;
	r = server_listen(server, listen_fd);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(server);
	return 0;
}

void server_drain(struct server *server, unsigned timeout_ms)
{
	server_listen_no_more(server);
	drain_for(server, timeout_ms);
}

void server_set_drain_budget(struct server *server, unsigned ms)
{
	server->drain_budget_ms = ms;
}

struct server *server_hand_over(struct server *server, bool listens)
{
	for (struct peer *peer = server ? server->peers : NULL, *next; peer; peer = next) {
		next = peer->next;
		sd_event_source_disable_unref(peer->source);
		sd_event_source_disable_unref(peer->deadline);
		subscriber_free(peer->subscriber);
		close(peer->fd);
		free(peer->input);
		free(peer);
	}
	if (server)
		server->peers = NULL;
	if (server && listens)
		server->socket_file = socket_file_hand_over(server->socket_file);
	return server_free(server);
}

struct server *server_free(struct server *server)
{
	if (!server)
		return NULL;
	while (server->peers)
		peer_end(server->peers, "is disconnected: the daemon stops");
	named_free_all(server);
	sd_event_source_disable_unref(server->checkpoint_timer);
	sd_event_source_disable_unref(server->sweep);
	sd_event_source_disable_unref(server->renewal);
	sd_event_source_disable_unref(server->mark_timer);
	server_listen_end(server);
	json_free(server->json);
	free(server);
	return NULL;
}

struct sink *server_sink(struct server *server)
{
	return &server->sink;
}

/* A named one loses events instead: its queue would still be full for the next connection. */
void server_set_limits(struct server *server, struct peer *peer)
{
	const struct settings *settings = server->config.settings;

	subscriber_set_limits(peer->subscriber, settings->socket.queue,
			      settings->socket.slow == SLOW_DISCONNECT && !peer->named);
}

bool server_is_reloading(const struct server *server)
{
	return server->renews;
}

int server_reload(struct server *server, const struct settings *settings)
{
	const struct settings_output *old = &server->config.settings->socket.output;
	bool same = settings_output_equal(old, &settings->socket.output);
	bool marks = settings->socket.mark != server->config.settings->socket.mark;
	int r = server_set_access(server, settings);

	if (r < 0)
		return r;
	server->config.settings = settings;
	server_allow_files(server);
	server_check_access(server);
	for (struct named *named = server->named; named; named = named->next)
		if (!named->peer)
			subscriber_set_limits(named->subscriber, settings->socket.queue, false);
	for (struct peer *peer = server->peers; peer; peer = peer->next) {
		server_set_limits(server, peer);
		if (!peer->own_subscription && marks)
			peer_set_mark(peer, settings->socket.mark);
		peer->is_outdated |= !same;
	}
	if (same)
		return 0;
	server->renews = true;
	r = sd_event_source_set_enabled(server->renewal, SD_EVENT_ONESHOT);
	return r < 0 ? r : 0;
}

static void add_stats(struct server_stats *ret, const struct subscriber *subscriber)
{
	struct subscriber_stats stats;

	subscriber_stats(subscriber, &stats);
	ret->events += stats.events;
	ret->lost += stats.lost;
	ret->queue += stats.queue;
	if (stats.queue_peak > ret->queue_peak)
		ret->queue_peak = stats.queue_peak;
}

void server_stats(const struct server *server, struct server_stats *ret)
{
	*ret = server->stats;
	for (struct peer *peer = server->peers; peer; peer = peer->next)
		add_stats(ret, peer->subscriber);
	for (struct named *named = server->named; named; named = named->next)
		if (!named->peer)
			add_stats(ret, named->subscriber);
}
