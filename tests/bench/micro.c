/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pipeline alone, without a kernel: recorded records through decoder, table and encoder, to subscribers that write
 * to /dev/null.
 *
 *   micro record COMMAND...                the records of COMMAND and of what it starts, as hex, one a line (as root)
 *   micro run FILE SECONDS SUBSCRIBERS     plays them again and again; prints what an event costs, as JSON
 *
 * A recording is closed: each process that is forked in it ends in it. So the table is empty after each round, and the
 * next one may begin with the same pids. 0 subscribers: every event is encoded, and that is all.
 *
 * Time is CPU time of this process. The yardstick is a line as long as an event's and as full of numbers, made by
 * snprintf(3): what the machine at hand takes for that makes the figure comparable with another machine's.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "allocations.h"
#include "kernel/probe.h"
#include "output/subscriber.h"
#include "pipeline/pipeline.h"
#include "util/clock.h"

#define RECORDS_MAX 65536
#define SUBSCRIBERS_MAX 1000
#define TURN 256 /* records between two flushes */

struct recording {
	struct record_head *records[RECORDS_MAX];
	size_t count;
};

static struct recording recording;

/* Recording. */

static int keep(void *userdata, const void *data, size_t size)
{
	const struct record_head *head = data;

	if (size < sizeof(*head) || head->size > size || recording.count == RECORDS_MAX)
		return 0;
	recording.records[recording.count] = aligned_alloc(8, (size + 7) & ~(size_t)7);
	if (!recording.records[recording.count])
		return -ENOMEM;
	memcpy(recording.records[recording.count++], data, size);
	return 0;
}

static bool has(uint32_t kind, uint32_t tgid, uint64_t start)
{
	for (size_t i = 0; i < recording.count; i++)
		if (recording.records[i]->kind == kind && recording.records[i]->tgid == tgid &&
		    recording.records[i]->start == start)
			return true;
	return false;
}

/* Descends from `pid`, and both its beginning and its end are in. */
static bool is_wanted(const struct record_head *head, uint32_t pid)
{
	uint32_t tgid = head->tgid;

	if (!has(RECORD_FORK, tgid, head->start) || !has(RECORD_EXIT, tgid, head->start))
		return false;
	for (size_t i = recording.count; tgid != pid && i-- > 0;)
		if (recording.records[i]->kind == RECORD_FORK && recording.records[i]->tgid == tgid)
			tgid = ((const struct record_fork *)(const void *)recording.records[i])->forker_tgid;
	return tgid == pid;
}

static void print(const struct record_head *head)
{
	const unsigned char *bytes = (const unsigned char *)head;

	for (uint32_t i = 0; i < head->size; i++)
		printf("%02x", bytes[i]);
	putchar('\n');
}

static int do_record(char **command)
{
	_cleanup_(settings_free_p) struct settings *settings = NULL;
	_cleanup_(probe_free_p) struct probe *probe = NULL;
	struct probe_reason reason;
	pid_t pid;

	if (settings_new(&settings) < 0 || probe_new(&probe, settings, &reason) != 0)
		return fprintf(stderr, "micro: no probes\n"), 1;
	pid = fork();
	if (pid == 0) {
		execvp(command[0], command);
		_exit(127);
	}
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		ringbuf_consume(probe_source(probe)->ring, UINT32_MAX, keep, NULL);
		poll(NULL, 0, 1);
	}
	ringbuf_consume(probe_source(probe)->ring, UINT32_MAX, keep, NULL);
	for (size_t i = 0; i < recording.count; i++)
		if (is_wanted(recording.records[i], (uint32_t)pid))
			print(recording.records[i]);
	return 0;
}

/* Playing. */

static int digit(int c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int load(const char *path)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	_cleanup_free_ char *line = NULL;
	size_t room = 0;
	ssize_t n;

	if (!f)
		return -errno;
	while ((n = getline(&line, &room, f)) > 0) {
		size_t size = 0;

		if (line[0] == '#')
			continue;
		for (ssize_t i = 0; i + 1 < n && digit(line[i]) >= 0; i += 2)
			line[size++] = (char)(digit(line[i]) << 4 | digit(line[i + 1]));
		if (keep(NULL, line, size) < 0)
			return -ENOMEM;
	}
	return recording.count > 0 ? 0 : -EINVAL;
}

struct outputs {
	struct sink sink;
	struct subscriber *subscribers[SUBSCRIBERS_MAX];
	size_t count;
	uint64_t events, bytes;
};

static void on_event(struct sink *sink, const struct event *event, struct encoder *encoder)
{
	struct outputs *o = (struct outputs *)sink;
	struct line *line;

	o->events++;
	if (o->count == 0 && encoder_line(encoder, KEYS_ALL, 0, &line) == 0)
		o->bytes += line->size;
	for (size_t i = 0; i < o->count; i++)
		subscriber_event(o->subscribers[i], event, encoder);
}

