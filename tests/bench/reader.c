/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Subscribers for the benchmark: as many as asked for, in one process, which take what comes and count it.
 *
 *   reader SOCKET COUNT [REQUEST]
 *
 * Each sends REQUEST, if there is one; the first never does: it has the whole stream. Says {"live":COUNT} when all of
 * them have had their `live` or their `subscribed`. When its input has a byte it says {"looking":true}, and looks for
 * the word "the-end" in the stream of the first; when that came, and nothing has come to any of them for a while (or
 * two seconds are over), it says what it has seen and ends. Of the first alone it counts the types and the losses,
 * checks that seq has no gap, and notes how late each event came.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ROOM (256u << 10)
#define QUIET_MS 300
#define REST_MS 2000
#define LATE_MAX 4000000
#define DAY_NS UINT64_C(86400000000000)

struct reader {
	int fd;
	bool live;
	uint64_t bytes, lost_lines;
};

static struct {
	uint64_t lines, started, exited, error, lost, gaps, of_load, seq;
	bool end;
	char rest[ROOM];
	size_t rest_size;
} first;
static struct late {
	uint32_t *us;
	size_t count;
} late, late_exec; /* of each event; of each exec of the load */
static bool looking;

static void die(const char *what)
{
	fprintf(stderr, "reader: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Nanoseconds of the day, of "...THH:MM:SS.nnnnnnnnnZ". */
static uint64_t time_of(const char *text)
{
	const char *t = text + 11;
	uint64_t s = (uint64_t)((t[0] - '0') * 10 + t[1] - '0') * 3600 +
		     (uint64_t)((t[3] - '0') * 10 + t[4] - '0') * 60 + (uint64_t)((t[6] - '0') * 10 + t[7] - '0');

	return s * 1000000000 + strtoull(t + 9, NULL, 10);
}

static void note_late(struct late *l, const char *line, uint64_t now)
{
	const char *time = strstr(line, "\"time\":\"");

	if (time && l->count < LATE_MAX)
		l->us[l->count++] = (uint32_t)((now + DAY_NS - time_of(time + 8)) % DAY_NS / 1000);
}

/* {"type":"started","seq":5,"time":... */
static void take_line(char *line, size_t size, uint64_t now)
{
	const char *seq;

	line[size] = '\0';
	first.lines++;
	if (looking && !first.end && strstr(line, "the-end") && line[9] == 'e')
		first.end = true;
	seq = strstr(line, "\"seq\":");
	if (seq) {
		uint64_t n = strtoull(seq + 6, NULL, 10);

		first.gaps += first.seq != 0 && n != first.seq + 1;
		first.seq = n;
	}
	if (strncmp(line + 9, "lost", 4) == 0) {
		const char *count = strstr(line, "\"count\":");

		first.lost += count ? strtoull(count + 8, NULL, 10) : 1;
	} else if (seq) {
		first.started += line[9] == 's';
		first.exited += line[9] == 'e' && line[10] == 'x';
		first.error += line[9] == 'e' && line[10] == 'r';
		if (line[9] == 's' && strstr(line, "/bench/nop\"")) {
			first.of_load++;
			note_late(&late_exec, line, now);
		}
		note_late(&late, line, now);
	}
}

static void take_lines(const char *data, size_t size)
{
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_REALTIME, &ts);
	now = ((uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec) % DAY_NS;
	while (size > 0) {
		const char *end = memchr(data, '\n', size);
		size_t n = end ? (size_t)(end - data) : size;

		/* What is longer than there is room for is no event of ours: its beginning will do. */
		if (first.rest_size + n < ROOM) {
			memcpy(first.rest + first.rest_size, data, n);
			first.rest_size += n;
		}
		data += n;
		size -= n;
		if (!end)
			return;
		take_line(first.rest, first.rest_size, now);
		first.rest_size = 0;
		data++;
		size--;
	}
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die(path);
	return fd;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void report_late(const char *name, struct late *l)
{
	static const struct {
		const char *name;
		double q;
	} quantiles[] = { { "median", 0.5 }, { "999", 0.999 }, { "most", 1 } };

	qsort(l->us, l->count, sizeof(*l->us), compare);
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++)
		printf(", \"%s_%s_us\": %u", name, quantiles[i].name,
		       l->count ? l->us[(size_t)((double)(l->count - 1) * quantiles[i].q)] : 0);
}

static void report(const struct reader *readers, size_t count)
{
	uint64_t bytes = 0, lost_lines = 0;

	for (size_t i = 0; i < count; i++) {
		bytes += readers[i].bytes;
		lost_lines += readers[i].lost_lines;
	}
	printf("{\"lines\": %llu, \"started\": %llu, \"exited\": %llu, \"error\": %llu, \"lost\": %llu, \"gaps\": %llu, "
	       "\"of_load\": %llu, \"bytes\": %llu, \"lost_lines\": %llu",
	       (unsigned long long)first.lines, (unsigned long long)first.started, (unsigned long long)first.exited,
	       (unsigned long long)first.error, (unsigned long long)first.lost, (unsigned long long)first.gaps,
	       (unsigned long long)first.of_load, (unsigned long long)bytes, (unsigned long long)lost_lines);
	report_late("late", &late);
	report_late("late_exec", &late_exec);
	puts("}");
}

int main(int argc, char **argv)
{
	static char data[ROOM];
	size_t count = argc > 2 ? strtoul(argv[2], NULL, 10) : 0, live = 0;
	struct reader *readers = calloc(count + 1, sizeof(*readers));
	struct epoll_event ready[64];
	int epoll = epoll_create1(EPOLL_CLOEXEC), n = 0;
	uint64_t until = 0;
	struct rlimit files;

	late.us = calloc(LATE_MAX, sizeof(*late.us));
	late_exec.us = calloc(LATE_MAX, sizeof(*late_exec.us));
	if (count == 0 || !readers || !late.us || !late_exec.us || epoll < 0)
		return fprintf(stderr, "reader: see reader.c\n"), 2;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	for (size_t i = 0; i < count; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = &readers[i] };

		readers[i].fd = connect_to(argv[1]);
		if (i > 0 && argc > 3 && dprintf(readers[i].fd, "%s\n", argv[3]) < 0)
			die("write");
		epoll_ctl(epoll, EPOLL_CTL_ADD, readers[i].fd, &event);
	}
	epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &(struct epoll_event){ .events = EPOLLIN });
	/* Others on the machine may never be quiet. */
	while (!first.end || (n > 0 && now_ms() < until)) {
		bool ended = first.end;

		n = epoll_wait(epoll, ready, 64, first.end ? QUIET_MS : -1);
		for (int i = 0; i < n; i++) {
			struct reader *reader = ready[i].data.ptr;
			ssize_t size = read(reader ? reader->fd : 0, data, sizeof(data));

			if (!reader) {
				looking = true;
				puts("{\"looking\": true}");
				fflush(stdout);
				epoll_ctl(epoll, EPOLL_CTL_DEL, 0, NULL);
				continue;
			}
			if (size <= 0)
				die("the stream ended");
			reader->bytes += (uint64_t)size;
			if (!reader->live && (memmem(data, (size_t)size, "\"type\":\"live\"", 13) ||
					      memmem(data, (size_t)size, "\"type\":\"subscribed\"", 19))) {
				reader->live = true;
				if (++live == count) {
					printf("{\"live\": %zu}\n", count);
					fflush(stdout);
				}
			}
			if (reader == readers)
				take_lines(data, (size_t)size);
			else
				reader->lost_lines += memmem(data, (size_t)size, "{\"type\":\"lost\"", 14) != NULL;
		}
		if (first.end && !ended)
			until = now_ms() + REST_MS;
	}
	report(readers, count);
	return 0;
}
