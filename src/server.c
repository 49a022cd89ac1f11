/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Peers are strangers: what one does ends that one at most. Requests are read also from a peer that reads nothing (a
 * new filter is just what one needs that cannot follow), but only as long as its subscriber takes answers: so a peer's
 * memory is its queue, one request line, and a few answers, whatever it sends.
 *
 * A turn of a peer is one read, the requests that are whole (as many as there may be answers), and one portion of
 * output; then the loop goes on, and looks at the ring buffer first. Requests that are left wait for EPOLLOUT: the
 * socket is writable as soon as there is room for their answers.
 *
 * Peers stand in a list; a peer may end at any time it is written to, so whoever walks the list takes the next one
 * first.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <syslog.h>
#include <time.h>

#include "answer.h"
#include "json.h"
#include "request.h"
#include "server_peers.h"

#define ACCEPTS_MOST 64	    /* in one turn */
#define PAUSE_US 100000	    /* of accepting, when descriptors ran out */
#define LISTENER "listener" /* in the store */
#define WAIT_MS 100	    /* at once, for those whose queues are half full */
#define NOTES_MOST 5	    /* of connections, in a second */

__attribute__((format(printf, 3, 4))) static void note(struct server *server, int level, const char *format, ...)
{
	char message[512];
	va_list args;

	if (!server->config.note)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	server->config.note(server->config.userdata, level, message);
}

/* Peers. */

void slot_name(char ret[static STORE_NAME_MOST], unsigned slot)
{
	snprintf(ret, STORE_NAME_MOST, "subscriber-%u", slot);
}

bool slot_is_taken(const struct server *server, unsigned slot)
{
	for (const struct peer *peer = server->peers; peer; peer = peer->next)
		if (peer->slot == slot)
			return true;
	return false;
}

/* Round and round, so that a name is not soon another's. */
static unsigned next_slot(struct server *server)
{
	do
		server->slot++;
	while (slot_is_taken(server, server->slot));
	return server->slot;
}

/* What it sent and nobody read would make the close a reset. A duplicate in systemd's store shall not keep it open. */
void hang_up(int fd)
{
	char rest[16384];

	shutdown(fd, SHUT_RDWR);
	for (int i = 0; i < 64 && recv(fd, rest, sizeof(rest), MSG_DONTWAIT) > 0; i++)
		;
	close(fd);
}

void peer_end(struct peer *peer, const char *why)
{
	struct server *server = peer->server;
	struct subscriber_stats stats = {};

	if (peer->subscriber)
		subscriber_stats(peer->subscriber, &stats);
	note(server, LOG_DEBUG, "subscriber %d (uid %u) %s; %llu events, %llu lost", (int)peer->cred.pid,
	     (unsigned)peer->cred.uid, why, (unsigned long long)stats.events, (unsigned long long)stats.lost);
	server->stats.events += stats.events;
	server->stats.lost += stats.lost;
	server->stats.subscribers--;
	if (stats.queue_peak > server->stats.queue_peak)
		server->stats.queue_peak = stats.queue_peak;
	if (peer->next)
		peer->next->previous = peer->previous;
	if (peer->previous)
		peer->previous->next = peer->next;
	else
		server->peers = peer->next;
	sd_event_source_disable_unref(peer->source);
	sd_event_source_disable_unref(peer->deadline);
	peer_leave_ledger(peer);
	subscriber_free(peer->subscriber);
	hang_up(peer->fd);
	free(peer->input);
	free(peer);
}

static void peer_watch(struct peer *peer)
{
	uint32_t events = 0;

	if (peer->blocked || peer->more)
		events |= EPOLLOUT;
	if (!peer->more && !peer->requests_ended && !peer->leaving && subscriber_takes_answers(peer->subscriber))
		events |= EPOLLIN;
	sd_event_source_set_io_events(peer->source, events);
}

