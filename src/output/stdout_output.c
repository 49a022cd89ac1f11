/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Standard output shares its open file description with the parent, which O_NONBLOCK would affect
 * too. So a pipe or a terminal is reopened through /proc/self/fd, which makes a description of our
 * own. A regular file never blocks for long and is written as it is (a reopened one would lose its
 * offset). A socket cannot be reopened; each write to it has MSG_DONTWAIT (line_queue.c).
 */
#include "output/stdout_output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "output/json.h"
#include "output/subscriber.h"
#include "util/clock.h"

#define SNAPSHOT_MEMORY (64 << 20) /* the default of [socket] snapshot_memory */
#define QUEUE (16 << 20)	   /* holds the longest line that the default args_limit allows */

struct stdout_output {
	struct sink sink;
	struct json *json;
	struct budget budget;
	struct subscriber *subscriber;
	struct proctable *table;
	sd_event_source *source; /* NULL: a regular file, which epoll(7) refuses and which never blocks */
	int fd, own_fd;
	bool snapshot, blocked, gone;
	void (*on_gone)(void *userdata, int error);
	void *userdata;
};

static void lose_reader(struct stdout_output *stdout_output, int error)
{
	if (stdout_output->gone)
		return;
	stdout_output->gone = true;
	if (stdout_output->source)
		sd_event_source_set_enabled(stdout_output->source, SD_EVENT_OFF);
	stdout_output->on_gone(stdout_output->userdata, error == ECONNRESET ? EPIPE : error);
}

static void set_blocked(struct stdout_output *stdout_output, bool blocked)
{
	if (stdout_output->blocked == blocked || !stdout_output->source)
		return;
	stdout_output->blocked = blocked;
	/* EPOLLERR, by which the end of a pipe's reader is seen, is always reported
	 * (epoll_ctl(2)). */
	sd_event_source_set_io_events(stdout_output->source, blocked ? EPOLLOUT : 0);
}

static void write_out(struct stdout_output *stdout_output)
{
	int r;

	if (stdout_output->gone)
		return;
	do
		r = subscriber_write(stdout_output->subscriber);
	while (r == SUBSCRIBER_E_MORE && !stdout_output->source);
	if (r < 0)
		lose_reader(stdout_output, -r);
	else
		set_blocked(stdout_output, r != 0);
}

static void on_event(struct sink *sink, const struct event *event, struct encoder *encoder)
{
	struct stdout_output *stdout_output = (struct stdout_output *)sink;

	if (proctable_retained_bytes(stdout_output->table) > SNAPSHOT_MEMORY)
		subscriber_end_snapshot(stdout_output->subscriber);
	subscriber_event(stdout_output->subscriber, event, encoder);
}

static void on_flush(struct sink *sink, bool behind)
{
	struct stdout_output *stdout_output = (struct stdout_output *)sink;

	budget_turn(&stdout_output->budget, behind);
	if (!stdout_output->blocked)
		write_out(stdout_output);
}

static void on_fork(struct sink *sink, const struct process *child)
{
	subscriber_fork(((struct stdout_output *)sink)->subscriber, child);
}

static void on_process_exit(struct sink *sink, const struct process *process)
{
	subscriber_exit(((struct stdout_output *)sink)->subscriber, process);
}

static bool on_folds(const struct sink *sink)
{
	return subscriber_folds(((const struct stdout_output *)sink)->subscriber);
}

static void on_search_end(struct sink *sink, unsigned search, bool found)
{
	subscriber_search_end(((struct stdout_output *)sink)->subscriber, search, found);
}

static const struct sink_ops ops = {
	.event = on_event,
	.flush = on_flush,
	.fork = on_fork,
	.exit = on_process_exit,
	.folds = on_folds,
	.search_end = on_search_end,
};

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct stdout_output *stdout_output = userdata;

	if (revents & (EPOLLERR | EPOLLHUP))
		lose_reader(stdout_output, EPIPE);
	else
		write_out(stdout_output);
	return 0;
}

