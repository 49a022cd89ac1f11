/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/command/cat_output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "util/bytebuf.h"

#define BUFFER_MAX (1U << 20) /* more is freed when it was written */
#define CONNECT_MS 10000
#define SILENT_MS 60000 /* a peer that acknowledges nothing for so long is gone */
#define TAIL_MAX (1U << 20)

enum kind { KIND_OTHER, KIND_FILE, KIND_PIPE, KIND_SOCKET };

struct cat_output {
	const char *address;
	const char *path;  /* of a Unix socket */
	char *host, *port; /* else */
	int fd;		   /* -1: it is not open */
	enum kind kind;
	bool blocks; /* it could not be opened again without */
	struct bytebuf buffer;
	size_t begin;
	uint64_t written;
};

static int split_address(struct cat_output *output, const char *address)
{
	const char *colon = strrchr(address, ':'), *host = address;
	size_t size;

	if (strncmp(address, "unix:", 5) == 0) {
		output->path = address + 5;
		return output->path[0] == '\0' ? -EINVAL : 0;
	}
	if (!colon || colon == address || colon[1] == '\0')
		return -EINVAL;
	size = (size_t)(colon - address);
	/* [::1]:9000 */
	if (size > 2 && host[0] == '[' && host[size - 1] == ']') {
		host++;
		size -= 2;
	}
	output->host = strndup(host, size);
	output->port = strdup(colon + 1);
	return output->host && output->port ? 0 : -ENOMEM;
}

int cat_output_new(struct cat_output **ret, const char *address)
{
	_cleanup_(cat_output_free_p) struct cat_output *output = calloc(1, sizeof(*output));
	int r;

	if (!output)
		return -ENOMEM;
	output->fd = -1;
	output->address = address;
	r = address ? split_address(output, address) : 0;
	if (r < 0)
		return r;
	*ret = TAKE_PTR(output);
	return 0;
}

struct cat_output *cat_output_free(struct cat_output *output)
{
	if (!output)
		return NULL;
	cat_output_close(output);
	bytebuf_free(&output->buffer);
	free(output->host);
	free(output->port);
	free(output);
	return NULL;
}

const char *cat_output_name(const struct cat_output *output)
{
	return output->address ?: "standard output";
}

bool cat_output_is_peer(const struct cat_output *output)
{
	return output->address;
}

int cat_output_fd(const struct cat_output *output)
{
	return output->kind == KIND_FILE ? -1 : output->fd;
}

bool cat_output_is_open(const struct cat_output *output)
{
	return output->fd >= 0;
}

void cat_output_close(struct cat_output *output)
{
	if (output->fd > STDERR_FILENO)
		close(output->fd);
	output->fd = -1;
	output->begin = output->buffer.size = 0;
	output->written = 0;
}

/* A line that a killed writer left incomplete would spoil the next one. It comes again whole. */
static int remove_cut_line(int fd, off_t size)
{
	_cleanup_free_ char *tail = NULL;
	size_t length = size > TAIL_MAX ? TAIL_MAX : (size_t)size, cut = 0;
	_cleanup_close_ int file = open("/proc/self/fd/1", O_RDONLY | O_CLOEXEC);

	if (size == 0 || file < 0)
		return 0;
	tail = malloc(length);
	if (!tail)
		return -ENOMEM;
	if (pread(file, tail, length, size - (off_t)length) != (ssize_t)length)
		return -EIO;
	while (cut < length && tail[length - 1 - cut] != '\n')
		cut++;
	if (cut == 0)
		return 0;
	if ((cut < length || (off_t)length == size) && tail[length - cut] == '{')
		return ftruncate(fd, size - (off_t)cut) < 0 ? -errno : 0;
	return write(fd, "\n", 1) == 1 ? 0 : -errno;
}

/* The flag O_NONBLOCK is the open file's, which others have as well (open(2)): so it is opened once more. */
static int open_stdout(struct cat_output *output)
{
	struct stat status;
	int flags = fcntl(STDOUT_FILENO, F_GETFL), fd;

	if (fstat(STDOUT_FILENO, &status) < 0 || flags < 0)
		return -errno;
	output->kind = S_ISREG(status.st_mode)	  ? KIND_FILE
		       : S_ISFIFO(status.st_mode) ? KIND_PIPE
		       : S_ISSOCK(status.st_mode) ? KIND_SOCKET
						  : KIND_OTHER;
	output->fd = STDOUT_FILENO;
	if (output->kind == KIND_FILE)
		return flags & O_APPEND ? remove_cut_line(STDOUT_FILENO, status.st_size) : 0;
	if (output->kind == KIND_SOCKET)
		return 0;
	fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	output->blocks = fd < 0;
	if (fd >= 0)
		output->fd = fd;
	return 0;
}

