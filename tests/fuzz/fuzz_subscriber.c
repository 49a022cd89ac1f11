/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes as what happens to three subscribers: they come and go, ask for something, read or do not; processes begin, exec and
 * end; snapshots end for the memory that they take; a daemon goes, and another one reads its archive, once with some bytes of
 * it changed. Always: whole lines; every number once, in order, or in a `lost`, but for ends of what the stream was not told of;
 * what is held is charged.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "../unit/records.h"
#include "output/subscriber.h"
#include "pipeline/pipeline.h"

#define SUBSCRIBERS 3
#define PIDS 16
#define QUEUE 65536
#define SNAPSHOT_MEMORY (96 << 10)
#define SEQ_MAX 4096
#define STEPS_MAX 250
#define BEYOND (4 * 65536) /* a portion, answers, and what one subscriber has without any line */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct consumer {
	struct subscriber *subscriber;
	key_set keys;
	int fd, far;
	bool snapshot_ends; /* events that waited may be gone */
	uint64_t last;	    /* number seen, or lost */
	size_t used;
	char text[1 << 18];
};

static struct pipeline *pipeline;
static struct json *json;
static struct consumer readers[SUBSCRIBERS];
static uint64_t clock_ns;
static struct {
	uint64_t start;
	bool exists;
} processes[PIDS];
static bool was_exit[SEQ_MAX]; /* by number */

static void on_event(struct sink *sink, const struct event *event, struct encoder *encoder)
{
	if (event->seq < SEQ_MAX)
		was_exit[event->seq] = event->type == EVENT_EXITED;
	for (size_t i = 0; i < SUBSCRIBERS; i++)
		if (readers[i].subscriber)
			subscriber_event(readers[i].subscriber, event, encoder);
}

static const struct sink_ops ops = { .event = on_event };
static struct sink sink = { .ops = &ops };

static uint8_t next(const uint8_t **data, size_t *size)
{
	if (*size == 0)
		return 0;
	(*size)--;
	return *(*data)++;
}

static struct pipeline *make_pipeline(void)
{
	struct pipeline_config config = {
		.forks = true, .kernel_threads = true, .args_limit = 65536, .table_memory = 1 << 20
	};
	struct pipeline *ret;

	ASSERT(pipeline_new(&ret, &config) == 0);
	pipeline_go_live(ret);
	pipeline_add_sink(ret, &sink);
	return ret;
}

static struct subscriber *make_subscriber(const struct consumer *reader, struct pipeline *p)
{
	struct subscriber_config config = { .queue = QUEUE, .keys = reader->keys, .json = json };
	struct subscriber *ret;

	ASSERT(subscriber_new(&ret, reader->fd, &config, pipeline_table(p)) == 0);
	return ret;
}

static void leave(struct consumer *reader)
{
	if (!reader->subscriber)
		return;
	subscriber_free(reader->subscriber);
	close(reader->fd);
	close(reader->far);
	*reader = (struct consumer){};
}

static void come(struct consumer *reader, uint8_t how)
{
	int fds[2], room = 4096;

	leave(reader);
	ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	reader->fd = fds[0];
	reader->far = fds[1];
	reader->keys = how & 2 ? KEYS_ALL : KEY_BIT(KEY_SEQ) | (how & 4 ? KEY_BIT(KEY_ARGS) : 0);
	reader->subscriber = make_subscriber(reader, pipeline);
	ASSERT(subscriber_join(reader->subscriber, how & 1) == 0);
}

static uint64_t number_behind(const char *line, const char *key)
{
	const char *at = strstr(line, key);
	unsigned long long ret = 0;

	if (at)
		sscanf(at + strlen(key), "%llu", &ret);
	return ret;
}

static void check_line(struct consumer *reader, const char *line)
{
	uint64_t first = number_behind(line, "\"seq\":"), last = first;

	ASSERT(line[0] == '{' && strchr(line, '\0')[-1] == '}');
	if (strstr(line, "\"type\":\"lost\"") && !first) {
		first = number_behind(line, "\"first_seq\":");
		last = number_behind(line, "\"last_seq\":");
		ASSERT((first == 0) == (last == 0) && number_behind(line, "\"count\":") > 0);
	}
	if (!first)
		return;
	ASSERT(first > reader->last && last >= first);
	for (uint64_t missing = reader->last + 1; reader->last && missing < first; missing++)
		ASSERT(missing >= SEQ_MAX || was_exit[missing]);
	reader->last = last;
}

/* Reads some bytes. */
static void read_some(struct consumer *reader, size_t most)
{
	ssize_t n;
	char *end, *at = reader->text;

	if (most > sizeof(reader->text) - 1 - reader->used)
		most = sizeof(reader->text) - 1 - reader->used;
	n = read(reader->far, reader->text + reader->used, most);
	if (n <= 0)
		return;
	reader->used += (size_t)n;
	for (; (end = memchr(at, '\n', reader->used - (size_t)(at - reader->text))); at = end + 1) {
		*end = '\0';
		check_line(reader, at);
	}
	reader->used -= (size_t)(at - reader->text);
	memmove(reader->text, at, reader->used);
	ASSERT(reader->used < sizeof(reader->text) - 1);
}

