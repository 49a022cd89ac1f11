/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What was passed, with a socket in the place of systemd's for what is said to it. */
#include "handover/fdstore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tap.h"

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int some_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	return fd;
}

static int listening(int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	/* An address that the kernel chooses. */
	CHECK_INT(bind(fd, (const struct sockaddr *)&address, sizeof(address.sun_family)), 0);
	CHECK_INT(listen(fd, 1), 0);
	return fd;
}

/* A socket for sd_notify, as systemd's. */
static int manager(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(address);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char name[sizeof(address.sun_path) + 1] = "@";

	CHECK(fd >= 0);
	CHECK_INT(bind(fd, (const struct sockaddr *)&address, sizeof(address.sun_family)), 0);
	CHECK_INT(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	memcpy(name + 1, address.sun_path + 1, size - sizeof(address.sun_family) - 1);
	CHECK_INT(setenv("NOTIFY_SOCKET", name, 1), 0);
	return fd;
}

static void check_sent(int manager, const char *text)
{
	char got[256];
	ssize_t n = recv(manager, got, sizeof(got) - 1, 0);

	CHECK(n > 0);
	got[n] = '\0';
	CHECK_STR(got, text);
}

TEST(store_is_empty_without_systemd)
{
	struct fdstore *store = NULL;
	size_t count = 9;
	int fd = -2;

	unsetenv("LISTEN_PID");
	CHECK_INT(fdstore_new(&store), 0);
	CHECK_INT(fdstore_take_listening(store, &fd, &count), 0);
	CHECK_INT(fd, -1);
	CHECK_INT(count, 0);
	CHECK_INT(fdstore_discard(store), 0);
	fdstore_free(store);
	fdstore_free(NULL);
}

/* As systemd does it: descriptors from 3 on, and three variables. */
TEST(passed_descriptors_are_taken)
{
	struct fdstore *store = NULL;
	int made = listening(SOCK_STREAM), other = some_fd(), to, fd = -1;
	struct stat st;
	char pid[16];
	size_t count;

	to = manager();
	made = fcntl(made, F_DUPFD, 20);
	other = fcntl(other, F_DUPFD, 20);
	to = fcntl(to, F_DUPFD, 20);
	CHECK_INT(dup2(other, 3), 3);
	CHECK_INT(dup2(made, 4), 4);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "2", 1);
	setenv("LISTEN_FDNAMES", "kept-anything-77:events.socket", 1);
	CHECK_INT(fdstore_new(&store), 0);
	CHECK(!getenv("LISTEN_FDS"));
	CHECK_INT(fdstore_discard(store), 1);
	check_sent(to, "FDSTOREREMOVE=1\nFDNAME=kept-anything-77");
	/* Its number may be that of the socket to the manager by now. */
	CHECK(fstat(3, &st) < 0 || S_ISSOCK(st.st_mode));
	CHECK_INT(fdstore_take_listening(store, &fd, &count), 0);
	CHECK_INT(fd, 4);
	CHECK_INT(count, 1);
	fdstore_free(store);
	CHECK(is_open(4));
	/* No process that is started from here has it. */
	CHECK(fcntl(4, F_GETFD) & FD_CLOEXEC);
}

TEST(listening_socket_is_found_at_any_place)
{
	static const char *const names[] = { "unknown", "execsnoopd.socket", "stored", "" };

	for (size_t i = 0; i < 4; i++) {
		struct fdstore *store = NULL;
		int fds[] = { some_fd(), listening(SOCK_STREAM), some_fd() }, fd = -1;
		const char *const all[] = { "kept-x", names[i], "kept-y" };
		size_t count;

		CHECK_INT(fdstore_new_of(&store, fds, all, 3), 0);
		CHECK_INT(fdstore_take_listening(store, &fd, &count), 0);
		CHECK_INT(fd, fds[1]);
		/* It is taken: once. */
		CHECK_INT(fdstore_take_listening(store, &fd, &count), 0);
		CHECK_INT(fd, -1);
		fdstore_free(store);
		CHECK(is_open(fds[1]) && !is_open(fds[0]) && !is_open(fds[2]));
		close(fds[1]);
	}
}

TEST(other_descriptors_are_not_a_listening_socket)
{
	struct fdstore *store = NULL;
	int fds[] = { some_fd() }, packets[] = { listening(SOCK_SEQPACKET) }, fd = -2;
	static const char *const name[] = { "execsnoopd.socket" };
	size_t count;

	CHECK_INT(fdstore_new_of(&store, fds, name, 1), 0);
	CHECK_INT(fdstore_take_listening(store, &fd, &count), -EINVAL);
	CHECK_INT(fd, -2);
	CHECK_INT(count, 1);
	fdstore_free(store);
	CHECK(!is_open(fds[0]));
	CHECK_INT(fdstore_new_of(&store, packets, name, 1), 0);
	CHECK_INT(fdstore_take_listening(store, &fd, &count), -EINVAL);
	fdstore_free(store);
}

TEST(stored_descriptors_are_found_by_versioned_name)
{
	struct fdstore *store = NULL;
	int fds[] = { some_fd(), some_fd(), some_fd() }, notices = manager(), first, second;
	static const char *const names[] = { "kept-" STORE_VERSION "-link", "kept-" STORE_VERSION "-link",
					     "kept-0-ring" };

	CHECK_INT(fdstore_new_of(&store, fds, names, 3), 0);
	first = fdstore_take(store, "link");
	second = fdstore_take(store, "link");
	CHECK_INT(first, fds[0]);
	CHECK_INT(second, fds[1]);
	CHECK_INT(fdstore_take(store, "link"), -1);
	CHECK_INT(fdstore_take(store, "ring"), -1);
	fdstore_keep("ring", first);
	check_sent(notices, "FDSTORE=1\nFDPOLL=0\nFDNAME=kept-" STORE_VERSION "-ring");
	fdstore_forget("ring");
	check_sent(notices, "FDSTOREREMOVE=1\nFDNAME=kept-" STORE_VERSION "-ring");
	CHECK_INT(fdstore_discard(store), 1);
	CHECK(!is_open(fds[2]));
	fdstore_free(store);
	/* What was taken is the taker's. */
	CHECK(is_open(first) && is_open(second));
	close(first);
	close(second);
	close(notices);
}

TEST(second_listening_socket_is_refused)
{
	struct fdstore *store = NULL;
	int fds[] = { listening(SOCK_STREAM), listening(SOCK_STREAM) }, fd = -2;
	static const char *const names[] = { "a", "b" };
	size_t count;

	CHECK_INT(fdstore_new_of(&store, fds, names, 2), 0);
	CHECK_INT(fdstore_take_listening(store, &fd, &count), -EINVAL);
	CHECK_INT(count, 2);
	CHECK_INT(fd, -2);
	fdstore_free(store);
	CHECK(!is_open(fds[0]) && !is_open(fds[1]));
}

TAP_MAIN
