/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes as what happens to three subscribers: they come and go, ask for something, read or do not; processes begin,
 * exec and end; snapshots end for the memory that they take; a daemon goes, and another one reads its archive, once
 * with some bytes of it changed. Always: whole lines; every number once, in order, or in a `lost`, but for ends of what
 * the stream does not have; what is held is charged.
 */
#include "fuzz/client.h"
#include "fuzz/script.h"
#include "output/subscriber.h"

#define SUBSCRIBERS 3
/* As small as they can be and still be exceeded: what is encoded is most of the time. */
#define QUEUE (16 << 10)
#define SNAPSHOT_MEMORY (40 << 10)
#define STEPS_MAX 120
#define RESTARTS_MAX 2
#define BEYOND (4 * 65536) /* a portion, replies, and what one subscriber has without any line */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reader {
	struct subscriber *subscriber;
	key_set keys;
	int fd;
	struct client client;
};

static struct pipeline *pipeline;
static struct json *json;
static struct reader readers[SUBSCRIBERS];
static struct script_processes processes;
static unsigned restarts;

static void on_event(struct sink *sink, const struct event *happened, struct encoder *encoder)
{
	if (happened->seq < CLIENT_SEQ_MAX)
		client_was_exit[happened->seq] = happened->type == EVENT_EXITED;
	for (size_t i = 0; i < SUBSCRIBERS; i++)
		if (readers[i].subscriber)
			subscriber_event(readers[i].subscriber, happened, encoder);
}

static const struct sink_ops ops = { .event = on_event };
static struct sink sink = { .ops = &ops };

static struct pipeline *make_pipeline(void)
{
	struct pipeline *ret = script_pipeline(NULL);

	pipeline_go_live(ret);
	pipeline_add_sink(ret, &sink);
	return ret;
}

static struct subscriber *make_subscriber(const struct reader *reader, struct pipeline *p)
{
	struct subscriber_config config = { .queue = QUEUE, .keys = reader->keys, .json = json };
	struct subscriber *ret;

	ASSERT(subscriber_new(&ret, reader->fd, &config, pipeline_table(p)) == 0);
	return ret;
}

static void leave(struct reader *reader)
{
	if (!reader->subscriber)
		return;
	reader->subscriber = subscriber_free(reader->subscriber);
	close(reader->fd);
	client_close(&reader->client);
}

static void come(struct reader *reader, uint8_t how)
{
	int fds[2], size = 4096;

	leave(reader);
	ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	reader->fd = fds[0];
	reader->client.fd = fds[1];
	reader->keys = how & 2 ? KEYS_ALL : KEY_BIT(KEY_SEQ) | (how & 4 ? KEY_BIT(KEY_ARGS) : 0);
	reader->subscriber = make_subscriber(reader, pipeline);
	ASSERT(subscriber_join(reader->subscriber, how & 1) == 0);
}

static void write_some(struct reader *reader)
{
	int r = subscriber_write(reader->subscriber);

	if (r < 0 || r == SUBSCRIBER_E_SLOW)
		leave(reader);
}

#define REPLY "{\"type\":\"reply\""

static void reply_with(struct reader *reader, size_t size)
{
	struct line *line;

	if (!subscriber_takes_replies(reader->subscriber))
		return;
	ASSERT(line_new(&line, size) == 0);
	memset(line->data, ' ', size);
	memcpy(line->data, REPLY, strlen(REPLY));
	memcpy(line->data + size - 2, "}\n", 2);
	ASSERT(subscriber_reply(reader->subscriber, line) == 0);
	line_unref(line);
}

/* Reads what the last daemon left: 0 or -errno. */
static int restore(int fd, struct pipeline *to, struct subscriber *subscribers[static SUBSCRIBERS])
{
	_cleanup_(archive_free_p) struct archive *archive = NULL;
	struct line_set lines = {};
	int r = archive_open(&archive, fd);

	if (r == 0)
		r = pipeline_archive(to, archive);
	for (size_t i = 0; r == 0 && i < SUBSCRIBERS; i++)
		if (subscribers[i])
			r = subscriber_archive(subscribers[i], archive, &lines);
	line_set_clear(&lines);
	proctable_settle(pipeline_table(to));
	return r;
}

/* A daemon that finds that: it may refuse it, or go on with it, but not fall. */
static void survive(int fd)
{
	struct subscriber *subscribers[SUBSCRIBERS] = {};
	struct pipeline *to = make_pipeline();
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct subscriber_config config = { .queue = QUEUE, .keys = KEYS_ALL, .json = json };
	int r;

	for (size_t i = 0; i < SUBSCRIBERS; i++)
		if (readers[i].subscriber)
			ASSERT(subscriber_new(&subscribers[i], null, &config, pipeline_table(to)) == 0);
	r = restore(fd, to, subscribers);
	for (size_t i = 0; r == 0 && i < SUBSCRIBERS; i++) {
		struct subscriber_stats stats;

		for (unsigned turn = 0; subscribers[i] && turn < 100 && subscriber_has_output(subscribers[i]); turn++)
			if (subscriber_write(subscribers[i]) < 0)
				break;
		if (subscribers[i])
			subscriber_stats(subscribers[i], &stats);
	}
	for (size_t i = 0; i < SUBSCRIBERS; i++)
		subscriber_free(subscribers[i]);
	pipeline_free(to);
	close(null);
}