/* False: the peer is gone. */
static bool peer_write(struct peer *peer)
{
	int r = subscriber_write(peer->subscriber);

	if (r == SUBSCRIBER_E_SLOW) {
		note(peer->server, LOG_NOTICE, "subscriber %d (uid %u) is too slow and is disconnected",
		     (int)peer->cred.pid, (unsigned)peer->cred.uid);
		peer_end(peer, "was too slow");
		return false;
	}
	if (r < 0 || (peer->leaving && r == 0)) {
		peer_end(peer, r < 0 ? "is gone" : "was sent away");
		return false;
	}
	peer->blocked = r != 0;
	peer_watch(peer);
	return true;
}

/* Answers. */

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	peer_end(userdata, "did not read why it was sent away");
	return 0;
}

int peer_set_deadline(struct peer *peer)
{
	int r = sd_event_add_time_relative(peer->server->event, &peer->deadline, CLOCK_MONOTONIC, LEAVE_US, 0,
					   on_deadline, peer);

	return r < 0 ? r : 0;
}

/* Debug only: who sends nonsense shall not fill the log with it, and gets the reason itself. */
static int answer_rejected(struct peer *peer, const char *reason)
{
	_cleanup_(line_unref_p) struct line *line = NULL;
	yajl_gen gen = answer_begin("rejected");
	int r;

	if (!gen)
		return -ENOMEM;
	answer_pair(gen, "reason", reason);
	r = answer_end(gen, &line);
	if (r == 0)
		r = subscriber_finish(peer->subscriber, line);
	if (r == 0)
		r = peer_set_deadline(peer);
	if (r < 0)
		return r;
	peer->leaving = true;
	peer_leave_ledger(peer);
	note(peer->server, LOG_DEBUG, "request of subscriber %d (uid %u) rejected: %s", (int)peer->cred.pid,
	     (unsigned)peer->cred.uid, reason);
	return 0;
}

static void gen_peer(yajl_gen gen, const struct peer *peer)
{
	struct subscriber_stats stats;

	subscriber_stats(peer->subscriber, &stats);
	yajl_gen_map_open(gen);
	answer_count(gen, "pid", (uint64_t)peer->cred.pid);
	answer_count(gen, "uid", peer->cred.uid);
	answer_count(gen, "gid", peer->cred.gid);
	answer_count(gen, "events", stats.events);
	answer_count(gen, "lost", stats.lost);
	answer_count(gen, "queue", stats.queue);
	answer_count(gen, "queue_peak", stats.queue_peak);
	answer_count(gen, "queue_limit", stats.queue_limit);
	yajl_gen_map_close(gen);
}

static int answer_stats(struct peer *peer)
{
	_cleanup_(line_unref_p) struct line *line = NULL;
	struct server *server = peer->server;
	yajl_gen gen = answer_begin("stats");
	int r;

	if (!gen)
		return -ENOMEM;
	if (server->config.stats)
		server->config.stats(server->config.userdata, gen);
	answer_count(gen, "accepted", server->stats.accepted);
	answer_count(gen, "refused", server->stats.refused);
	answer_text(gen, "subscribers");
	yajl_gen_array_open(gen);
	for (struct peer *other = server->peers; other; other = other->next)
		gen_peer(gen, other);
	yajl_gen_array_close(gen);
	r = answer_end(gen, &line);
	return r < 0 ? r : subscriber_say(peer->subscriber, line);
}

/* Requests. */

static int peer_subscribe(struct peer *peer, struct request *request)
{
	_cleanup_(line_unref_p) struct line *line = NULL;
	yajl_gen gen = answer_begin("subscribed");
	int r;

	if (!gen)
		return -ENOMEM;
	if (!request->keys_given)
		request->keys = peer->server->config.settings->socket.output.fields;
	request_gen(request, gen);
	r = answer_end(gen, &line);
	if (r == 0)
		r = subscriber_configure(peer->subscriber, request->keys, request->filter, true);
	if (r < 0)
		return r;
	request->filter = NULL;
	peer->own_subscription = true;
	peer_note(peer);
	r = subscriber_say(peer->subscriber, line);
	if (r == 0 && request->snapshot)
		r = subscriber_join(peer->subscriber, true);
	return r;
}

