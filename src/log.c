/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One write(2) a message, so that lines of several writers do not mix. */
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "quote.h"

#define MESSAGE_MOST 4096

static int max_level = LOG_INFO;
static bool to_journal;

void log_set_level(int level)
{
	max_level = level;
}

int log_level(void)
{
	return max_level;
}

void log_open(void)
{
	/* systemd.exec(5), $JOURNAL_STREAM: device and inode of the descriptor that leads to the journal. */
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;

	to_journal = stream && sscanf(stream, "%ju:%ju", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
		     device == (uintmax_t)st.st_dev && inode == (uintmax_t)st.st_ino;
}

void log_write(int level, const char *format, ...)
{
	char message[MESSAGE_MOST], line[MESSAGE_MOST + 32];
	int saved = errno;
	struct text text;
	va_list args;
	size_t n = 0;

	if (level > max_level)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (to_journal)
		n = (size_t)snprintf(line, sizeof(line), "<%d>", level);
	/* What comes from outside can neither forge a line nor act on a terminal. */
	text_begin(&text, line + n, sizeof(line) - n - 1);
	text_name(&text, bytes_of(message));
	n += text.used;
	line[n++] = '\n';
	/* There is nobody to tell that telling failed. */
	if (write(STDERR_FILENO, line, n) < 0)
		errno = saved;
	errno = saved;
}