static void restart(struct script *script)
{
	struct subscriber *subscribers[SUBSCRIBERS] = {};
	struct line_set lines = {};
	struct archive *archive;
	struct pipeline *to;
	int fd, bad;

	ASSERT(archive_new(&archive) == 0);
	ASSERT(pipeline_archive(pipeline, archive) == 0);
	for (size_t i = 0; i < SUBSCRIBERS; i++)
		if (readers[i].subscriber)
			ASSERT(subscriber_archive(readers[i].subscriber, archive, &lines) == 0);
	ASSERT(archive_seal(archive, &fd) == 0);
	archive_free(archive);
	line_set_clear(&lines);
	bad = script_damage(script, fd);
	survive(bad);
	close(bad);
	to = make_pipeline();
	for (size_t i = 0; i < SUBSCRIBERS; i++)
		if (readers[i].subscriber)
			subscribers[i] = make_subscriber(&readers[i], to);
	ASSERT(restore(fd, to, subscribers) == 0);
	close(fd);
	for (size_t i = 0; i < SUBSCRIBERS; i++) {
		subscriber_free(readers[i].subscriber);
		readers[i].subscriber = subscribers[i];
	}
	pipeline_free(pipeline);
	pipeline = to;
}

static size_t snapshots(void)
{
	return proctable_retained_bytes(pipeline_table(pipeline)) + subscriber_portions();
}

/* As the server does it. */
static void bound_snapshots(void)
{
	while (snapshots() > SNAPSHOT_MEMORY) {
		struct reader *found = NULL;
		uint64_t least = UINT64_MAX, moved;

		for (size_t i = 0; i < SUBSCRIBERS; i++) {
			if (readers[i].subscriber && subscriber_snapshot_moved(readers[i].subscriber, &moved) &&
			    moved < least) {
				found = &readers[i];
				least = moved;
			}
		}
		ASSERT(found);
		subscriber_end_snapshot(found->subscriber);
		if (subscriber_is_too_slow(found->subscriber))
			leave(found);
	}
}

static void check_memory(void)
{
	size_t charged = 0, cursors = 0;
	uint64_t moved;

	for (size_t i = 0; i < SUBSCRIBERS; i++) {
		struct subscriber_stats stats;

		if (!readers[i].subscriber)
			continue;
		subscriber_stats(readers[i].subscriber, &stats);
		cursors += subscriber_snapshot_moved(readers[i].subscriber, &moved);
		ASSERT(stats.queue <= QUEUE + BEYOND);
		charged += stats.queue + stats.portion;
	}
	ASSERT(line_memory() <= charged);
	ASSERT(cursors > 0 || proctable_retained_bytes(pipeline_table(pipeline)) == 0);
}

static void step(struct script *script)
{
	uint8_t what = script_next(script), how = script_next(script);
	struct reader *reader = &readers[what / 16 % SUBSCRIBERS];

	if (what % 16 < 6)
		script_process(&processes, pipeline, how, script_next(script));
	else if (what % 16 == 6)
		come(reader, how);
	else if (!reader->subscriber)
		return;
	else if (what % 16 < 9)
		write_some(reader);
	else if (what % 16 < 12)
		client_read(&reader->client, 1 + how * 64u);
	else if (what % 16 == 12)
		ASSERT(subscriber_join(reader->subscriber, how & 1) == 0);
	else if (what % 16 == 13)
		reply_with(reader, strlen(REPLY) + 2 + 100u * how);
	else if (what % 16 == 14 && restarts++ < RESTARTS_MAX)
		restart(script);
	else if (how & 1)
		leave(reader);
	else
		subscriber_end_snapshot(reader->subscriber);
	/* As the server does it. */
	if (reader->subscriber && subscriber_is_too_slow(reader->subscriber))
		leave(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script script = { data, data + size };

	restarts = 0;
	memset(&processes, 0, sizeof(processes));
	processes.clock_ns = 1000000;
	if (!json)
		ASSERT(json_new(&json) == 0);
	pipeline = make_pipeline();
	for (unsigned steps = 0; !script_ended(&script) && steps < STEPS_MAX; steps++) {
		step(&script);
		bound_snapshots();
		check_memory();
	}
	/* What waits comes to its end. */
	for (size_t i = 0; i < SUBSCRIBERS; i++) {
		for (unsigned turn = 0; readers[i].subscriber && turn < 1000; turn++) {
			write_some(&readers[i]);
			if (readers[i].subscriber)
				client_read(&readers[i].client, sizeof(readers[i].client.text));
			if (readers[i].subscriber && !subscriber_has_output(readers[i].subscriber))
				break;
		}
		leave(&readers[i]);
	}
	pipeline_free(pipeline);
	ASSERT(line_memory() == 0 && subscriber_portions() == 0);
	return 0;
}
