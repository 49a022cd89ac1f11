/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread sends one pointer through a pipe, to what it has made. There is nothing else that both use; where the pipe
 * has no reader any more, the thread frees it itself.
 */
#include "daemon/settings_loader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

#include "daemon/daemon_internal.h"
#include "util/bytebuf.h"
#include "util/log.h"
#include "util/nulstr.h"
#include "util/thread.h"

#define MESSAGES_MAX 100 /* logged of one reload; execsnoopd --test-config prints all */

struct outcome {
	struct loaded_settings loaded;
	struct bytebuf messages; /* nulstr: a level, as a byte, and the text */
	unsigned count;		 /* of all messages */
};

/* The thread's. */
struct job {
	struct daemon_options options;
	int fd;
};

struct settings_loader {
	sd_event_source *source;
	int fd;
	settings_loaded done;
	void *userdata;
};

void loaded_settings_clear(struct loaded_settings *loaded)
{
	settings_free(loaded->settings);
	redact_free(loaded->redact);
	filter_free(loaded->journal_filter);
	*loaded = (struct loaded_settings){};
}

static struct outcome *outcome_free(struct outcome *outcome)
{
	if (!outcome)
		return NULL;
	loaded_settings_clear(&outcome->loaded);
	bytebuf_free(&outcome->messages);
	free(outcome);
	return NULL;
}
DEFINE_CLEANUP(struct outcome *, outcome_free);

/* The thread. */

static void keep_message(void *userdata, int level, const char *message)
{
	struct outcome *outcome = userdata;
	const char head = (char)level;
	size_t size = strlen(message) + 1;

	if (outcome->count++ >= MESSAGES_MAX || bytebuf_reserve(&outcome->messages, size + 1) < 0)
		return;
	bytebuf_put(&outcome->messages, &head, 1);
	bytebuf_put(&outcome->messages, message, size);
}

static int load(struct outcome *outcome, const struct daemon_options *options)
{
	struct loaded_settings *loaded = &outcome->loaded;
	int r = daemon_load_settings(&loaded->settings, options, keep_message, outcome);

	if (r < 0)
		return r;
	settings_find_group(loaded->settings);
	r = daemon_make_redact(&loaded->redact, loaded->settings);
	return r < 0 ? r : settings_filter(&loaded->settings->journal.output, &loaded->journal_filter);
}

static void *run(void *userdata)
{
	_cleanup_free_ struct job *job = userdata;
	_cleanup_(outcome_free_p) struct outcome *outcome = calloc(1, sizeof(*outcome));
	_cleanup_close_ int fd = job->fd;

	if (outcome && load(outcome, &job->options) < 0)
		loaded_settings_clear(&outcome->loaded);
	if (write(fd, &outcome, sizeof(outcome)) == sizeof(outcome))
		TAKE_PTR(outcome);
	return NULL;
}

/* The loop. */

static void log_messages(const struct outcome *outcome)
{
	struct bytes list = { outcome->messages.data, outcome->messages.size }, item;
	unsigned logged = 0;

	for (size_t at = 0; nulstr_next(list, &at, &item); logged++)
		log_message(NULL, item.data[0], item.data + 1);
	if (outcome->count > logged)
		log_error("%u more problems; execsnoopd --test-config prints all", outcome->count - logged);
}

static int on_loaded(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	_cleanup_(outcome_free_p) struct outcome *outcome = NULL;
	struct settings_loader *loader = userdata;
	struct loaded_settings none = {};

	if (read(fd, &outcome, sizeof(outcome)) != sizeof(outcome) || !outcome)
		log_error("reading the configuration: %s", strerror(ENOMEM));
	else
		log_messages(outcome);
	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	loader->done(loader->userdata, outcome ? &outcome->loaded : &none);
	return 0;
}

static int start_thread(const struct daemon_options *options, int fd)
{
	_cleanup_free_ struct job *job = malloc(sizeof(*job));
	pthread_t thread;
	int r;

	if (!job)
		return -ENOMEM;
	/* A copy: the thread may outlive the daemon's. */
	*job = (struct job){ *options, fd };
	r = thread_new(&thread, "settings", run, job);
	if (r < 0)
		return r;
	TAKE_PTR(job);
	pthread_detach(thread);
	return 0;
}

int settings_loader_new(struct settings_loader **ret, sd_event *event, const struct daemon_options *options,
			settings_loaded done, void *userdata)
{
	_cleanup_(settings_loader_free_p) struct settings_loader *loader = malloc(sizeof(*loader));
	_cleanup_close_ int written = -1;
	int fds[2], r;

	if (!loader)
		return -ENOMEM;
	*loader = (struct settings_loader){ .fd = -1, .done = done, .userdata = userdata };
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	loader->fd = fds[0];
	written = fds[1];
	r = sd_event_add_io(event, &loader->source, loader->fd, EPOLLIN, on_loaded, loader);
	if (r >= 0)
		r = start_thread(options, written);
	if (r < 0)
		return r;
	TAKE_FD(written);
	*ret = TAKE_PTR(loader);
	return 0;
}

struct settings_loader *settings_loader_free(struct settings_loader *loader)
{
	struct outcome *outcome = NULL;

	if (!loader)
		return NULL;
	sd_event_source_disable_unref(loader->source);
	if (loader->fd >= 0 && read(loader->fd, &outcome, sizeof(outcome)) == sizeof(outcome))
		outcome_free(outcome);
	if (loader->fd >= 0)
		close(loader->fd);
	free(loader);
	return NULL;
}