static int peer_request(struct peer *peer, const char *line, size_t size)
{
	char reason[REQUEST_REASON_SIZE];
	struct request request;
	int r = request_parse(&request, line, size, reason);

	if (r == -EINVAL)
		return answer_rejected(peer, reason);
	if (r < 0)
		return r;
	r = request.stats ? answer_stats(peer) : peer_subscribe(peer, &request);
	request_clear(&request);
	return r;
}

/* Takes the whole lines out of the input, as long as there may be answers. */
static int peer_lines(struct peer *peer)
{
	const char *end = NULL;
	size_t at = 0;
	int r = 0;

	while (r == 0 && !peer->leaving) {
		end = memchr(peer->input + at, '\n', peer->input_size - at);
		if (!end || !subscriber_takes_answers(peer->subscriber))
			break;
		r = peer_request(peer, peer->input + at, (size_t)(end - peer->input) - at);
		at = (size_t)(end - peer->input) + 1;
	}
	if (r == 0 && !peer->leaving && !end && peer->input_size - at == REQUEST_LINE_MOST)
		r = answer_rejected(peer, "the line is longer than 64 KiB");
	peer->more = end && !peer->leaving;
	peer->input_size = peer->leaving ? 0 : peer->input_size - at;
	memmove(peer->input, peer->input + at, peer->input_size);
	return r;
}

/* One read: 0 or -errno. Half-closed (`echo ... | nc -U`): there are no more requests, but it listens on. */
static int peer_receive(struct peer *peer)
{
	ssize_t n = recv(peer->fd, peer->input + peer->input_size, REQUEST_LINE_MOST - peer->input_size, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	peer->input_size += (size_t)n;
	if (n > 0)
		return 0;
	peer->requests_ended = true;
	peer_note(peer);
	/* The last line may lack its end. */
	if (peer->input_size > 0)
		peer->input[peer->input_size++] = '\n';
	return 0;
}

/* 0 or -errno: it cannot be read, or not be answered. */
static int peer_read(struct peer *peer)
{
	int r = 0;

	if (!peer->input) {
		peer->input = malloc(REQUEST_LINE_MOST);
		if (!peer->input)
			return -ENOMEM;
		peer->input_size = 0;
	}
	/* What is there goes first: a line that is not whole then has room. */
	if (!peer->more && !peer->requests_ended)
		r = peer_receive(peer);
	if (r == 0)
		r = peer_lines(peer);
	if (peer->input_size == 0) {
		free(peer->input);
		peer->input = NULL;
	}
	return r;
}

static int on_peer(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct peer *peer = userdata;

	(void)source;
	(void)fd;
	if (revents & (EPOLLERR | EPOLLHUP)) {
		peer_end(peer, "hung up");
		return 0;
	}
	if (revents & EPOLLOUT && !peer_write(peer))
		return 0;
	if (!peer->leaving && ((revents & EPOLLIN) || peer->more) && peer_read(peer) < 0) {
		peer_end(peer, "could not be answered");
		return 0;
	}
	if (!peer->blocked && subscriber_has_output(peer->subscriber))
		peer_write(peer);
	else
		peer_watch(peer);
	return 0;
}

/* Who reads is worth knowing, but not at the price of a full log: some a second are told. */
static int connect_level(struct server *server)
{
	time_t now = time(NULL);

	if (server->noted_at != now) {
		server->noted_at = now;
		server->noted = 0;
	}
	return server->noted++ < NOTES_MOST ? LOG_INFO : LOG_DEBUG;
}

int server_subscriber(struct server *server, struct subscriber **ret, int fd, key_set keys, struct filter *filter)
{
	const struct settings *settings = server->config.settings;
	struct subscriber_config config = {
		.queue = settings->socket.queue,
		.disconnect = settings->socket.slow == SLOW_DISCONNECT,
		.keys = keys,
		.filter = filter,
		.boot = server->config.boot,
		.json = server->json,
	};

	return subscriber_new(ret, fd, &config, server->table);
}

int peer_make(struct peer **ret, struct server *server, int fd, struct subscriber *subscriber)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	int r;

	if (!peer)
		return -ENOMEM;
	r = sd_event_add_io(server->event, &peer->source, fd, EPOLLIN | EPOLLOUT, on_peer, peer);
	if (r < 0) {
		free(peer);
		return r;
	}
	peer->server = server;
	peer->fd = fd;
	peer->subscriber = subscriber;
	/* Its first portion is written in its own turn, so that many who come at once do not hold up the loop. */
	peer->blocked = true;
	*ret = peer;
	return 0;
}

