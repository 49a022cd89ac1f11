/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client of the socket that checks what it reads: each line is one whole object of JSON, no
 * number of an event comes twice, and one that is missing is in a `lost`, or the end of a process
 * that the stream did not report. And what servers need around them.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <yajl/yajl_parse.h>

#include "handover/fdstore.h"
#include "output/server_internal.h"
#include "util/cleanup.h"

#define CLIENT_SEQ_MAX 4096

struct client {
	int fd; /* -1: none */
	bool ended, is_filtered;
	bool any_numbers; /* of what is damaged: only the lines are checked */
	uint64_t last;	  /* number seen, or lost */
	size_t used;
	char text[1 << 17]; /* the last, since client_close() does not clear it */
};

/* Which numbers are ends of processes: the target sets it. */
static bool client_was_exit[CLIENT_SEQ_MAX];

/* What a line has of the keys that matter here. */
struct client_line {
	int depth;
	char key[16], type[16];
	uint64_t seq, first_seq, last_seq, count;
};

static int client_start_map(void *userdata)
{
	((struct client_line *)userdata)->depth++;
	return 1;
}

static int client_end_map(void *userdata)
{
	((struct client_line *)userdata)->depth--;
	return 1;
}

static int client_map_key(void *userdata, const unsigned char *text, size_t size)
{
	struct client_line *line = userdata;

	line->key[0] = '\0';
	if (line->depth == 1 && size < sizeof(line->key)) {
		memcpy(line->key, text, size);
		line->key[size] = '\0';
	}
	return 1;
}

static int client_string(void *userdata, const unsigned char *text, size_t size)
{
	struct client_line *line = userdata;

	if (line->depth == 1 && strcmp(line->key, "type") == 0 && size < sizeof(line->type)) {
		memcpy(line->type, text, size);
		line->type[size] = '\0';
	}
	return 1;
}

static int client_number(void *userdata, const char *text, size_t size)
{
	struct client_line *line = userdata;
	char digits[32] = "";
	uint64_t number;

	ASSERT(size < sizeof(digits));
	memcpy(digits, text, size);
	number = strtoull(digits, NULL, 10);
	if (line->depth != 1)
		return 1;
	if (strcmp(line->key, "seq") == 0)
		line->seq = number;
	else if (strcmp(line->key, "first_seq") == 0)
		line->first_seq = number;
	else if (strcmp(line->key, "last_seq") == 0)
		line->last_seq = number;
	else if (strcmp(line->key, "count") == 0)
		line->count = number;
	return 1;
}

static const yajl_callbacks client_callbacks = {
	.yajl_string = client_string,
	.yajl_number = client_number,
	.yajl_start_map = client_start_map,
	.yajl_map_key = client_map_key,
	.yajl_end_map = client_end_map,
};

static inline void client_check_line(struct client *client, const char *text, size_t size)
{
	struct client_line line = {};
	yajl_handle parser = yajl_alloc(&client_callbacks, NULL, &line);
	uint64_t first, last;

	ASSERT(parser && size > 0 && text[0] == '{');
	ASSERT(yajl_parse(parser, (const unsigned char *)text, size) == yajl_status_ok);
	ASSERT(yajl_complete_parse(parser) == yajl_status_ok && line.depth == 0 && line.type[0]);
	yajl_free(parser);
	first = last = line.seq;
	if (strcmp(line.type, "lost") == 0 && !first) {
		first = line.first_seq;
		last = line.last_seq;
		ASSERT(client->any_numbers || ((first == 0) == (last == 0) && line.count > 0));
	}
	if (!first || client->any_numbers)
		return;
	ASSERT(first > client->last && last >= first);
	for (uint64_t missing = client->last + 1; !client->is_filtered && client->last && missing < first; missing++)
		ASSERT(missing >= CLIENT_SEQ_MAX || client_was_exit[missing]);
	client->last = last;
}