static void write_some(struct consumer *reader)
{
	int r = subscriber_write(reader->subscriber);

	if (r < 0 || r == SUBSCRIBER_E_SLOW)
		leave(reader);
}

static void process(uint8_t what, uint8_t which)
{
	static char args[16000];
	unsigned pid = 1 + which % PIDS;
	size_t args_size = 1 + (which / PIDS) * (what & 8 ? 1000 : 50);

	clock_ns += 1000;
	memset(args, what & 16 ? '\1' : 'a', args_size - 1);
	args[args_size - 1] = '\0';
	if (what % 3 == 2) {
		make_exit(pid, processes[pid - 1].start, clock_ns, 0);
		processes[pid - 1].exists = false;
	} else {
		if (!processes[pid - 1].exists)
			processes[pid - 1].start = clock_ns;
		processes[pid - 1].exists = true;
		if (what % 3 == 0)
			make_fork(pid, processes[pid - 1].start, 1, 1);
		else
			make_exec(pid, processes[pid - 1].start, clock_ns, args, args_size, 1);
	}
	ASSERT(pipeline_record(pipeline, &record, record.head.size) == 0);
}

static void say(struct consumer *reader, size_t size)
{
	struct line *line;

	if (!subscriber_takes_answers(reader->subscriber))
		return;
	ASSERT(line_new(&line, size) == 0);
	memset(line->data, ' ', size);
	line->data[0] = '{';
	line->data[size - 2] = '}';
	line->data[size - 1] = '\n';
	ASSERT(subscriber_say(reader->subscriber, line) == 0);
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

/* A copy with some bytes changed. */
static int damaged(int fd, const uint8_t **data, size_t *size)
{
	int copy = memfd_create("damaged", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	off_t length = lseek(fd, 0, SEEK_END);
	char *bytes = malloc((size_t)length + 1);

	ASSERT(copy >= 0 && bytes && pread(fd, bytes, (size_t)length, 0) == length);
	for (unsigned i = 0; i < 4 && length > 0; i++) {
		size_t at = (size_t)next(data, size) << 16 | (size_t)next(data, size) << 8 | next(data, size);

		bytes[at % (size_t)length] ^= (char)next(data, size);
	}
	if (next(data, size) & 1)
		length -= length / 8;
	ASSERT(write(copy, bytes, (size_t)length) == length);
	ASSERT(fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0);
	free(bytes);
	return copy;
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

static void restart(const uint8_t **data, size_t *size)
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
	bad = damaged(fd, data, size);
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
		struct consumer *found = NULL;
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
		/* The owner asks after each write: then answers that are out are let go. */
		subscriber_takes_answers(readers[i].subscriber);
		subscriber_stats(readers[i].subscriber, &stats);
		cursors += subscriber_snapshot_moved(readers[i].subscriber, &moved);
		ASSERT(stats.queue <= QUEUE + BEYOND);
		charged += stats.queue + stats.portion;
	}
	ASSERT(line_memory() <= charged);
	ASSERT(cursors > 0 || proctable_retained_bytes(pipeline_table(pipeline)) == 0);
}

static void step(const uint8_t **data, size_t *size)
{
	uint8_t what = next(data, size), how = next(data, size);
	struct consumer *reader = &readers[what / 16 % SUBSCRIBERS];

	if (what % 16 < 6)
		process(how, next(data, size));
	else if (what % 16 == 6)
		come(reader, how);
	else if (!reader->subscriber)
		return;
	else if (what % 16 < 9)
		write_some(reader);
	else if (what % 16 < 12)
		read_some(reader, 1 + how * 64u);
	else if (what % 16 == 12)
		ASSERT(subscriber_join(reader->subscriber, how & 1) == 0);
	else if (what % 16 == 13)
		say(reader, 3 + 200u * how);
	else if (what % 16 == 14)
		restart(data, size);
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
	clock_ns = 1000000;
	memset(processes, 0, sizeof(processes));
	if (!json)
		ASSERT(json_new(&json) == 0);
	pipeline = make_pipeline();
	for (unsigned steps = 0; size > 0 && steps < STEPS_MAX; steps++) {
		step(&data, &size);
		bound_snapshots();
		check_memory();
	}
	/* What waits comes to its end. */
	for (size_t i = 0; i < SUBSCRIBERS; i++) {
		for (unsigned turn = 0; readers[i].subscriber && turn < 1000; turn++) {
			write_some(&readers[i]);
			if (readers[i].subscriber)
				read_some(&readers[i], sizeof(readers[i].text));
			if (readers[i].subscriber && !subscriber_has_output(readers[i].subscriber))
				break;
		}
		leave(&readers[i]);
	}
	pipeline_free(pipeline);
	ASSERT(line_memory() == 0 && subscriber_portions() == 0);
	return 0;
}