void peer_enter(struct peer *peer)
{
	struct server *server = peer->server;

	peer->next = server->peers;
	if (peer->next)
		peer->next->previous = peer;
	server->peers = peer;
	server->stats.subscribers++;
}

static int peer_new(struct server *server, int fd)
{
	const struct settings *settings = server->config.settings;
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	_cleanup_(subscriber_free_p) struct subscriber *subscriber = NULL;
	socklen_t size = sizeof(struct ucred);
	struct peer *peer;
	int r = settings_filter(&settings->socket.output, &filter);

	if (r == 0)
		r = server_subscriber(server, &subscriber, fd, settings->socket.output.fields, filter);
	if (r < 0)
		return r;
	TAKE_PTR(filter);
	r = subscriber_join(subscriber, settings->socket.snapshot);
	if (r == 0)
		r = peer_make(&peer, server, fd, subscriber);
	if (r < 0)
		return r;
	TAKE_PTR(subscriber);
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer->cred, &size);
	peer->slot = next_slot(server);
	sd_event_now(server->event, CLOCK_MONOTONIC, &peer->since_us);
	peer_enter(peer);
	server_keep_soon(server);
	server->stats.accepted++;
	note(server, connect_level(server), "subscriber %d (uid %u, gid %u) connected", (int)peer->cred.pid,
	     (unsigned)peer->cred.uid, (unsigned)peer->cred.gid);
	return 0;
}

/* Listening. */