/* Reads some bytes. True: there were some. */
static inline bool client_read(struct client *client, size_t max)
{
	char *end, *at = client->text;
	ssize_t n;

	if (client->fd < 0 || client->ended)
		return false;
	if (max > sizeof(client->text) - client->used)
		max = sizeof(client->text) - client->used;
	n = recv(client->fd, client->text + client->used, max, MSG_DONTWAIT);
	client->ended = n == 0 || (n < 0 && errno != EAGAIN);
	if (n <= 0)
		return false;
	client->used += (size_t)n;
	for (; (end = memchr(at, '\n', client->used - (size_t)(at - client->text))); at = end + 1)
		client_check_line(client, at, (size_t)(end - at));
	client->used -= (size_t)(at - client->text);
	memmove(client->text, at, client->used);
	ASSERT(client->used < sizeof(client->text));
	return true;
}

static inline void client_close(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	memset(client, 0, offsetof(struct client, text));
	client->fd = -1;
}

static inline void client_connect(struct client *client, const struct sockaddr_un *address, socklen_t size)
{
	client_close(client);
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ASSERT(client->fd >= 0);
	if (connect(client->fd, (const struct sockaddr *)address, size) < 0)
		client_close(client);
}

/*
 * A descriptor of a socket that listens at an abstract name that the kernel chooses (unix(7), Autobind feature). All
 * servers get the same socket, as from systemd: to make and to destroy one takes as long as a short input. An input
 * leaves no connection that is not accepted.
 */
static inline int client_listen(struct sockaddr_un *ret, socklen_t *ret_size)
{
	static int listener = -1;
	struct sockaddr_un any = { .sun_family = AF_UNIX };
	int fd;

	if (listener < 0) {
		listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		ASSERT(listener >= 0 && bind(listener, (struct sockaddr *)&any, sizeof(any.sun_family)) == 0);
		ASSERT(listen(listener, 16) == 0);
	}
	*ret_size = sizeof(*ret);
	ASSERT(getsockname(listener, (struct sockaddr *)ret, ret_size) == 0);
	fd = fcntl(listener, F_DUPFD_CLOEXEC, 0);
	ASSERT(fd >= 0);
	return fd;
}

static sd_event *event;

/* Once. */
static inline void loop_begin(void)
{
	/* No message to a service manager that runs the tests. */
	unsetenv("NOTIFY_SOCKET");
	ASSERT(sd_event_new(&event) >= 0);
}

static inline void run_loop(unsigned turns)
{
	while (turns-- > 0 && sd_event_run(event, 0) > 0)
		;
}

static inline struct settings *make_settings(const char *text)
{
	struct settings *ret;

	ASSERT(settings_parse(&ret, "fuzz", text, strlen(text), NULL, NULL) == 0);
	/* Below what a file may have, so that few events are more than fits. */
	ret->socket.queue = 16 << 10;
	ret->socket.snapshot_memory = 40 << 10;
	return ret;
}

/* What systemd has: the connections, or only those in the checkpoint. */
static inline struct fdstore *store_of(const struct server *server, bool only_in_checkpoint)
{
	enum { MAX = 16 };
	char names[MAX][64];
	const char *list[MAX];
	struct fdstore *ret;
	size_t count = 0;
	int fds[MAX];

	for (const struct peer *peer = server ? server->peers : NULL; peer; peer = peer->next) {
		if (only_in_checkpoint && !peer->place)
			continue;
		ASSERT(count < MAX);
		snprintf(names[count], sizeof(names[0]), STORE_PREFIX STORE_VERSION "-subscriber-%u", peer->slot);
		list[count] = names[count];
		fds[count] = fcntl(peer->fd, F_DUPFD_CLOEXEC, 0);
		ASSERT(fds[count++] >= 0);
	}
	ASSERT(fdstore_new_of(&ret, fds, list, count) == 0);
	return ret;
}

/* So that a few lines are more than a connection takes. */
static inline void shrink_buffers(const struct server *of)
{
	int size = 4096;

	for (const struct peer *peer = of->peers; peer; peer = peer->next)
		setsockopt(peer->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}
