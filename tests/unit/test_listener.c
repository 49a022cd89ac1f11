/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The listening socket and its file; which connection gets a place. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "output/socket_file.h"
#include "records.h"
#include "server_fixture.h"

TEST(connection_above_the_limit_is_rejected_with_a_reason)
{
	int a, b, c;
	struct settings *more;

	begin("max_subscribers = 2\n");
	a = client();
	b = client();
	settle();
	c = client();
	ask(c, "{\"stats\":true}\n");
	take(c); /* fails on a reset */
	CHECK_STR(line_at(text),
		  "{\"type\":\"rejected\",\"reason\":\"there are as many subscribers as max_subscribers allows\"}");
	CHECK(ended);
	CHECK_INT(stats().refused, 1);
	close(a);
	settle();
	a = client();
	take(a);
	CHECK(!ended && strstr(text, "\"live\""));
	/* It may be changed; connections stay. */
	more = settings_of("max_subscribers = 1\n");
	CHECK_INT(server_reload(server, more), 0);
	settings_free(settings);
	settings = more;
	c = client();
	take(c);
	CHECK(ended);
	CHECK_INT(stats().subscribers, 2);
	more = settings_of("max_subscribers = 3\n");
	CHECK_INT(server_reload(server, more), 0);
	settings_free(settings);
	settings = more;
	c = client();
	take(c);
	CHECK(!ended && strstr(text, "\"live\""));
	take(b);
	CHECK(!ended);
}

TEST(accepting_pauses_without_descriptors)
{
	struct rlimit limit, none;
	int clients[100], last;
	uint64_t began, paused;

	begin("");
	for (int i = 0; i < 100; i++)
		clients[i] = new_socket();
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	last = clients[99];
	none.rlim_cur = (rlim_t)last + 1;
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (int i = 0; i < 100; i++)
		CHECK_INT(connect_at(clients[i]), 0);
	CHECK(settle() < 10);
	CHECK_INT(stats().accepted, 0);
	CHECK_INT(notes, 1);
	/* It tries again now and then, without spinning, and does not say so each time. */
	began = now_ms();
	paused = stats().accept_pauses;
	for (int turns = 0; stats().accept_pauses < paused + 3; turns++) {
		CHECK(turns < 50);
		CHECK(sd_event_run(event, UINT64_MAX) >= 0);
	}
	CHECK(now_ms() - began >= 200);
	CHECK_INT(notes, 1);
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
	/* They are accepted in their order. 0 may also be a timer that woke a little too early. */
	began = now_ms();
	do {
		CHECK(sd_event_run(event, 1000000) >= 0 && now_ms() - began < 60000);
		take(clients[99]);
	} while (!strstr(text, "\"live\""));
	/* valgrind lets the kernel accept one, and then closes it, where the limit forbids it. */
	CHECK(stats().accepted == 100 || getenv("VALGRIND"));
}

/* What a reload, a large journal entry or a restart opens. */
TEST(subscribers_leave_files_for_the_daemon)
{
	struct rlimit limit;

	/* It has files of its own, and lets no program lower the hard limit. */
	if (getenv("VALGRIND")) {
		begin("");
		return;
	}
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max = 200;
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
	begin("max_subscribers = 1000\n");
	CHECK_INT(notes, 1);
	for (int i = 0; i < 50; i++)
		client();
	settle();
	CHECK_INT(stats().subscribers, 50);
	take(client());
	CHECK_STR(line_at(text), "{\"type\":\"rejected\",\"reason\":"
				 "\"there are as many subscribers as the limit of open files allows\"}");
	CHECK_INT(stats().accept_pauses, 0);
}

static int listening(int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, path, strlen(path) + 1);
	CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	if (type == SOCK_STREAM)
		CHECK_INT(listen(fd, 0), 0);
	return fd;
}

TEST(socket_of_systemd_is_used_and_not_removed)
{
	struct stat st;
	int fd, listener;

	make_directory();
	listener = listening(SOCK_STREAM);
	CHECK_INT(chmod(path, 0644), 0);
	CHECK_INT(try_begin("", listener), 0);
	fd = client();
	take(fd);
	CHECK(strstr(text, "\"live\""));
	reload("mode = 0600\ngroup = no-such-group-here\n", 0); /* systemd's business */
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0644);
	end_server();
	CHECK_INT(fcntl(listener, F_GETFD), -1);
	CHECK_INT(stat(path, &st), 0);
	/* What cannot be used is the caller's still. */
	listener = open(directory, O_RDONLY | O_DIRECTORY);
	CHECK_INT(try_begin("", listener), -EPERM);
	CHECK(fcntl(listener, F_GETFD) >= 0);
}

