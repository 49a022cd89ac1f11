/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/clock.h"

#define FIRST_PAUSE_US 10000 /* before the first retry; doubled up to the last */
#define LAST_PAUSE_US 200000
#define SENDS_MAX 256	     /* in one turn */
#define LOG_AFTER_US 5000000 /* without progress */

struct message {
	struct message *next;
	int fd; /* -1: none */
	size_t size;
	char text[];
};

static struct {
	/* Open as long as it may be needed: the watchdog's message has to be sent also when no descriptor is left. -1:
	 * not yet. */
	int fd;
	struct message *first, **end;
	size_t count;
	sd_event_source *timer;
	uint64_t pause_us;
	uint64_t stuck_us; /* since when there is no progress; 0: there is */
	size_t dropped;
	bool logged;
	notify_log_fn log;
	void *userdata;
} queue = { .fd = -1, .end = &queue.first };

__attribute__((format(printf, 2, 3))) static void report(int level, const char *format, ...)
{
	char message[160];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (queue.log)
		queue.log(queue.userdata, level, message);
}

/* The queue. */

static void message_free(struct message *message)
{
	if (message->fd >= 0)
		close(message->fd);
	free(message);
}

static void remove_at(struct message **at)
{
	struct message *message = *at;

	*at = message->next;
	if (queue.end == &message->next)
		queue.end = at;
	queue.count--;
	message_free(message);
}

/* Queued messages that begin with these bytes; whole: that are these bytes. */
static void remove_waiting(const char *text, size_t size, bool whole)
{
	for (struct message **at = &queue.first; *at;) {
		const struct message *message = *at;

		if ((whole ? message->size == size : message->size >= size) && memcmp(message->text, text, size) == 0)
			remove_at(at);
		else
			at = &(*at)->next;
	}
}

static void drop(int error)
{
	if (queue.dropped++ == 0)
		report(LOG_ERR, "dropped a message to the service manager: %s", strerror(error));
}

/* Takes over fd. */
static void put(const char *text, int fd, bool at_once)
{
	size_t size = strlen(text);
	bool has_room = at_once || queue.count < NOTIFY_WAITING_MAX;
	struct message *message = has_room ? malloc(sizeof(*message) + size) : NULL;

	if (!message) {
		drop(has_room ? ENOMEM : ENOBUFS);
		if (fd >= 0)
			close(fd);
		return;
	}
	*message = (struct message){ .fd = fd, .size = size };
	memcpy(message->text, text, size);
	queue.count++;
	if (at_once) {
		message->next = queue.first;
		if (!queue.first)
			queue.end = &message->next;
		queue.first = message;
		return;
	}
	*queue.end = message;
	queue.end = &message->next;
}

/* Sending. */

/* sd_notify(3): a path, or '@' and an abstract address. */
static socklen_t address_of(struct sockaddr_un *address)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t size = path ? strlen(path) : 0;

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (size < 2 || (*path != '/' && *path != '@') || size >= sizeof(address->sun_path))
		return 0;
	memcpy(address->sun_path, path, size);
	if (*path == '@')
		address->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (*path == '/'));
}

