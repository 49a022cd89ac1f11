/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/command/http_request.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int http_read_head(int fd, char head[static HTTP_HEAD_MAX + 1], int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	long end = now_ms() + timeout_ms;
	size_t size = 0;

	for (;;) {
		long left = end - now_ms();
		ssize_t n;

		if (left <= 0 || poll(&poll_fd, 1, (int)left) == 0)
			return -ETIMEDOUT;
		n = read(fd, head + size, HTTP_HEAD_MAX - size);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (n == 0)
			return -ECONNRESET;
		size += n > 0 ? (size_t)n : 0;
		head[size] = '\0';
		if (memmem(head, size, "\r\n\r\n", 4) || memmem(head, size, "\n\n", 2))
			return 0;
		if (size == HTTP_HEAD_MAX)
			return -E2BIG;
	}
}

static int check_target(const char *method, const char *target, const char *version)
{
	if (!method || !target || !version || strncmp(version, "HTTP/1.", 7) != 0)
		return 400;
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return 405;
	/* The absolute form, RFC 9112, 3.2.2. */
	if (strncasecmp(target, "http://", 7) == 0)
		target = strchrnul(target + 7, '/');
	if (strncmp(target, "/metrics", 8) != 0 || !strchr("?", target[8]))
		return 404;
	return 200;
}

void http_parse_head(char *head, struct http_request *ret)
{
	char *lines, *words, *line = strtok_r(head, "\r\n", &lines), *method = NULL, *target = NULL, *version = NULL;

	*ret = (struct http_request){ 0 };
	if (line)
		method = strtok_r(line, " ", &words);
	if (method)
		target = strtok_r(NULL, " ", &words);
	if (target)
		version = strtok_r(NULL, " ", &words);
	ret->status = check_target(method, target, version);
	ret->head = method && strcmp(method, "HEAD") == 0;
	while ((line = strtok_r(NULL, "\r\n", &lines)))
		if (strncasecmp(line, "Accept:", 7) == 0 && strcasestr(line, "application/openmetrics-text"))
			ret->openmetrics = true;
}

const char *http_status_text(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 408:
		return "Request Timeout";
	case 431:
		return "Request Header Fields Too Large";
	case 503:
		return "Service Unavailable";
	default:
		return "Bad Request";
	}
}
