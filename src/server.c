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
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>

#include "json.h"
#include "request.h"
#include "subscriber.h"

#define ACCEPTS_MOST 64	 /* in one turn */
#define PAUSE_US 100000	 /* of accepting, when descriptors ran out */
#define LEAVE_US 2000000 /* for a peer that is sent away to read why */
#define BACKLOG 1024
#define GROUP_MOST (1 << 20) /* bytes of a group's entry, with the names of its members */
#define NOTES_MOST 5	     /* of connections, in a second */

struct peer {
	struct server *server;
	struct peer *next, *previous;
	int fd;
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
	char *bound;	  /* the path that we made; NULL: systemd's */
	struct stat made; /* what it was then */
	sd_event_source *source, *pause;
	bool short_of; /* what accept needs: it was said */
	struct peer *peers;
	time_t noted_at;	   /* the second of the last notes, */
	unsigned noted;		   /* and how many there were in it */
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

/* What it sent and nobody read would make the close a reset. */
static void hang_up(int fd)
{
	char rest[16384];

	shutdown(fd, SHUT_RD);
	for (int i = 0; i < 64 && recv(fd, rest, sizeof(rest), MSG_DONTWAIT) > 0; i++)
		;
	close(fd);
}

static void peer_end(struct peer *peer, const char *why)
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

static int answer_end(yajl_gen gen, struct line **ret)
{
	int r;

	yajl_gen_map_close(gen);
	r = generate(gen, ret);
	yajl_gen_free(gen);
	return r;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	peer_end(userdata, "did not read why it was sent away");
	return 0;
}

/* Debug only: who sends nonsense shall not fill the log with it, and gets the reason itself. */
static int answer_rejected(struct peer *peer, const char *reason)
{
	_cleanup_(line_unref_p) struct line *line = NULL;
	yajl_gen gen = answer_begin("rejected");
	int r;

	if (!gen)
		return -ENOMEM;
	gen_pair(gen, "reason", reason);
	r = answer_end(gen, &line);
	if (r == 0)
		r = subscriber_finish(peer->subscriber, line);
	if (r == 0)
		r = sd_event_add_time_relative(peer->server->event, &peer->deadline, CLOCK_MONOTONIC, LEAVE_US, 0,
					       on_deadline, peer);
	if (r < 0)
		return r;
	peer->leaving = true;
	note(peer->server, LOG_DEBUG, "request of subscriber %d (uid %u) rejected: %s", (int)peer->cred.pid,
	     (unsigned)peer->cred.uid, reason);
	return 0;
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
	_cleanup_(line_unref_p) struct line *line = NULL;
	struct server *server = peer->server;
	yajl_gen gen = answer_begin("stats");
	int r;

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

/* Its first portion is written in its own turn, so that many who come at once do not hold up the loop. */
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
	peer->blocked = true;
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer->cred, &size);
	r = settings_filter(&settings->socket.output, &filter);
	config.filter = filter;
	if (r == 0)
		r = subscriber_new(&peer->subscriber, fd, &config, server->table);
	if (r == 0) {
		TAKE_PTR(filter);
		r = sd_event_add_io(server->event, &peer->source, fd, EPOLLIN | EPOLLOUT, on_peer, peer);
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

static int find_group(const char *name, gid_t *ret)
{
	struct group group, *found = NULL;
	int r = ERANGE;

	for (size_t size = 4096; r == ERANGE && size <= GROUP_MOST; size *= 2) {
		_cleanup_free_ char *members = malloc(size);

		if (!members)
			return -ENOMEM;
		r = getgrnam_r(name, &group, members, size, &found);
	}
	if (r != 0 || !found)
		return r != 0 && r != ENOENT ? -r : -ESRCH;
	*ret = group.gr_gid;
	return 0;
}

/* Mode and group, of the file, not of the descriptor: a socket's descriptor has others. */
static int set_access(const char *path, const struct settings *settings)
{
	gid_t gid = (gid_t)-1;
	int r = settings->socket.group ? find_group(settings->socket.group, &gid) : 0;

	if (r < 0)
		return r;
	if (settings->socket.group && chown(path, (uid_t)-1, gid) < 0)
		return -errno;
	return chmod(path, settings->socket.mode) < 0 ? -errno : 0;
}

/* Somebody may have removed our file, and another daemon made its own. */
static bool path_is_ours(const struct server *server)
{
	struct stat st;

	return server->bound && lstat(server->bound, &st) == 0 && st.st_dev == server->made.st_dev &&
	       st.st_ino == server->made.st_ino;
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
	if (!server->bound || lstat(address.sun_path, &server->made) < 0) {
		r = server->bound ? -errno : -ENOMEM;
		unlink(address.sun_path);
		return r;
	}
	r = set_access(server->bound, settings);
	if (r == -ESRCH) {
		/* Early in a boot, or misspelt: nobody reads who should not, and the events are not lost for it. */
		note(server, LOG_WARNING,
		     "%s: there is no group %s, so the socket's mode is without the group's bits; "
		     "reload once systemd-sysusers has made it",
		     server->bound, settings->socket.group);
		r = chmod(server->bound, settings->socket.mode & ~(mode_t)S_IRWXG) < 0 ? -errno : 0;
	}
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
	server->fd = -1;
	r = json_new(&server->json);
	if (r == 0)
		r = sd_event_add_time_relative(event, &server->pause, CLOCK_MONOTONIC, 0, 0, on_pause_over, server);
	if (r >= 0)
		r = sd_event_source_set_enabled(server->pause, SD_EVENT_OFF);
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

void server_drain(struct server *server, unsigned timeout_ms)
{
	_cleanup_free_ struct pollfd *fds = calloc(server->stats.subscribers + 1, sizeof(*fds));
	uint64_t deadline = now_ms() + timeout_ms;

	sd_event_source_set_enabled(server->source, SD_EVENT_OFF);
	sd_event_source_set_enabled(server->pause, SD_EVENT_OFF);
	while (fds && drain_some(server, fds, deadline))
		;
}

struct server *server_free(struct server *server)
{
	if (!server)
		return NULL;
	while (server->peers)
		peer_end(server->peers, "is left: the daemon ends");
	sd_event_source_disable_unref(server->source);
	sd_event_source_disable_unref(server->pause);
	if (path_is_ours(server))
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
	struct peer *next;
	int r = 0;

	if (path_is_ours(server))
		r = set_access(server->bound, settings);
	else if (server->bound)
		note(server, LOG_WARNING, "%s is not this daemon's any more; it was removed", server->bound);
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
		if (r == 0)
			TAKE_PTR(filter);
		else
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