/* -EINTR: a signal waits that is blocked at other times. */
static int wait_connected(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
	struct timespec timeout = { .tv_sec = CONNECT_MS / 1000 };
	socklen_t size = sizeof(int);
	sigset_t none;
	int error, n;

	sigemptyset(&none);
	n = ppoll(&poll_fd, 1, &timeout, &none);
	if (n <= 0)
		return n < 0 ? -errno : -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		return -errno;
	return -error;
}

static int connect_to(int family, const struct sockaddr *address, socklen_t size)
{
	_cleanup_close_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return -errno;
	if (connect(fd, address, size) < 0) {
		if (errno != EINPROGRESS)
			return -errno;
		r = wait_connected(fd);
		if (r < 0)
			return r;
	}
	return TAKE_FD(fd);
}

static int connect_unix(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	return connect_to(AF_UNIX, (const struct sockaddr *)&address, sizeof(address));
}

static int connect_tcp(const char *host, const char *port, const char **ret_reason)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG }, *found;
	int r = getaddrinfo(host, port, &hints, &found), fd = -EADDRNOTAVAIL, on = 1, idle = SILENT_MS / 1000;
	unsigned silent = SILENT_MS;

	if (r != 0) {
		*ret_reason = gai_strerror(r);
		return -EHOSTUNREACH;
	}
	for (const struct addrinfo *info = found; info && fd < 0 && fd != -EINTR; info = info->ai_next)
		fd = connect_to(info->ai_family, info->ai_addr, info->ai_addrlen);
	freeaddrinfo(found);
	if (fd < 0)
		return fd;
	/* tcp(7): a machine that vanished is noticed, with and without data on the way. */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silent, sizeof(silent));
	return fd;
}

int cat_output_open(struct cat_output *output, const char **ret_reason)
{
	int fd;

	*ret_reason = NULL;
	if (!output->address)
		return open_stdout(output);
	fd = output->path ? connect_unix(output->path) : connect_tcp(output->host, output->port, ret_reason);
	if (fd < 0)
		return fd;
	output->fd = fd;
	output->kind = KIND_SOCKET;
	return 0;
}

int cat_output_add(struct cat_output *output, struct bytes bytes)
{
	return bytebuf_add(&output->buffer, bytes);
}

size_t cat_output_waiting(const struct cat_output *output)
{
	return output->buffer.size - output->begin;
}

static ssize_t write_some(struct cat_output *output, const char *data, size_t size)
{
	struct pollfd poll_fd = { .fd = output->fd, .events = POLLOUT };

	if (output->kind == KIND_SOCKET)
		return send(output->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	/* pipe(7): where there is room at all, there is room for so much. */
	if (output->blocks && size > PIPE_BUF)
		size = PIPE_BUF;
	if (output->blocks && poll(&poll_fd, 1, 0) == 0) {
		errno = EAGAIN;
		return -1;
	}
	return write(output->fd, data, size);
}

int cat_output_write(struct cat_output *output)
{
	while (cat_output_waiting(output) > 0) {
		ssize_t n = write_some(output, output->buffer.data + output->begin, cat_output_waiting(output));

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		output->begin += (size_t)n;
		output->written += (uint64_t)n;
	}
	output->begin = 0;
	bytebuf_reset(&output->buffer, BUFFER_MAX);
	return 1;
}

uint64_t cat_output_written(const struct cat_output *output)
{
	return output->written;
}

/*
 * What is on its way is asked for first, then whether the reader is there: a Unix socket that is closed with unread
 * data throws it away, after it has reported to its peer (unix_release_sock() in net/unix/af_unix.c). SIOCOUTQ is
 * tcp(7); of a Unix socket it is memory, which is more than bytes.
 */
int cat_output_arrived(struct cat_output *output, uint64_t *ret)
{
	struct pollfd poll_fd = { .fd = output->fd };
	int waiting = 0;

	if (output->kind == KIND_SOCKET && ioctl(output->fd, SIOCOUTQ, &waiting) < 0)
		return -errno;
	if (output->kind == KIND_PIPE && ioctl(output->fd, FIONREAD, &waiting) < 0)
		return -errno;
	if (output->kind != KIND_FILE && poll(&poll_fd, 1, 0) > 0 && poll_fd.revents & (POLLERR | POLLHUP | POLLNVAL))
		return -EPIPE;
	*ret = (uint64_t)waiting < output->written ? output->written - (uint64_t)waiting : 0;
	return 0;
}

int cat_output_sync(struct cat_output *output)
{
	return output->kind == KIND_FILE && fdatasync(output->fd) < 0 ? -errno : 0;
}