static void refuse(struct server *server, int fd)
{
	static const char line[] =
		"{\"type\":\"rejected\",\"reason\":\"there are as many subscribers as max_subscribers allows\"}\n";

	server->stats.refused++;
	if (send(fd, line, sizeof(line) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		note(server, LOG_DEBUG, "a subscriber too many is gone already");
	hang_up(fd);
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct server *server = userdata;

	(void)source;
	(void)usec;
	return sd_event_source_set_enabled(server->source, SD_EVENT_ON);
}

/* Out of descriptors or memory: the backlog waits, and the loop does not spin. The timer is there since the beginning:
 * now it could not be made. It is said once, until somebody could be accepted again. */
static int pause_accepting(struct server *server, int error)
{
	int r = sd_event_source_set_time_relative(server->pause, PAUSE_US);

	if (r >= 0)
		r = sd_event_source_set_enabled(server->pause, SD_EVENT_ONESHOT);
	if (r < 0)
		return r;
	if (!server->short_of)
		note(server, LOG_WARNING, "no subscriber can be accepted for now: %s", strerror(error));
	server->short_of = true;
	return sd_event_source_set_enabled(server->source, SD_EVENT_OFF);
}

static int on_listen(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct server *server = userdata;

	(void)source;
	(void)revents;
	for (int i = 0; i < ACCEPTS_MOST; i++) {
		int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), r;

		if (peer < 0 && (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR))
			return 0;
		if (peer < 0)
			return pause_accepting(server, errno);
		if (server->stats.subscribers >= server->config.settings->socket.max_subscribers) {
			refuse(server, peer);
			continue;
		}
		r = peer_new(server, peer);
		if (r < 0) {
			close(peer);
			return pause_accepting(server, -r);
		}
		server->short_of = false;
	}
	return 0;
}

/* Systemd has the listening socket, too, and the ledger says which file it is. */
static void keep_listener(struct server *server, bool is_kept)
{
	struct ledger_page *page = server->config.ledger ? ledger_page(server->config.ledger) : NULL;

	if (!page)
		return;
	listener_identity(server->listener, &page->listener_dev, &page->listener_ino);
	if (!is_kept)
		store_keep(LISTENER, server->fd);
}

void server_discard_listener(struct store *store, const struct ledger_page *left)
{
	_cleanup_close_ int fd = store ? store_take(store, LISTENER) : -1;

	if (fd < 0)
		return;
	if (left)
		listener_discard(fd, left->listener_dev, left->listener_ino);
	store_forget(LISTENER);
}

/* That of another daemon, where it is the one that the settings ask for. */
static int adopt_listener(struct server *server, bool *ret_without_group)
{
	const struct server_config *config = &server->config;
	const struct ledger_page *left = config->left;
	_cleanup_close_ int fd = left && config->ledger ? store_take(config->store, LISTENER) : -1;
	int r = fd < 0 ? -ENOENT
		       : listener_adopt(&server->listener, config->settings, fd, left->listener_dev, left->listener_ino,
					ret_without_group);

	if (r == 0) {
		server->fd = TAKE_FD(fd);
		keep_listener(server, true);
	} else if (fd >= 0) {
		listener_discard(fd, left->listener_dev, left->listener_ino);
		store_forget(LISTENER);
	}
	return r;
}

static int server_bind(struct server *server)
{
	const struct settings *settings = server->config.settings;
	bool without_group;
	int r = adopt_listener(server, &without_group);

	if (r < 0) {
		r = listener_new(&server->listener, settings, &server->fd, &without_group);
		if (r == 0)
			keep_listener(server, false);
	}
	if (r == 0 && without_group)
		note(server, LOG_WARNING,
		     "%s: there is no group %s, so the socket's mode is without the group's bits; "
		     "reload once systemd-sysusers has made it",
		     settings->socket.path, settings->socket.group);
	return r;
}

/* The sink. */

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Waits until one of those who have output takes some, and writes to all who do. False: nobody has, or time is up. */
static bool drain_some(struct server *server, struct pollfd *fds, uint64_t deadline)
{
	uint64_t now = now_ms();
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
	uint64_t deadline = now_ms() + timeout_ms;

	while (fds && drain_some(server, fds, deadline))
		;
}

/* Until all is out, or time is up: who has not read half of its queue by then is not waited for again. */
static void wait_for_readers(struct server *server)
{
	uint64_t began = now_ms(), took;

	drain_for(server, server->patience_ms < WAIT_MS ? server->patience_ms : WAIT_MS);
	took = now_ms() - began;
	server->patience_ms = took < server->patience_ms ? server->patience_ms - (unsigned)took : 0;
	for (struct peer *peer = server->peers; peer; peer = peer->next)
		peer->stands |= subscriber_is_half_full(peer->subscriber);
}

static void on_event(struct sink *sink, const struct event *event, struct encoder *encoder)
{
	struct server *server = (struct server *)sink;
	bool behind = false;

	for (struct peer *peer = server->peers; peer; peer = peer->next) {
		if (peer->leaving)
			continue;
		subscriber_event(peer->subscriber, event, encoder);
		behind |= server->patience_ms > 0 && !peer->stands && subscriber_is_half_full(peer->subscriber);
	}
	if (behind)
		wait_for_readers(server);
}

static void on_flush(struct sink *sink)
{
	struct server *server = (struct server *)sink;
	struct peer *next;

	for (struct peer *peer = server->peers; peer; peer = next) {
		next = peer->next;
		if (subscriber_is_too_slow(peer->subscriber) ||
		    (!peer->blocked && subscriber_has_output(peer->subscriber)))
			peer_write(peer);
	}
}

static void on_fork(struct sink *sink, const struct process *child)
{
	for (struct peer *peer = ((struct server *)sink)->peers; peer; peer = peer->next)
		subscriber_fork(peer->subscriber, child);
}

static void on_process_exit(struct sink *sink, const struct process *process)
{
	for (struct peer *peer = ((struct server *)sink)->peers; peer; peer = peer->next)
		subscriber_exit(peer->subscriber, process);
}

static const struct sink_ops ops = {
	.event = on_event,
	.flush = on_flush,
	.fork = on_fork,
	.exit = on_process_exit,
};

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
	server->fd = -1;
	r = json_new(&server->json);
	if (r == 0)
		r = sd_event_add_time_relative(event, &server->pause, CLOCK_MONOTONIC, 0, 0, on_pause_over, server);
	if (r >= 0)
		r = sd_event_source_set_enabled(server->pause, SD_EVENT_OFF);
	if (r >= 0)
		r = server_keep_init(server);
	if (r >= 0)
		r = listen_fd >= 0 ? (fcntl(listen_fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0) : server_bind(server);
	if (r >= 0)
		r = sd_event_add_io(event, &server->source, listen_fd >= 0 ? listen_fd : server->fd, EPOLLIN, on_listen,
				    server);
	if (r < 0)
		return r;
	if (listen_fd >= 0)
		server->fd = listen_fd;
	*ret = TAKE_PTR(server);
	return 0;
}

void server_drain(struct server *server, unsigned timeout_ms)
{
	sd_event_source_set_enabled(server->source, SD_EVENT_OFF);
	sd_event_source_set_enabled(server->pause, SD_EVENT_OFF);
	drain_for(server, timeout_ms);
}

void server_set_patience(struct server *server, unsigned ms)
{
	server->patience_ms = ms;
}

struct server *server_leave(struct server *server, bool listens)
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
		server->listener = listener_leave(server->listener);
	return server_free(server);
}

