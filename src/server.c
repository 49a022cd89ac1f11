/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Peers are strangers: what one does ends that one at most. A peer whose descriptor takes no more is not looked at
 * until it does, and its requests are not read meanwhile, so answers cannot pile up. A peer's memory is its queue, one
 * request line, and a few answers.
 *
 * Peers stand in a list; a peer may end at any time it is written to, so whoever walks the list takes the next one
 * first.
 */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>

#include "json.h"
#include "request.h"
#include "subscriber.h"

#define ACCEPTS_MOST 64	 /* in one turn */
#define REQUESTS_MOST 16 /* of one peer in one turn */
#define PAUSE_US 100000	 /* of accepting, when descriptors ran out */
#define BACKLOG 1024

struct peer {
	struct server *server;
	struct peer *next, *previous;
	int fd;
	sd_event_source *source;
	struct subscriber *subscriber;
	struct ucred cred;
	char *input; /* REQUEST_LINE_MOST bytes while a line is unfinished; else NULL */
	size_t input_size;
	bool blocked;	     /* wait for EPOLLOUT */
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
	char *bound; /* the path that we made; NULL: systemd's */
	sd_event_source *source, *pause;
	struct peer *peers;
	struct server_stats stats; /* without what living peers have */
};

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

static void peer_end(struct peer *peer, const char *why)
{
	struct server *server = peer->server;
	struct subscriber_stats stats = {};
	char rest[4096];

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
	subscriber_free(peer->subscriber);
	/* Unread requests would make the close a reset. */
	for (int i = 0; i < 32 && recv(peer->fd, rest, sizeof(rest), MSG_DONTWAIT) > 0; i++)
		;
	close(peer->fd);
	free(peer->input);
	free(peer);
}

static void peer_watch(struct peer *peer)
{
	uint32_t events = 0;

	if (peer->blocked)
		events |= EPOLLOUT;
	else if (!peer->requests_ended && !peer->leaving)
		events |= EPOLLIN;
	sd_event_source_set_io_events(peer->source, events);
}

/* False: the peer is gone. */
static bool peer_write(struct peer *peer)
{
	int r = subscriber_write(peer->subscriber);
	bool blocked = r == SUBSCRIBER_E_BLOCKED || r == SUBSCRIBER_E_MORE;

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
	if (blocked != peer->blocked) {
		peer->blocked = blocked;
		peer_watch(peer);
	}
	return true;
}

/* Answers. */

static int generate(yajl_gen gen, struct line **ret)
{
	const unsigned char *text;
	size_t size;
	int r;

	if (yajl_gen_get_buf(gen, &text, &size) != yajl_gen_status_ok)
		return -ENOMEM;
	r = line_new(ret, size + 1);
	if (r < 0)
		return r;
	memcpy((*ret)->data, text, size);
	(*ret)->data[size] = '\n';
	return 0;
}

static void gen_text(yajl_gen gen, const char *text)
{
	yajl_gen_string(gen, (const unsigned char *)text, strlen(text));
}

static void gen_pair(yajl_gen gen, const char *key, const char *value)
{
	gen_text(gen, key);
	gen_text(gen, value);
}

static void gen_count(yajl_gen gen, const char *key, uint64_t value)
{
	char text[24];

	gen_text(gen, key);
	yajl_gen_number(gen, text, (size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)value));
}

/* The object of an answer, up to its type. */
static yajl_gen answer_begin(const char *type)
{
	yajl_gen gen = yajl_gen_alloc(NULL);

	if (!gen)
		return NULL;
	yajl_gen_map_open(gen);
	gen_pair(gen, "type", type);
	return gen;
}

static int answer_end(struct peer *peer, yajl_gen gen)
{
	_cleanup_(line_unref_p) struct line *line = NULL;
	int r;

	yajl_gen_map_close(gen);
	r = generate(gen, &line);
	yajl_gen_free(gen);
	return r < 0 ? r : subscriber_say(peer->subscriber, line);
}

