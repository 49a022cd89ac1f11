/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages to a manager that reads, that does not, and that begins to. */
#include "util/notify.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

static int manager = -1;

/* A socket at an abstract address of the kernel's choice, as $NOTIFY_SOCKET names it. */
static void begin(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(address);
	char name[sizeof(address.sun_path) + 1] = "@";

	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CHECK(manager >= 0);
	CHECK_INT(bind(manager, (const struct sockaddr *)&address, sizeof(address.sun_family)), 0);
	CHECK_INT(getsockname(manager, (struct sockaddr *)&address, &size), 0);
	memcpy(name + 1, address.sun_path + 1, size - sizeof(address.sun_family) - 1);
	CHECK_INT(setenv("NOTIFY_SOCKET", name, 1), 0);
	tap_limit(30);
}
SETUP(begin)

/* The next message, with the descriptor that came with it in *ret_fd (-1); "" if there is none. */
static const char *next(int *ret_fd)
{
	static char text[600];
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { text, sizeof(text) - 1 };
	struct msghdr head = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	ssize_t n = recvmsg(manager, &head, MSG_CMSG_CLOEXEC);
	int fd = -1;

	text[n > 0 ? n : 0] = '\0';
	if (n >= 0 && CMSG_FIRSTHDR(&head))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&head)), sizeof(fd));
	if (ret_fd)
		*ret_fd = fd;
	else if (fd >= 0)
		close(fd);
	return text;
}

/* Sends until no more is taken; how many of them were. */
static unsigned fill(void)
{
	unsigned n = 0;

	for (; notify_waiting() == 0; n++)
		notify_send("FILL%u=1", n);
	return n - 1;
}

static void drain(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		CHECK(strncmp(next(NULL), "FILL", 4) == 0);
}

/* Reads what was sent before, and lets the rest come. */
static void let(unsigned filled)
{
	char last[32];

	drain(filled);
	notify_flush(0);
	snprintf(last, sizeof(last), "FILL%u=1", filled);
	CHECK_STR(next(NULL), last);
}

TEST(message_is_sent_at_once)
{
	notify_send("READY=1\nSTATUS=%d processes", 7);
	CHECK_STR(next(NULL), "READY=1\nSTATUS=7 processes");
	CHECK_INT(notify_waiting(), 0);
	CHECK(notify_flush(0));
}

TEST(nothing_is_queued_without_a_manager)
{
	static const char *const none[] = { "", "x", "@", "vsock:1:2", "relative/path" };

	unsetenv("NOTIFY_SOCKET");
	notify_send("READY=1");
	notify_store("a", 0);
	CHECK_INT(notify_waiting(), 0);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		setenv("NOTIFY_SOCKET", none[i], 1);
		notify_send("READY=1");
		notify_store("a", 0);
		notify_store_remove("a");
		CHECK_INT(notify_waiting(), 0);
	}
	/* Nobody listens there: it is dropped, and not tried for ever. */
	setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
	notify_send("READY=1");
	CHECK_INT(notify_waiting(), 0);
}

/* The watchdog's above all: a daemon that has no descriptor left is alive. */
TEST(message_is_sent_without_a_free_descriptor)
{
	struct rlimit limit, none;

	notify_send("READY=1");
	CHECK_STR(next(NULL), "READY=1");
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
	notify_send("WATCHDOG=1");
	CHECK_STR(next(NULL), "WATCHDOG=1");
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

TEST(sent_descriptor_stays_open)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), got;

	CHECK(fd >= 0);
	/* From now on its socket is open. */
	notify_send("READY=1");
	CHECK_STR(next(NULL), "READY=1");
	notify_store("kept-a", fd);
	CHECK(fcntl(fd, F_GETFD) >= 0);
	CHECK_STR(next(&got), "FDSTORE=1\nFDPOLL=0\nFDNAME=kept-a");
	CHECK(got >= 0);
	/* The duplicate that was sent is closed. */
	CHECK_INT(open("/dev/null", O_RDONLY | O_CLOEXEC), got + 1);
}