struct server *server_free(struct server *server)
{
	if (!server)
		return NULL;
	while (server->peers)
		peer_end(server->peers, "is left: the daemon ends");
	sd_event_source_disable_unref(server->source);
	sd_event_source_disable_unref(server->pause);
	sd_event_source_disable_unref(server->keep);
	if (server->listener && server->config.ledger)
		store_forget(LISTENER);
	listener_free(server->listener);
	if (server->fd >= 0)
		close(server->fd);
	json_free(server->json);
	free(server);
	return NULL;
}

struct sink *server_sink(struct server *server)
{
	return &server->sink;
}

int server_reload(struct server *server, const struct settings *settings)
{
	const struct settings_output *old = &server->config.settings->socket.output;
	bool same = settings_output_equal(old, &settings->socket.output);
	struct peer *next;
	int r = 0;

	if (server->listener && listener_is_there(server->listener))
		r = listener_set_access(server->listener, settings);
	else if (server->listener)
		note(server, LOG_WARNING, "%s is not this daemon's any more; it was removed",
		     listener_path(server->listener));
	if (r < 0)
		return r;
	server->config.settings = settings;
	for (struct peer *peer = server->peers; peer; peer = next) {
		_cleanup_(filter_free_p) struct filter *filter = NULL;

		next = peer->next;
		subscriber_set_limits(peer->subscriber, settings->socket.queue,
				      settings->socket.slow == SLOW_DISCONNECT);
		if (same || peer->own_subscription)
			continue;
		r = settings_filter(&settings->socket.output, &filter);
		if (r == 0)
			r = subscriber_configure(peer->subscriber, settings->socket.output.fields, filter, false);
		if (r == 0) {
			TAKE_PTR(filter);
			peer_note(peer);
		} else
			peer_end(peer, "cannot be given its new filter");
	}
	return 0;
}

void server_stats(const struct server *server, struct server_stats *ret)
{
	*ret = server->stats;
	for (struct peer *peer = server->peers; peer; peer = peer->next) {
		struct subscriber_stats stats;

		subscriber_stats(peer->subscriber, &stats);
		ret->events += stats.events;
		ret->lost += stats.lost;
		ret->queue += stats.queue;
		if (stats.queue_peak > ret->queue_peak)
			ret->queue_peak = stats.queue_peak;
	}
}
