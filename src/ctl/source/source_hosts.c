/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process in between has an ssh(1) for each host, which runs `execsnoopctl bridge` there. It writes whole lines and
 * waits while they are not read; then it reads nothing, and so each daemon's queue is the one that grows.
 */
#include "ctl/source/source_hosts.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "util/bytebuf.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define READ_SIZE (1U << 16)
#define LINE_LIMIT (64U << 20)
#define REPLY_MS 5000 /* after this time it is reported that there is none */

struct host {
	char name[256];
	int fd; /* -1: it has ended */
	struct bytebuf buffer;
	bool has_replied;
};

bool hosts_are_valid(const char *hosts)
{
	size_t count = 1;

	for (;; count++) {
		size_t size = strspn(hosts, LETTERS "._-@:[]%");

		if (size == 0 || size >= sizeof(((struct host *)NULL)->name) || *hosts == '-' || count > HOSTS_MAX)
			return false;
		if (hosts[size] == '\0')
			return true;
		if (hosts[size] != ',')
			return false;
		hosts += size + 1;
	}
}

unsigned hosts_count(const char *hosts)
{
	unsigned count = 1;

	for (; (hosts = strchr(hosts, ',')); hosts++)
		count++;
	return count;
}

bool hosts_path_is_valid(const char *path)
{
	return *path == '/' && strspn(path, LETTERS "/._-@:") == strlen(path);
}

static int start_ssh(struct host *host, const char *path)
{
	_cleanup_close_ int ours = -1, theirs = -1;
	char command[512];
	int ends[2];
	pid_t pid;

	snprintf(command, sizeof(command), "exec execsnoopctl bridge --socket=%s", path);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	ours = ends[0];
	theirs = ends[1];
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (dup2(theirs, STDIN_FILENO) < 0 || dup2(theirs, STDOUT_FILENO) < 0)
			_exit(127);
		execlp("ssh", "ssh", "-x", "-T", "--", host->name, command, (char *)NULL);
		fprintf(stderr, "execsnoopctl: ssh: %s\n", strerror(errno));
		_exit(127);
	}
	host->fd = TAKE_FD(ours);
	return 0;
}

static bool write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		data += n;
		size -= (size_t)n;
	}
	return true;
}

static bool is_type(struct bytes line, const char *type)
{
	char begin[64];
	int n = snprintf(begin, sizeof(begin), "{\"type\":\"%s\"", type);

	return line.size > (size_t)n && memcmp(line.data, begin, (size_t)n) == 0;
}

/* Without the host that it names itself: all lines of a host have one name. */
static size_t cut_host(char *line, size_t size)
{
	static const char begin[] = ",\"host\":\"";
	char *from = memmem(line, size, begin, strlen(begin)), *to = from;

	if (!from)
		return size;
	for (to += strlen(begin); to < line + size && *to != '"'; to++)
		to += *to == '\\';
	if (to >= line + size)
		return size;
	to++;
	memmove(from, to, (size_t)(line + size - to));
	return size - (size_t)(to - from);
}

/* A line without its newline. */
static bool put_line(struct host *host, int out, char *data, size_t size)
{
	char end[sizeof(host->name) + 16];
	int n = snprintf(end, sizeof(end), ",\"host\":\"%s\"}\n", host->name);
	struct bytes line = { data, size };

	host->has_replied |= is_type(line, "subscribed") || is_type(line, "stats") || is_type(line, "rejected");
	if (!host->has_replied)
		return true;
	if (is_type(line, "live"))
		line.size = cut_host(data, size);
	if (line.size < 3 || line.data[line.size - 1] != '}')
		return write_all(out, line.data, line.size) && write_all(out, "\n", 1);
	return write_all(out, line.data, line.size - 1) && write_all(out, end, (size_t)n);
}