/* -EOPNOTSUPP: this kind is not reopened. */
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

int stdout_output_new(struct stdout_output **ret, sd_event *event, const struct stdout_output_config *config)
{
	_cleanup_(stdout_output_free_p) struct stdout_output *stdout_output = calloc(1, sizeof(*stdout_output));
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	const struct settings_output *output = &config->settings->stdout_output.output;
	struct subscriber_config stream = {
		.queue = QUEUE,
		.keys = output->fields,
		.boot = config->boot,
		.stream = config->stream,
		.extras = config->extras,
	};
	int r;

	if (!stdout_output)
		return -ENOMEM;
	stdout_output->sink.ops = &ops;
	stdout_output->own_fd = reopen(config->fd);
	if (stdout_output->own_fd == -EBADF)
		return -EBADF;
	stdout_output->fd = stdout_output->own_fd >= 0 ? stdout_output->own_fd : config->fd;
	stdout_output->table = config->table;
	stdout_output->snapshot = config->settings->stdout_output.snapshot;
	stdout_output->on_gone = config->gone;
	stdout_output->userdata = config->userdata;
	r = json_new(&stdout_output->json);
	if (r < 0)
		return r;
	r = settings_filter(output, &filter);
	if (r < 0)
		return r;
	stream.filter = filter;
	stream.json = stdout_output->json;
	stream.budget = &stdout_output->budget;
	r = subscriber_new(&stdout_output->subscriber, stdout_output->fd, &stream, config->table);
	if (r < 0)
		return r;
	TAKE_PTR(filter);
	subscriber_set_folds(stdout_output->subscriber, output->path_search == PATH_SEARCH_FOLD);
	r = sd_event_add_io(event, &stdout_output->source, stdout_output->fd, 0, on_io, stdout_output);
	if (r < 0 && r != -EPERM) /* EPERM: a regular file */
		return r;
	*ret = TAKE_PTR(stdout_output);
	return 0;
}

struct stdout_output *stdout_output_free(struct stdout_output *stdout_output)
{
	if (!stdout_output)
		return NULL;
	sd_event_source_disable_unref(stdout_output->source);
	subscriber_free(stdout_output->subscriber);
	json_free(stdout_output->json);
	if (stdout_output->own_fd >= 0)
		close(stdout_output->own_fd);
	free(stdout_output);
	return NULL;
}

struct sink *stdout_output_sink(struct stdout_output *stdout_output)
{
	return &stdout_output->sink;
}

int stdout_output_configure(struct stdout_output *stdout_output, const struct settings *settings)
{
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	int r = settings_filter(&settings->stdout_output.output, &filter);

	if (r < 0)
		return r;
	r = subscriber_configure(stdout_output->subscriber, settings->stdout_output.output.fields, filter, false);
	if (r < 0)
		return r;
	TAKE_PTR(filter);
	subscriber_set_folds(stdout_output->subscriber, settings->stdout_output.output.path_search == PATH_SEARCH_FOLD);
	return 0;
}

int stdout_output_join(struct stdout_output *stdout_output)
{
	int r = subscriber_join(stdout_output->subscriber, stdout_output->snapshot);

	if (r == 0)
		write_out(stdout_output);
	return r;
}

void stdout_output_drain(struct stdout_output *stdout_output, unsigned timeout_ms)
{
	uint64_t now = clock_ms(CLOCK_MONOTONIC), end = now + timeout_ms;

	for (; !stdout_output->gone && subscriber_has_output(stdout_output->subscriber) && now < end;
	     now = clock_ms(CLOCK_MONOTONIC)) {
		struct pollfd fd = { .fd = stdout_output->fd, .events = POLLOUT };
		int r;

		if (poll(&fd, 1, (int)(end - now)) < 0 && errno != EINTR)
			return;
		r = subscriber_write(stdout_output->subscriber);
		if (r < 0 || r == SUBSCRIBER_E_SLOW)
			return;
	}
}
