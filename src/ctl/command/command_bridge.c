/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Standard input and output are a connection to the daemon: the far end of -H. */
#include <poll.h>
#include <unistd.h>

#include "ctl/command/commands.h"

#define SIZE (1U << 16)

/* 1; 0: there is no more, or nothing can be written any more. */
static int copy(int from, int to)
{
	static char data[SIZE];
	ssize_t size = read(from, data, sizeof(data));

	for (ssize_t at = 0; at < size;) {
		ssize_t n = write(to, data + at, (size_t)(size - at));

		if (n <= 0)
			return 0;
		at += n;
	}
	return size > 0;
}

int command_bridge(struct options *options)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	int r = source_open_socket(&source, options->socket, NULL);

	if (r < 0)
		return options_status(r);
	for (;;) {
		struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN },
					{ .fd = source->fd, .events = POLLIN },
					{ .fd = STDOUT_FILENO } };

		if (poll(fds, 3, -1) < 0)
			return CTL_FAILED;
		if ((fds[0].revents && !copy(STDIN_FILENO, source->fd)) ||
		    (fds[1].revents && !copy(source->fd, STDOUT_FILENO)) || fds[2].revents)
			return CTL_OK;
	}
}