TEST(stale_socket_is_replaced_and_no_other_file)
{
	char target[128];
	struct stat st, after;
	int other, fd;

	make_directory();
	/* Somebody listens, even if they have no time: from the second time on their backlog is full. */
	other = listening(SOCK_STREAM);
	CHECK_INT(stat(path, &st), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_INT(try_begin("", -1), -EADDRINUSE);
		end_server();
	}
	CHECK_INT(stat(path, &after), 0);
	CHECK_INT(after.st_ino, st.st_ino);
	/* Nobody any more. */
	close(other);
	CHECK_INT(try_begin("", -1), 0);
	fd = client();
	take(fd);
	CHECK(strstr(text, "\"live\""));
	end_server();
	CHECK_INT(stat(path, &st), -1);
	/* Other things. */
	other = listening(SOCK_DGRAM);
	CHECK(try_begin("", -1) < 0);
	end_server();
	close(other);
	CHECK_INT(unlink(path), 0);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	CHECK_INT(try_begin("", -1), -EEXIST);
	end_server();
	CHECK_INT(stat(path, &st), 0);
	unlink(path);
	snprintf(target, sizeof(target), "%s/nothing", directory);
	CHECK_INT(symlink(target, path), 0);
	CHECK_INT(try_begin("", -1), -EEXIST);
	end_server();
	CHECK_INT(lstat(path, &st), 0);
	CHECK(S_ISLNK(st.st_mode));
	unlink(path);
}

TEST(missing_group_admits_only_root_and_is_logged)
{
	struct group *own = getgrgid(getgid());
	struct stat st;
	char lines[128];

	begin("group = no-such-group-here\nmode = 0664\n");
	CHECK_INT(notes, 1);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0604);
	take(client());
	CHECK(strstr(text, "\"live\""));
	/* It is still not, and what else is new is in force. */
	reload("group = no-such-group-here\nmode = 0646\nfields = pid\n", 0);
	CHECK_INT(notes, 2);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0606);
	take(client());
	CHECK(strstr(text, "{\"type\":\"live\","));
	/* Once it is there. */
	CHECK(own);
	snprintf(lines, sizeof(lines), "group = %s\nmode = 0664\n", own->gr_name);
	reload(lines, 0);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0664);
	CHECK_INT(st.st_gid, getgid());
}

TEST(socket_file_of_another_daemon_is_kept)
{
	struct stat st;
	int other;

	begin("");
	CHECK_INT(unlink(path), 0);
	other = listening(SOCK_STREAM);
	CHECK_INT(chmod(path, 0640), 0);
	reload("mode = 0600\n", 0);
	CHECK_INT(notes, 1);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0640);
	end_server();
	CHECK_INT(stat(path, &st), 0);
	close(other);
}

/* A client that the kernel says is of that user. */
static int client_of(uid_t uid)
{
	int fd;

	CHECK_INT(seteuid(uid), 0);
	fd = client();
	CHECK_INT(seteuid(0), 0);
	settle();
	return fd;
}

static bool is_refused(int fd, const char *reason)
{
	take(fd);
	if (!ended)
		return false;
	CHECK(strstr(text, "{\"type\":\"rejected\",\"reason\":\"") == text && strstr(text, reason));
	CHECK_INT(count_of("\n"), 1);
	return true;
}

TEST(one_user_cannot_take_all_connections)
{
	int first = -1, root;

	if (geteuid() != 0)
		return;
	begin("max_subscribers = 16\nper_user = 0\nmode = 0666\n");
	CHECK_INT(chmod(directory, 0755), 0);
	for (uid_t uid = 1000; uid < 1004; uid++) {
		for (int i = 0; i < 8; i++) {
			int fd = client_of(uid);

			CHECK_INT(is_refused(fd, "per_user"), i >= 4);
			if (first < 0)
				first = fd;
		}
	}
	CHECK_INT(stats().subscribers, 16);
	CHECK_INT(stats().refused, 16);
	CHECK(is_refused(client_of(1004), "max_subscribers"));
	/* Root has one of its own, and not all that it may ask for. */
	root = client_of(0);
	CHECK(!is_refused(root, ""));
	CHECK(is_refused(client_of(0), "max_subscribers"));
	close(root);
	close(first);
	settle();
	CHECK(!is_refused(client_of(1000), ""));
	CHECK(is_refused(client_of(1000), "per_user"));
	CHECK(!is_refused(client_of(0), ""));
}