static bool put_lines(struct host *host, int out)
{
	char *from = host->buffer.data, *newline;
	size_t left = host->buffer.size;

	while ((newline = memchr(from, '\n', left))) {
		if (!put_line(host, out, from, (size_t)(newline - from)))
			return false;
		left -= (size_t)(newline + 1 - from);
		from = newline + 1;
	}
	memmove(host->buffer.data, from, left);
	host->buffer.size = left;
	return left <= LINE_LIMIT;
}

/* Whether it continues: the reader is still there. */
static bool read_host(struct host *host, int out)
{
	ssize_t n;

	if (bytebuf_reserve(&host->buffer, READ_SIZE) < 0)
		return false;
	n = read(host->fd, host->buffer.data + host->buffer.size, READ_SIZE);
	if (n <= 0) {
		fprintf(stderr, "execsnoopctl: %s: the connection ended\n", host->name);
		close(host->fd);
		host->fd = -1;
		return true;
	}
	host->buffer.size += (size_t)n;
	return put_lines(host, out);
}

static bool send_request(struct host *hosts, size_t count, int in)
{
	char data[4096];
	ssize_t n = read(in, data, sizeof(data));

	for (size_t i = 0; n > 0 && i < count; i++)
		if (hosts[i].fd >= 0)
			write_all(hosts[i].fd, data, (size_t)n);
	return n > 0;
}

/* ssh(1) may ask for a password, and there may be no route to the host. */
static void report_silent(const struct host *hosts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (hosts[i].fd >= 0 && !hosts[i].has_replied)
			fprintf(stderr, "execsnoopctl: %s: no reply yet, waiting\n", hosts[i].name);
}

static void carry(struct host *hosts, size_t count, int fd)
{
	uint64_t patience_end = clock_ns(CLOCK_MONOTONIC) + REPLY_MS * 1000000ULL;
	struct pollfd fds[HOSTS_MAX + 1];
	bool was_reported = false;

	for (;;) {
		bool any = false;

		for (size_t i = 0; i < count; i++) {
			fds[i] = (struct pollfd){ .fd = hosts[i].fd, .events = POLLIN };
			any |= hosts[i].fd >= 0;
		}
		fds[count] = (struct pollfd){ .fd = fd, .events = POLLIN };
		if (!was_reported && clock_ns(CLOCK_MONOTONIC) >= patience_end) {
			report_silent(hosts, count);
			was_reported = true;
		}
		if (!any || (poll(fds, count + 1, was_reported ? -1 : REPLY_MS) < 0 && errno != EINTR))
			return;
		if (fds[count].revents && !send_request(hosts, count, fd))
			return;
		for (size_t i = 0; i < count; i++)
			if (fds[i].revents && !read_host(&hosts[i], fd))
				return;
	}
}

static int run(const char *address, int fd)
{
	struct host *hosts = calloc(HOSTS_MAX, sizeof(*hosts));
	const char *path = strchr(address, '/');
	size_t count = 0;
	sigset_t none;

	if (!hosts || !path)
		return -EINVAL;
	/* What this process and ssh(1) inherit from the command is not for them. */
	signal(SIGPIPE, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	while (address < path && count < HOSTS_MAX) {
		size_t size = strcspn(address, ",/");
		int r;

		snprintf(hosts[count].name, sizeof(hosts[count].name), "%.*s", (int)size, address);
		r = start_ssh(&hosts[count++], path);
		if (r < 0)
			return r;
		address += size + 1;
	}
	carry(hosts, count, fd);
	return 0;
}

/* The process between the two ends at once, so that init is the parent of ssh and reaps it. */
int hosts_connect(const char *address, int *ret_fd)
{
	int ends[2], status;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		if (fork() == 0)
			_exit(run(address, ends[1]) < 0);
		_exit(0);
	}
	close(ends[1]);
	if (pid < 0 || waitpid(pid, &status, 0) < 0) {
		close(ends[0]);
		return -EAGAIN;
	}
	*ret_fd = ends[0];
	return 0;
}