static void on_flush(struct sink *sink, bool behind)
{
	struct outputs *o = (struct outputs *)sink;

	for (size_t i = 0; i < o->count; i++)
		while (subscriber_write(o->subscribers[i]) > 0)
			;
}

static const struct sink_ops ops = { .event = on_event, .flush = on_flush };

static void play(struct pipeline *pipeline)
{
	for (size_t i = 0; i < recording.count; i++) {
		if (pipeline_record(pipeline, recording.records[i], recording.records[i]->size) < 0)
			abort();
		if (i % TURN == TURN - 1)
			pipeline_flush(pipeline);
	}
	pipeline_flush(pipeline);
}

/* Nanoseconds. */
static double yardstick(void)
{
	uint64_t begin = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	static volatile unsigned long long n = 1234567890;
	const int rounds = 100000;
	char line[2048];

	for (int i = 0; i < rounds; i++)
		snprintf(
			line, sizeof(line),
			"{\"seq\":%llu,\"time\":\"%s\",\"id\":\"%s-%llx\",\"start_time\":\"%s\",\"ppid\":%llu,\"comm\":\"%s\","
			"\"pid\":%llu,\"uid\":%llu,\"gid\":%llu,\"exe\":\"%s\",\"args\":[\"%s\",\"%s\"],\"euid\":%llu,"
			"\"cwd\":\"%s\",\"cgroup\":\"%s\",\"inode\":%llu,\"utime\":%llu,\"stime\":%llu,\"rss\":%llu}\n",
			n, "2026-11-23T21:16:07.653936855Z", "8040ef965e8ef083-255", n,
			"2026-11-23T21:16:07.653936855Z", n, "bash", n, n, n, "/usr/bin/tar", "tar", "--version", n,
			"/usr/local/share/somewhere", "/system.slice/something.service", n, n, n, n);
	return (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - begin) / rounds;
}

static int join(struct outputs *o, size_t count, int fd, struct pipeline *pipeline, struct json *json)
{
	struct subscriber_config config = { .queue = 4 << 20, .keys = KEYS_ALL, .json = json };

	for (; o->count < count; o->count++) {
		int r = subscriber_new(&o->subscribers[o->count], fd, &config, pipeline_table(pipeline));

		if (r == 0)
			r = subscriber_join(o->subscribers[o->count], false);
		if (r < 0)
			return r;
	}
	return 0;
}

static int do_run(const char *path, double seconds, size_t subscribers)
{
	static struct outputs outputs = { .sink.ops = &ops };
	struct pipeline_config config = { .kernel_threads = true, .args_limit = 2 << 20, .table_memory = 256 << 20 };
	_cleanup_(pipeline_free_p) struct pipeline *pipeline = NULL;
	_cleanup_(json_free_p) struct json *json = NULL;
	_cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	double measure = yardstick(), ns, best = 0;
	uint64_t end;

	if (load(path) < 0 || pipeline_new(&pipeline, &config) < 0 || json_new(&json) < 0 ||
	    join(&outputs, subscribers, null, pipeline, json) < 0)
		return fprintf(stderr, "micro: cannot begin: %s\n", path), 1;
	pipeline_add_sink(pipeline, &outputs.sink);
	pipeline_go_live(pipeline);
	play(pipeline);
	allocations = 0;
	end = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9);
	/* The best tenth of a second: what others on the machine take can only make it worse. */
	outputs.events = 0;
	for (uint64_t all = 0;;) {
		uint64_t begin = clock_ns(CLOCK_PROCESS_CPUTIME_ID), before = outputs.events, took;

		do {
			play(pipeline);
			took = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - begin;
		} while (took < 100000000 && seconds > 0);
		ns = (double)took / (double)(outputs.events - before);
		if (all++ == 0 || ns < best)
			best = ns;
		if (clock_ns(CLOCK_MONOTONIC) >= end)
			break;
	}
	printf("{\"events\": %llu, \"ns_per_event\": %.1f, \"events_per_second\": %.0f, \"allocations_per_event\": %.3f, "
	       "\"yardstick_ns\": %.1f, \"left_in_table\": %zu}\n",
	       (unsigned long long)outputs.events, best, 1e9 / best, (double)allocations / (double)outputs.events,
	       measure, proctable_count(pipeline_table(pipeline)));
	for (size_t i = 0; i < outputs.count; i++)
		subscriber_free(outputs.subscribers[i]);
	for (size_t i = 0; i < recording.count; i++)
		free(recording.records[i]);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "record") == 0)
		return do_record(argv + 2);
	if (argc == 5 && strcmp(argv[1], "run") == 0 && strtoul(argv[4], NULL, 10) <= SUBSCRIBERS_MAX)
		return do_run(argv[2], strtod(argv[3], NULL), strtoul(argv[4], NULL, 10));
	fprintf(stderr, "micro: see micro.c\n");
	return 2;
}