/* By the mode and the group of the file, which may change while they are connected. */
TEST(reload_closes_connections_that_lost_access)
{
	struct group *daemon_group = getgrnam("daemon");
	int stays, goes, late;

	if (geteuid() != 0 || !daemon_group)
		return;
	begin("mode = 0666\nsnapshot = no\n");
	CHECK_INT(chmod(directory, 0755), 0);
	stays = client_of(0);
	goes = client_of(1000);
	/* Its group is ours: root's. */
	reload("mode = 0660\nsnapshot = no\ngroup = root\n", 0);
	settle();
	CHECK_INT(stats().subscribers, 2);
	CHECK_INT(notes, 0);
	reload("mode = 0660\nsnapshot = no\ngroup = daemon\n", 0);
	settle();
	CHECK_INT(stats().subscribers, 1);
	execs(1, 1);
	take(goes);
	CHECK(ended);
	CHECK_STR(text, "");
	take(stays);
	CHECK(!ended && strstr(text, "\"started\""));
	/* One that is in the group by another than its first. */
	CHECK_INT(setgroups(1, &daemon_group->gr_gid), 0);
	late = client_of(1000);
	CHECK_INT(setgroups(0, NULL), 0);
	reload("mode = 0660\nsnapshot = no\ngroup = daemon\n", 0);
	settle();
	CHECK_INT(stats().subscribers, 2);
	reload("mode = 0600\nsnapshot = no\ngroup = daemon\n", 0);
	settle();
	take(late);
	CHECK(ended);
	CHECK_INT(stats().subscribers, 1);
}

/* Of many daemons that start over a stale socket at once one has it, and its file is there. */
TEST(one_of_many_concurrent_starts_has_the_socket)
{
	make_directory();
	settings = settings_of("");
	for (int round = 0; round < tap_rounds(100); round++) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), gate[2], hold[2], status, fd;

		strcpy(address.sun_path, path);
		CHECK_INT(bind(stale, (struct sockaddr *)&address, sizeof(address)), 0);
		close(stale);
		CHECK_INT(pipe(gate), 0);
		CHECK_INT(pipe(hold), 0);
		for (size_t i = 0; i < 6; i++) {
			if (fork() == 0) {
				struct socket_file *listener;
				bool without_group;
				char c;
				int r;

				tap_limit(20);
				close(gate[1]);
				close(hold[1]);
				(void)!read(gate[0], &c, 1);
				r = socket_file_new(&listener, settings, &fd, &without_group);
				if (r < 0)
					_exit(r == -EADDRINUSE ? 1 : 2);
				/* Until all have tried. */
				(void)!read(hold[0], &c, 1);
				_exit(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address,
					      sizeof(address)) == 0
					      ? 0
					      : 3);
			}
		}
		close(gate[0]);
		close(gate[1]);
		close(hold[0]);
		/* The losers end by themselves; the one that has it waits for the end of `hold`. */
		for (int i = 0; i < 5; i++) {
			CHECK(waitpid(-1, &status, 0) > 0);
			CHECK_INT(status, 1 << 8);
		}
		close(hold[1]);
		CHECK(waitpid(-1, &status, 0) > 0);
		CHECK_INT(status, 0);
		unlink(path);
	}
}

TEST(stalled_connection_is_closed_for_a_new_one)
{
	int stuck, good, late;

	begin("max_subscribers = 2\nqueue = 64K\n");
	stuck = client();
	settle();
	good = client();
	take(good);
	/* More than a socket and a queue hold, whatever wmem_default is (socket(7)). */
	for (unsigned round = 0; stats().lost == 0; round++) {
		CHECK(round < 1000);
		execs(3000 + 300 * round, 300);
		take(good);
	}
	/* Not at once. */
	CHECK(is_refused(client(), "max_subscribers"));
	later_us = 61000000;
	execs(2000, 10);
	take(good);
	late = client();
	CHECK(!is_refused(late, ""));
	CHECK_INT(stats().subscribers, 2);
	take(stuck);
	CHECK(ended);
	take(good);
	CHECK(!ended);
	/* Nobody is stuck any more. */
	CHECK(is_refused(client(), "max_subscribers"));
	later_us = 0;
}

TAP_MAIN