static int answer_rejected(struct peer *peer, const char *reason)
{
	yajl_gen gen = answer_begin("rejected");

	if (!gen)
		return -ENOMEM;
	gen_pair(gen, "reason", reason);
	peer->leaving = true;
	note(peer->server, LOG_INFO, "request of subscriber %d (uid %u) rejected: %s", (int)peer->cred.pid,
	     (unsigned)peer->cred.uid, reason);
	return answer_end(peer, gen);
}

static void gen_entries(yajl_gen gen, const struct filter *filter, enum filter_key key)
{
	const char *entry = filter_entry(filter, key, 0);

	if (!entry)
		return;
	gen_text(gen, filter_key_name(key));
	yajl_gen_array_open(gen);
	for (size_t i = 0; (entry = filter_entry(filter, key, i)); i++)
		gen_text(gen, entry);
	yajl_gen_array_close(gen);
}

static void gen_fields(yajl_gen gen, key_set keys)
{
	gen_text(gen, "fields");
	if (keys == KEYS_ALL) {
		gen_text(gen, "all");
		return;
	}
	yajl_gen_array_open(gen);
	for (enum key key = 0; key < KEYS_; key++)
		if (keys & KEY_BIT(key))
			gen_text(gen, key_name(key));
	yajl_gen_array_close(gen);
}

/* What is in force now. The filter's strings were in JSON, hence are UTF-8. */
static int answer_subscribed(struct peer *peer, const struct filter *filter, key_set keys, bool snapshot)
{
	yajl_gen gen = answer_begin("subscribed");

	if (!gen)
		return -ENOMEM;
	gen_text(gen, "snapshot");
	yajl_gen_bool(gen, snapshot);
	gen_fields(gen, keys);
	for (enum filter_key key = 0; key < FILTER_KEYS_; key++)
		gen_entries(gen, filter, key);
	return answer_end(peer, gen);
}

static void gen_peer(yajl_gen gen, const struct peer *peer)
{
	struct subscriber_stats stats;

	subscriber_stats(peer->subscriber, &stats);
	yajl_gen_map_open(gen);
	gen_count(gen, "pid", (uint64_t)peer->cred.pid);
	gen_count(gen, "uid", peer->cred.uid);
	gen_count(gen, "gid", peer->cred.gid);
	gen_count(gen, "events", stats.events);
	gen_count(gen, "lost", stats.lost);
	gen_count(gen, "queue", stats.queue);
	gen_count(gen, "queue_peak", stats.queue_peak);
	gen_count(gen, "queue_limit", stats.queue_limit);
	yajl_gen_map_close(gen);
}

static int answer_stats(struct peer *peer)
{
	struct server *server = peer->server;
	yajl_gen gen = answer_begin("stats");

	if (!gen)
		return -ENOMEM;
	if (server->config.stats)
		server->config.stats(server->config.userdata, gen);
	gen_count(gen, "accepted", server->stats.accepted);
	gen_count(gen, "refused", server->stats.refused);
	gen_text(gen, "subscribers");
	yajl_gen_array_open(gen);
	for (struct peer *other = server->peers; other; other = other->next)
		gen_peer(gen, other);
	yajl_gen_array_close(gen);
	return answer_end(peer, gen);
}

/* Requests. */

