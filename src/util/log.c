/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One write(2) a message, so that lines of several writers do not mix; it never waits. */
#include "util/log.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/quote.h"

#define LINE_SIZE_MAX PIPE_BUF /* written at once to a pipe, or not at all (pipe(7)) */

static int max_level = LOG_INFO;
static bool to_journal;
static unsigned missed; /* messages dropped since the last that was written */

void log_set_level(int level)
{
	max_level = level;
}

void log_open(void)
{
	/* systemd.exec(5), $JOURNAL_STREAM: device and inode of the descriptor that leads to the
	 * journal. */
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;

	to_journal = stream && sscanf(stream, "%ju:%ju", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
		     device == (uintmax_t)st.st_dev && inode == (uintmax_t)st.st_ino;
}

/* Never waits: the reader of the messages may have stopped. False: it would have to wait. */
static bool put(const char *line, size_t size)
{
	struct pollfd pollfd = { .fd = STDERR_FILENO, .events = POLLOUT };
	ssize_t n = send(STDERR_FILENO, line, size, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno == ENOTSOCK) {
		if (poll(&pollfd, 1, 0) == 0)
			return false;
		n = write(STDERR_FILENO, line, size);
	}
	/* A failure cannot be logged. */
	return n >= 0 || errno != EAGAIN;
}

/* Our own text is UTF-8; bytes from outside can neither forge a line nor act on a terminal. */
static bool put_message(int level, const char *message)
{
	char line[LINE_SIZE_MAX];
	struct text text;
	size_t n = 0;

	if (to_journal)
		n = (size_t)snprintf(line, sizeof(line), "<%d>", level);
	text_begin(&text, line + n, sizeof(line) - n - 1);
	text_name(&text, bytes_of(message));
	n += text.used;
	line[n++] = '\n';
	return put(line, n);
}

void log_write(int level, const char *format, ...)
{
	char message[LINE_SIZE_MAX], before[64];
	int saved = errno;
	va_list args;

	if (level > max_level)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (missed > 0) {
		snprintf(before, sizeof(before), "%u messages were dropped because they were not read", missed);
		if (put_message(LOG_WARNING, before))
			missed = 0;
	}
	if (missed > 0 || !put_message(level, message))
		missed++;
	errno = saved;
}

void log_message(void *userdata, int level, const char *message)
{
	log_write(level, "%s", message);
}