static int send_one(const struct message *message)
{
	union {
		struct cmsghdr head;
		char buffer[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct sockaddr_un address;
	struct iovec text = { (char *)message->text, message->size };
	struct msghdr head = { .msg_name = &address, .msg_iov = &text, .msg_iovlen = 1 };

	if (queue.fd < 0)
		queue.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (queue.fd < 0)
		return -errno;
	head.msg_namelen = address_of(&address);
	if (message->fd >= 0) {
		head.msg_control = &control;
		head.msg_controllen = sizeof(control);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &message->fd, sizeof(int));
	}
	return sendmsg(queue.fd, &head, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Errors of a full socket (unix(7), sendmsg(2)). */
static bool is_for_now(int r)
{
	return r == -EAGAIN || r == -ENOBUFS || r == -ENOMEM || r == -EINTR || r == -ETOOMANYREFS || r == -EMFILE ||
	       r == -ENFILE;
}

static void taken(void)
{
	if (queue.logged)
		report(LOG_NOTICE, "the service manager reads messages again%s",
		       queue.dropped ? "; some were dropped" : "");
	queue.logged = false;
	queue.stuck_us = 0;
	queue.dropped = 0;
	queue.pause_us = FIRST_PAUSE_US;
}

/* The manager did not read. */
static void stuck(void)
{
	if (queue.stuck_us == 0)
		queue.stuck_us = clock_us(CLOCK_MONOTONIC);
	if (queue.logged || clock_us(CLOCK_MONOTONIC) - queue.stuck_us < LOG_AFTER_US)
		return;
	queue.logged = true;
	report(LOG_WARNING, "the service manager has read no message for %d s; %zu are waiting", LOG_AFTER_US / 1000000,
	       queue.count);
}

static void arm(void)
{
	if (!queue.timer)
		return;
	sd_event_source_set_time_relative(queue.timer, queue.pause_us);
	sd_event_source_set_enabled(queue.timer, queue.count > 0 ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

/* What can be sent now. */
static void send_some(void)
{
	for (unsigned i = 0; i < SENDS_MAX && queue.first; i++) {
		int r = send_one(queue.first);

		if (is_for_now(r)) {
			stuck();
			break;
		}
		if (r < 0)
			drop(-r);
		else if (queue.stuck_us > 0 || queue.dropped > 0)
			taken();
		remove_at(&queue.first);
	}
	arm();
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	queue.pause_us = queue.pause_us * 2 < LAST_PAUSE_US ? queue.pause_us * 2 : LAST_PAUSE_US;
	send_some();
	return 0;
}

int notify_watch(sd_event *event, notify_log_fn log, void *userdata)
{
	int r = sd_event_add_time_relative(event, &queue.timer, CLOCK_MONOTONIC, 0, 0, on_timer, NULL);

	if (r < 0)
		return r;
	queue.log = log;
	queue.userdata = userdata;
	queue.pause_us = FIRST_PAUSE_US;
	arm();
	return 0;
}

void notify_unwatch(void)
{
	queue.timer = sd_event_source_disable_unref(queue.timer);
	queue.log = NULL;
	if (queue.fd >= 0)
		close(TAKE_FD(queue.fd));
}

/* A message is queued after all others; if there are none it is sent at once. */
static void put_and_send(const char *text, int fd, bool at_once)
{
	bool waits = queue.count > 0;

	put(text, fd, at_once);
	if (!waits || at_once)
		send_some();
	else
		stuck();
}

static bool has_manager(void)
{
	struct sockaddr_un address;

	return address_of(&address) > 0;
}

void notify_send(const char *format, ...)
{
	char text[512];
	va_list args;

	if (!has_manager())
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	remove_waiting(text, strcspn(text, "=") + 1, false);
	put_and_send(text, -1, strcmp(text, "WATCHDOG=1") == 0);
}

void notify_store(const char *name, int fd)
{
	char text[128];
	int copy;

	if (!has_manager())
		return;
	/* A duplicate, since the caller may close fd before the message is sent. */
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0) {
		drop(errno);
		return;
	}
	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	put_and_send(text, copy, false);
}

void notify_store_remove(const char *name)
{
	char text[128];

	if (!has_manager())
		return;
	/* What is still queued is not sent at all. */
	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	remove_waiting(text, strlen(text), true);
	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	remove_waiting(text, strlen(text), true);
	put_and_send(text, -1, false);
}

size_t notify_waiting(void)
{
	return queue.count;
}

bool notify_flush(unsigned timeout_ms)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	uint64_t end = clock_us(CLOCK_MONOTONIC) + (uint64_t)timeout_ms * 1000;

	for (;;) {
		send_some();
		if (queue.count == 0 || clock_us(CLOCK_MONOTONIC) >= end)
			return queue.count == 0;
		nanosleep(&pause, NULL);
	}
}
