/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/task_list.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "kernel/ringbuf.h"

struct task_list {
	int fd;		      /* of the iterator */
	struct ringbuf *ring; /* instead of fd: of the fallback's list */
	size_t held, given;   /* bytes in records, and of them those that the last read gave; from a ring: records */
	struct record_running records[128];
};

int task_list_new_from(struct task_list **ret, int fd)
{
	struct task_list *tasks = calloc(1, sizeof(*tasks));

	if (!tasks) {
		close(fd);
		return -ENOMEM;
	}
	tasks->fd = fd;
	*ret = tasks;
	return 0;
}

int task_list_new(struct task_list **ret, const struct bpf_program *iterate)
{
	struct bpf_link *link = bpf_program__attach_iter(iterate, NULL);
	int fd;

	if (!link)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(link));
	bpf_link__destroy(link);
	return fd < 0 ? fd : task_list_new_from(ret, fd);
}

static int drop(void *userdata, const void *data, size_t size)
{
	return 0;
}

int task_list_new_fallback(struct task_list **ret, int program, int ring, size_t ring_size)
{
	_cleanup_(task_list_free_p) struct task_list *tasks = calloc(1, sizeof(*tasks));
	LIBBPF_OPTS(bpf_test_run_opts, options);
	int r;

	if (!tasks)
		return -ENOMEM;
	tasks->fd = -1;
	r = ringbuf_new(&tasks->ring, ring, ring_size);
	if (r < 0)
		return r;
	/* What remains of a list that was not read to its end. */
	r = ringbuf_consume(tasks->ring, UINT_MAX, drop, NULL);
	if (r < 0)
		return r;
	r = bpf_prog_test_run_opts(program, &options);
	if (r < 0)
		return r;
	if (options.retval != 0)
		return -ENOSPC;
	*ret = TAKE_PTR(tasks);
	return 0;
}

struct task_list *task_list_free(struct task_list *tasks)
{
	if (!tasks)
		return NULL;
	if (tasks->fd >= 0)
		close(tasks->fd);
	ringbuf_free(tasks->ring);
	free(tasks);
	return NULL;
}

static int to_records(void *userdata, const void *data, size_t size)
{
	struct task_list *tasks = userdata;

	if (size != sizeof(tasks->records[0]))
		return -EIO;
	memcpy(&tasks->records[tasks->held++], data, size);
	return 0;
}

static int read_list(struct task_list *tasks, const struct record_running **ret)
{
	tasks->held = 0;
	*ret = tasks->records;
	return ringbuf_consume(tasks->ring, sizeof(tasks->records) / sizeof(tasks->records[0]), to_records, tasks);
}

int task_list_read(struct task_list *tasks, const struct record_running **ret)
{
	const size_t one = sizeof(tasks->records[0]);
	char *bytes = (char *)tasks->records;
	ssize_t n;

	if (tasks->ring)
		return read_list(tasks, ret);
	/* A read may end within a record. */
	tasks->held -= tasks->given;
	memmove(bytes, bytes + tasks->given, tasks->held);
	tasks->given = 0;
	while (tasks->held < one) {
		n = read(tasks->fd, bytes + tasks->held, sizeof(tasks->records) - tasks->held);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return n < 0 ? -errno : tasks->held == 0 ? 0 : -EIO;
		tasks->held += (size_t)n;
	}
	tasks->given = tasks->held / one * one;
	*ret = tasks->records;
	return (int)(tasks->held / one);
}