static int peer_subscribe(struct peer *peer, struct request *request)
{
	key_set keys = request->keys_given ? request->keys : peer->server->config.settings->socket.output.fields;
	struct filter *filter = request->filter;
	int r = subscriber_configure(peer->subscriber, keys, filter, true);

	if (r < 0)
		return r;
	request->filter = NULL;
	peer->own_subscription = true;
	r = answer_subscribed(peer, filter, keys, request->snapshot);
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

/* Takes the whole lines out of the input, some a turn. More: there may be another. */
static int peer_lines(struct peer *peer, bool *ret_more)
{
	size_t at = 0;
	int r = 0, n = 0;
	char *end = NULL;

	for (; r == 0 && !peer->leaving && n < REQUESTS_MOST; n++) {
		end = memchr(peer->input + at, '\n', peer->input_size - at);
		if (!end)
			break;
		r = peer_request(peer, peer->input + at, (size_t)(end - peer->input) - at);
		at = (size_t)(end - peer->input) + 1;
	}
	peer->input_size -= at;
	memmove(peer->input, peer->input + at, peer->input_size);
	*ret_more = n == REQUESTS_MOST;
	if (r == 0 && !peer->leaving && !end && peer->input_size == REQUEST_LINE_MOST)
		r = answer_rejected(peer, "the line is longer than 64 KiB");
	if (peer->input_size == 0) {
		free(peer->input);
		peer->input = NULL;
	}
	return r;
}

/* False: the peer is gone. */
static bool peer_read(struct peer *peer)
{
	bool more = true;
	int r = 0;

	if (!peer->input) {
		peer->input = malloc(REQUEST_LINE_MOST);
		peer->input_size = 0;
	}
	while (r == 0 && more && peer->input) {
		ssize_t n = 0;

		if (peer->input_size < REQUEST_LINE_MOST)
			n = recv(peer->fd, peer->input + peer->input_size, REQUEST_LINE_MOST - peer->input_size,
				 MSG_DONTWAIT);
		else
			errno = EAGAIN;
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			peer_end(peer, "is gone");
			return false;
		}
		if (n == 0 && peer->input_size < REQUEST_LINE_MOST) {
			/* `echo … | nc -U`: no more requests, but it listens on. */
			peer->requests_ended = true;
			if (peer->input_size > 0)
				peer->input[peer->input_size++] = '\n'; /* the last line may lack its end */
		}
		peer->input_size += n > 0 ? (size_t)n : 0;
		if (peer->input_size == 0)
			break;
		r = peer_lines(peer, &more);
		/* The answers first: a peer that does not read them is not read either. */
		if (r == 0 && !peer_write(peer))
			return false;
		if (peer->blocked)
			break;
	}
	if (r < 0) {
		peer_end(peer, "could not be answered");
		return false;
	}
	if (peer->input && peer->input_size == 0) {
		free(peer->input);
		peer->input = NULL;
	}
	peer_watch(peer);
	return true;
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
	/* Requests that were read before its output was blocked, too. */
	if (!peer->blocked && !peer->leaving && ((revents & EPOLLIN) || peer->input))
		peer_read(peer);
	return 0;
}

static int peer_new(struct server *server, int fd)
{
	const struct settings *settings = server->config.settings;
	struct subscriber_config config = {
		.queue = settings->socket.queue,
		.disconnect = settings->socket.slow == SLOW_DISCONNECT,
		.keys = settings->socket.output.fields,
		.boot = server->config.boot,
		.json = server->json,
	};
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	struct peer *peer = calloc(1, sizeof(*peer));
	socklen_t size = sizeof(peer->cred);
	int r;

	if (!peer)
		return -ENOMEM;
	peer->server = server;
	peer->fd = fd;
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer->cred, &size);
	r = settings_filter(&settings->socket.output, &filter);
	config.filter = filter;
	if (r == 0)
		r = subscriber_new(&peer->subscriber, fd, &config, server->table);
	if (r == 0) {
		TAKE_PTR(filter);
		r = sd_event_add_io(server->event, &peer->source, fd, EPOLLIN, on_peer, peer);
	}
	if (r >= 0)
		r = subscriber_join(peer->subscriber, settings->socket.snapshot);
	if (r < 0) {
		sd_event_source_disable_unref(peer->source);
		subscriber_free(peer->subscriber);
		free(peer);
		return r;
	}
	peer->next = server->peers;
	if (peer->next)
		peer->next->previous = peer;
	server->peers = peer;
	server->stats.subscribers++;
	server->stats.accepted++;
	note(server, LOG_DEBUG, "subscriber %d (uid %u, gid %u) connected", (int)peer->cred.pid,
	     (unsigned)peer->cred.uid, (unsigned)peer->cred.gid);
	peer_write(peer);
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
	close(fd);
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct server *server = userdata;

	(void)source;
	(void)usec;
	return sd_event_source_set_enabled(server->source, SD_EVENT_ON);
}

