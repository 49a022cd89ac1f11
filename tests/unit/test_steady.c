/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From records to sockets, in steady state: nothing asks malloc(3). */
#include <sys/socket.h>

#include "allocations.h"
#include "fake_sink.h"
#include "output/subscriber.h"
#include "tap.h"
#include "util/pool.h"

#define SUBSCRIBERS 3

static struct subscriber *subscribers[SUBSCRIBERS];
static int fds[SUBSCRIBERS][2];
static unsigned long events, bytes;

static void on_event(struct sink *sink, const struct event *event, struct encoder *encoder)
{
	events++;
	for (size_t i = 0; i < SUBSCRIBERS; i++)
		subscriber_event(subscribers[i], event, encoder);
}

static void on_flush(struct sink *sink, bool behind)
{
	static char rest[1 << 20];
	ssize_t n;

	for (size_t i = 0; i < SUBSCRIBERS; i++) {
		while (subscriber_has_output(subscribers[i])) {
			subscriber_write(subscribers[i]);
			while ((n = read(fds[i][1], rest, sizeof(rest))) > 0)
				bytes += (unsigned long)n;
		}
	}
}

/* A turn of the reader: 2,000 records, and then the outputs write. */
static void turn(unsigned round)
{
	static const char args[] = "/usr/bin/program\0--with\0arguments\0and=more of them";

	for (unsigned i = 0; i < 500; i++) {
		unsigned pid = 1000 + (round * 500 + i) % 30000;
		uint64_t start = 1000000ull * round + i + 1;

		make_fork(pid, start, 1, 1);
		feed();
		make_exec(pid, start, start + 10, args, sizeof(args), 4);
		feed();
		make_exec(pid, start, start + 20, args, sizeof(args), 4);
		feed();
		make_exit(pid, start, start + 30, 0);
		feed();
	}
	pipeline_flush(pipeline);
}

TEST(event_needs_no_allocation)
{
	struct pipeline_config config = { .args_limit = 1 << 20, .table_memory = 1 << 20 };
	struct subscriber_config subscriber = { .queue = 4 << 20, .keys = KEYS_ALL };
	unsigned long before;

	CHECK_INT(json_new(&subscriber.json), 0);
	fake_sink_ops.flush = on_flush;
	pipeline_begin(&config);
	pipeline_go_live(pipeline);
	for (size_t i = 0; i < SUBSCRIBERS; i++) {
		CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds[i]), 0);
		/* Two share their lines, one has other keys. */
		if (i == 2)
			subscriber.keys = KEYS_BASIC;
		CHECK_INT(subscriber_new(&subscribers[i], fds[i][0], &subscriber, pipeline_table(pipeline)), 0);
		CHECK_INT(subscriber_join(subscribers[i], false), 0);
	}
	for (unsigned round = 1; round <= 5; round++)
		turn(round);
	before = allocations;
	CHECK(before > 0);
	events = bytes = 0;
	for (unsigned round = 6; round <= 25; round++)
		turn(round);
	CHECK_INT(events, 20 * 1500);
	CHECK(bytes > events * 300);
	CHECK(allocations == before || POOL_DISABLED);
	for (size_t i = 0; i < SUBSCRIBERS; i++)
		subscriber_free(subscribers[i]);
	pipeline_free(pipeline);
	json_free(subscriber.json);
}

TAP_MAIN
