/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The descriptor that we were given is shared with whoever gave it: O_NONBLOCK on it would be theirs too. So a pipe or a
 * terminal is opened anew through /proc/self/fd, which makes a description of our own. A regular file never blocks
 * for long and is written as it is (opening it anew would lose its offset). A socket cannot be opened; each write to
 * it says MSG_DONTWAIT (buffer.c).
 */
#include "console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <time.h>

#include "json.h"
#include "subscriber.h"

#define SNAPSHOT_MEMORY (64 << 20) /* as [socket] snapshot_memory has it by default */
#define QUEUE (16 << 20)	   /* the longest line that args_limit has by default fits in */

struct console {
	struct sink sink;
	struct json *json;
	struct budget budget;
	struct subscriber *subscriber;
	struct proctable *table;
	sd_event_source *source; /* NULL: a file that epoll(7) does not take, never blocked */
	int fd, own_fd;
	bool snapshot, blocked, gone;
	void (*on_gone)(void *userdata, int error);
	void *userdata;
};

static void lose_reader(struct console *console, int error)
{
	if (console->gone)
		return;
	console->gone = true;
	if (console->source)
		sd_event_source_set_enabled(console->source, SD_EVENT_OFF);
	console->on_gone(console->userdata, error == ECONNRESET ? EPIPE : error);
}

static void set_blocked(struct console *console, bool blocked)
{
	if (console->blocked == blocked || !console->source)
		return;
	console->blocked = blocked;
	/* Without events it still tells of EPOLLERR: the reader of a pipe went away. */
	sd_event_source_set_io_events(console->source, blocked ? EPOLLOUT : 0);
}

static void write_out(struct console *console)
{
	int r;

	if (console->gone)
		return;
	do
		r = subscriber_write(console->subscriber);
	while (r == SUBSCRIBER_E_MORE && !console->source);
	if (r < 0)
		lose_reader(console, -r);
	else
		set_blocked(console, r != 0);
}

static void on_event(struct sink *sink, const struct event *event, struct encoder *encoder)
{
	struct console *console = (struct console *)sink;

	if (proctable_retained_bytes(console->table) > SNAPSHOT_MEMORY)
		subscriber_end_snapshot(console->subscriber);
	subscriber_event(console->subscriber, event, encoder);
}

static void on_flush(struct sink *sink)
{
	struct console *console = (struct console *)sink;

	if (!console->blocked)
		write_out(console);
}

static void on_fork(struct sink *sink, const struct process *child)
{
	subscriber_fork(((struct console *)sink)->subscriber, child);
}

static void on_process_exit(struct sink *sink, const struct process *process)
{
	subscriber_exit(((struct console *)sink)->subscriber, process);
}

static const struct sink_ops ops = {
	.event = on_event,
	.flush = on_flush,
	.fork = on_fork,
	.exit = on_process_exit,
};

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct console *console = userdata;

	(void)source;
	(void)fd;
	if (revents & (EPOLLERR | EPOLLHUP))
		lose_reader(console, EPIPE);
	else
		write_out(console);
	return 0;
}

/* A description of our own, where that can be had. */
static int reopen(int fd)
{
	char path[32];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
		return -EOPNOTSUPP;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

int console_new(struct console **ret, sd_event *event, int fd, struct proctable *table, const struct settings *settings,
		uint64_t boot, void (*gone)(void *userdata, int error), void *userdata)
{
	_cleanup_(console_free_p) struct console *console = calloc(1, sizeof(*console));
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	struct subscriber_config config = { .queue = QUEUE, .keys = settings->console.output.fields, .boot = boot };
	int r;

	if (!console)
		return -ENOMEM;
	console->sink.ops = &ops;
	console->own_fd = reopen(fd);
	if (console->own_fd == -EBADF)
		return -EBADF;
	console->fd = console->own_fd >= 0 ? console->own_fd : fd;
	console->table = table;
	console->snapshot = settings->console.snapshot;
	console->on_gone = gone;
	console->userdata = userdata;
	r = json_new(&console->json);
	if (r == 0)
		r = settings_filter(&settings->console.output, &filter);
	if (r < 0)
		return r;
	config.filter = filter;
	config.json = console->json;
	config.budget = &console->budget;
	r = subscriber_new(&console->subscriber, console->fd, &config, table);
	if (r < 0)
		return r;
	TAKE_PTR(filter);
	r = sd_event_add_io(event, &console->source, console->fd, 0, on_io, console);
	if (r < 0 && r != -EPERM) /* EPERM: a file */
		return r;
	*ret = TAKE_PTR(console);
	return 0;
}

struct console *console_free(struct console *console)
{
	if (!console)
		return NULL;
	sd_event_source_disable_unref(console->source);
	subscriber_free(console->subscriber);
	json_free(console->json);
	if (console->own_fd >= 0)
		close(console->own_fd);
	free(console);
	return NULL;
}

struct sink *console_sink(struct console *console)
{
	return &console->sink;
}

int console_configure(struct console *console, const struct settings *settings)
{
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	int r = settings_filter(&settings->console.output, &filter);

	if (r == 0)
		r = subscriber_configure(console->subscriber, settings->console.output.fields, filter, false);
	if (r == 0)
		TAKE_PTR(filter);
	return r;
}

int console_join(struct console *console)
{
	int r = subscriber_join(console->subscriber, console->snapshot);

	if (r == 0)
		write_out(console);
	return r;
}

void console_drain(struct console *console, unsigned timeout_ms)
{
	struct timespec begin, now;
	int left = (int)timeout_ms;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	while (!console->gone && subscriber_has_output(console->subscriber) && left > 0) {
		struct pollfd fd = { .fd = console->fd, .events = POLLOUT };
		int r;

		if (poll(&fd, 1, left) < 0 && errno != EINTR)
			return;
		r = subscriber_write(console->subscriber);
		if (r < 0 || r == SUBSCRIBER_E_SLOW)
			return;
		clock_gettime(CLOCK_MONOTONIC, &now);
		left = (int)timeout_ms -
		       (int)((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000);
	}
}