/* Out of descriptors or memory: the backlog waits, and the loop does not spin. */
static int pause_accepting(struct server *server, int error)
{
	int r;

	note(server, LOG_WARNING, "no subscriber can be accepted for now: %s", strerror(error));
	sd_event_source_set_enabled(server->source, SD_EVENT_OFF);
	if (server->pause) {
		r = sd_event_source_set_time_relative(server->pause, PAUSE_US);
		return r < 0 ? r : sd_event_source_set_enabled(server->pause, SD_EVENT_ONESHOT);
	}
	return sd_event_add_time_relative(server->event, &server->pause, CLOCK_MONOTONIC, PAUSE_US, 0, on_pause_over,
					  server);
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
	}
	return 0;
}

/* Mode and group, of the file, not of the descriptor: a socket's descriptor has others. */
static int set_access(const char *path, const struct settings *settings)
{
	struct group group, *found = NULL;
	char buffer[16384];

	if (settings->socket.group) {
		int r = getgrnam_r(settings->socket.group, &group, buffer, sizeof(buffer), &found);

		if (r != 0 || !found)
			return r != 0 && r != ENOENT ? -r : -ESRCH;
		if (chown(path, (uid_t)-1, group.gr_gid) < 0)
			return -errno;
	}
	return chmod(path, settings->socket.mode) < 0 ? -errno : 0;
}

/* A file that nobody listens on any more is in the way; one that somebody does is not touched. */
static int clear_stale(const struct sockaddr_un *address)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
		return -EADDRINUSE;
	if (errno != ECONNREFUSED)
		return errno == ENOENT ? 0 : -errno;
	return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

static int server_bind(struct server *server)
{
	const struct settings *settings = server->config.settings;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t mask;
	int r;

	if (strlen(settings->socket.path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, settings->socket.path);
	r = clear_stale(&address);
	if (r < 0)
		return r;
	server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server->fd < 0)
		return -errno;
	/* Nobody gets in before mode and group are right: until listen(2) nobody can connect at all. */
	mask = umask(0777);
	r = bind(server->fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(mask);
	if (r < 0)
		return r;
	server->bound = strdup(settings->socket.path);
	if (!server->bound) {
		unlink(address.sun_path);
		return -ENOMEM;
	}
	r = set_access(server->bound, settings);
	if (r < 0)
		return r;
	return listen(server->fd, BACKLOG) < 0 ? -errno : 0;
}

/* The sink. */

static void on_event(struct sink *sink, const struct event *event, struct encoder *encoder)
{
	for (struct peer *peer = ((struct server *)sink)->peers; peer; peer = peer->next)
		if (!peer->leaving)
			subscriber_event(peer->subscriber, event, encoder);
}

static void on_flush(struct sink *sink)
{
	struct peer *next;

	for (struct peer *peer = ((struct server *)sink)->peers; peer; peer = next) {
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
	server->fd = listen_fd;
	r = json_new(&server->json);
	if (r == 0)
		r = listen_fd >= 0 ? (fcntl(listen_fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0) : server_bind(server);
	if (r < 0)
		return r;
	r = sd_event_add_io(event, &server->source, server->fd, EPOLLIN, on_listen, server);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(server);
	return 0;
}

struct server *server_free(struct server *server)
{
	if (!server)
		return NULL;
	while (server->peers)
		peer_end(server->peers, "is left: the daemon ends");
	sd_event_source_disable_unref(server->source);
	sd_event_source_disable_unref(server->pause);
	if (server->bound)
		unlink(server->bound);
	if (server->fd >= 0)
		close(server->fd);
	free(server->bound);
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
	int r = server->bound ? set_access(server->bound, settings) : 0;

	if (r < 0)
		return r;
	server->config.settings = settings;
	for (struct peer *peer = server->peers; peer; peer = peer->next) {
		_cleanup_(filter_free_p) struct filter *filter = NULL;

		subscriber_set_limits(peer->subscriber, settings->socket.queue,
				      settings->socket.slow == SLOW_DISCONNECT);
		if (same || peer->own_subscription)
			continue;
		r = settings_filter(&settings->socket.output, &filter);
		if (r == 0)
			r = subscriber_configure(peer->subscriber, settings->socket.output.fields, filter, false);
		if (r < 0)
			return r;
		TAKE_PTR(filter);
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
