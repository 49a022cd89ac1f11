/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "running.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "ring.h"

struct running {
	int fd;		    /* of the iterator */
	struct ring *ring;  /* instead of fd: of the plain list */
	size_t held, given; /* bytes in records; of them, those that the last read gave. Of the plain list: records */
	struct record_running records[128];
};

static struct running *running_empty(void)
{
	struct running *running = calloc(1, sizeof(*running));

	if (running)
		running->fd = -1;
	return running;
}

int running_new(struct running **ret, const struct bpf_program *iterate)
{
	_cleanup_(running_free_p) struct running *running = running_empty();
	struct bpf_link *link;

	if (!running)
		return -ENOMEM;
	link = bpf_program__attach_iter(iterate, NULL);
	if (!link)
		return -errno;
	running->fd = bpf_iter_create(bpf_link__fd(link));
	bpf_link__destroy(link);
	if (running->fd < 0)
		return running->fd;
	*ret = TAKE_PTR(running);
	return 0;
}

static int to_nobody(void *userdata, const void *data, size_t size)
{
	(void)userdata;
	(void)data;
	(void)size;
	return 0;
}

int running_new_plain(struct running **ret, int program, int ring, size_t ring_size)
{
	_cleanup_(running_free_p) struct running *running = running_empty();
	LIBBPF_OPTS(bpf_test_run_opts, options);
	int r;

	if (!running)
		return -ENOMEM;
	r = ring_new(&running->ring, ring, ring_size);
	/* What one left that was given up. */
	if (r == 0)
		r = ring_consume(running->ring, UINT_MAX, to_nobody, NULL);
	if (r >= 0)
		r = bpf_prog_test_run_opts(program, &options);
	if (r < 0)
		return r;
	if (options.retval != 0)
		return -ENOSPC;
	*ret = TAKE_PTR(running);
	return 0;
}

struct running *running_free(struct running *running)
{
	if (!running)
		return NULL;
	if (running->fd >= 0)
		close(running->fd);
	ring_free(running->ring);
	free(running);
	return NULL;
}

static int to_records(void *userdata, const void *data, size_t size)
{
	struct running *running = userdata;

	if (size != sizeof(running->records[0]))
		return -EIO;
	memcpy(&running->records[running->held++], data, size);
	return 0;
}

static int read_list(struct running *running, const struct record_running **ret)
{
	running->held = 0;
	*ret = running->records;
	return ring_consume(running->ring, sizeof(running->records) / sizeof(running->records[0]), to_records, running);
}

int running_read(struct running *running, const struct record_running **ret)
{
	const size_t one = sizeof(running->records[0]);
	char *bytes = (char *)running->records;
	ssize_t n;

	if (running->ring)
		return read_list(running, ret);
	/* A read may end within a record. */
	running->held -= running->given;
	memmove(bytes, bytes + running->given, running->held);
	running->given = 0;
	while (running->held < one) {
		n = read(running->fd, bytes + running->held, sizeof(running->records) - running->held);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return n < 0 ? -errno : running->held == 0 ? 0 : -EIO;
		running->held += (size_t)n;
	}
	running->given = running->held / one * one;
	*ret = running->records;
	return (int)(running->held / one);
}
