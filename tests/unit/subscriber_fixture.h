/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A subscriber with a pipeline before it and a socket after it. */
#pragma once

#include <sys/socket.h>

#include "fake_sink.h"
#include "output/subscriber.h"

static int fds[2];
static struct json *json;
static struct subscriber *subscriber;
/* What was read. */
static char text[16 << 20];
static size_t size;

static inline void begin_socket(void)
{
	struct pipeline_config config = { .kernel_threads = true, .args_limit = 1 << 20, .table_memory = 1 << 20 };

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	CHECK_INT(json_new(&json), 0);
	pipeline_begin(&config);
	pipeline_go_live(pipeline);
}

static inline void end(void)
{
	subscriber = subscriber_free(subscriber);
	pipeline = pipeline_free(pipeline);
	json = json_free(json);
}
TEARDOWN(end)

/* Reads what is there; and all, with the subscriber writing. */
static inline void take(void)
{
	ssize_t n;

	while ((n = read(fds[1], text + size, sizeof(text) - 1 - size)) > 0)
		size += (size_t)n;
	text[size] = '\0';
}

static inline void take_all(void)
{
	int r;

	while ((r = subscriber_write(subscriber)) > 0)
		take();
	CHECK_INT(r, 0);
	take();
	CHECK(size == 0 || text[size - 1] == '\n');
}