TEST(unsent_messages_stay_in_order)
{
	unsigned n;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), got;

	n = fill();
	notify_store("a", fd);
	notify_store_remove("b");
	notify_store("a", fd);
	close(fd);
	CHECK_INT(notify_waiting(), 4);
	let(n);
	CHECK_STR(next(&got), "FDSTORE=1\nFDPOLL=0\nFDNAME=a");
	CHECK(got >= 0);
	CHECK_STR(next(NULL), "FDSTOREREMOVE=1\nFDNAME=b");
	CHECK_STR(next(NULL), "FDSTORE=1\nFDPOLL=0\nFDNAME=a");
	CHECK_STR(next(NULL), "");
	CHECK_INT(notify_waiting(), 0);
}

TEST(watchdog_message_goes_first)
{
	unsigned n;

	n = fill();
	notify_send("STATUS=1");
	notify_send("WATCHDOG=1");
	notify_send("WATCHDOG=1");
	CHECK_INT(notify_waiting(), 3);
	drain(n);
	notify_flush(0);
	CHECK_STR(next(NULL), "WATCHDOG=1");
	CHECK(strncmp(next(NULL), "FILL", 4) == 0);
	CHECK_STR(next(NULL), "STATUS=1");
	CHECK_STR(next(NULL), "");
}

TEST(newer_message_replaces_one_of_its_kind)
{
	unsigned n;

	n = fill();
	notify_send("STATUS=1");
	notify_send("READY=1\nSTATUS=2");
	notify_send("STATUS=3");
	notify_send("RELOADING=1\nMONOTONIC_USEC=4");
	notify_send("READY=1");
	let(n);
	CHECK_STR(next(NULL), "STATUS=3");
	CHECK_STR(next(NULL), "RELOADING=1\nMONOTONIC_USEC=4");
	CHECK_STR(next(NULL), "READY=1");
	CHECK_STR(next(NULL), "");
}

/* What is removed before it was taken never gets there; one of another name does. */
TEST(removed_name_is_not_stored)
{
	unsigned n;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), lowest;

	n = fill();
	lowest = dup(fd);
	close(lowest);
	notify_store("a", fd);
	notify_store("ab", fd);
	notify_store("a", fd);
	notify_store_remove("a");
	notify_store_remove("a");
	CHECK_INT(notify_waiting(), 3);
	let(n);
	CHECK_STR(next(NULL), "FDSTORE=1\nFDPOLL=0\nFDNAME=ab");
	CHECK_STR(next(NULL), "FDSTOREREMOVE=1\nFDNAME=a");
	CHECK_STR(next(NULL), "");
	/* No duplicate is left. */
	CHECK_INT(dup(fd), lowest);
}

static char notes[1000];

static void on_note(void *userdata, int level, const char *message)
{
	snprintf(notes + strlen(notes), sizeof(notes) - strlen(notes), "<%d>%s\n", level, message);
}

TEST(queue_is_bounded)
{
	sd_event *event = NULL;

	CHECK(sd_event_new(&event) >= 0);
	CHECK_INT(notify_watch(event, on_note, NULL), 0);
	fill();
	for (unsigned i = 0; i < NOTIFY_WAITING_MAX + 100; i++)
		notify_send("X%u=1", i);
	CHECK_INT(notify_waiting(), NOTIFY_WAITING_MAX);
	CHECK_STR(notes, "<3>dropped a message to the service manager: No buffer space available\n");
	/* The watchdog's goes beyond it. */
	notify_send("WATCHDOG=1");
	CHECK_INT(notify_waiting(), NOTIFY_WAITING_MAX + 1);
	notify_unwatch();
	sd_event_unref(event);
}

TEST(timer_sends_the_queue)
{
	sd_event *event = NULL;
	unsigned n;

	CHECK(sd_event_new(&event) >= 0);
	CHECK_INT(notify_watch(event, on_note, NULL), 0);
	n = fill();
	drain(n);
	while (notify_waiting() > 0)
		CHECK(sd_event_run(event, UINT64_MAX) >= 0);
	CHECK(strncmp(next(NULL), "FILL", 4) == 0);
	notify_unwatch();
	sd_event_unref(event);
}

TEST(flush_ends_in_time)
{
	struct timespec begun, ended;

	fill();
	clock_gettime(CLOCK_MONOTONIC, &begun);
	CHECK(!notify_flush(100));
	clock_gettime(CLOCK_MONOTONIC, &ended);
	CHECK((ended.tv_sec - begun.tv_sec) * 1000 + (ended.tv_nsec - begun.tv_nsec) / 1000000 >= 100);
	CHECK_INT(notify_waiting(), 1);
}

TAP_MAIN
