/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A ring of references. It grows by doubling and shrinks when it is empty. Its limit is for the
 * memory of the lines and of the ring, since that is what a slow subscriber costs. A line is
 * charged to each queue that has it, since any of them may be the last.
 */
#include "output/line_queue.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "util/array.h"
#include "util/charge.h"
#include "util/pool.h"

#define BATCH 64 /* lines in one writev(2) */
#define CAPACITY_MIN 64

struct line_queue {
	struct line **lines; /* a ring of `capacity`, a power of two */
	size_t capacity, head, count;
	size_t written; /* bytes of the first line */
	size_t size;	/* bytes of text, not yet written */
	size_t held;	/* memory of the lines, and of a ring that has grown */
	size_t peak, limit;
	uint64_t total_written; /* bytes */
	uint64_t events, event_lines;
	size_t long_lines;
};

static size_t all_lines;

int line_new(struct line **ret, size_t size)
{
	struct line *line;

	if (size > SIZE_MAX - sizeof(*line))
		return -ENOMEM;
	line = pool_alloc(sizeof(*line) + size);
	if (!line)
		return -ENOMEM;
	line->refs = 1;
	line->number = 0;
	line->events = line->seq = 0;
	line->snapshot = false;
	line->whole = NULL;
	line->spans = 0;
	line->size = size;
	line->held = charge_of(sizeof(*line) + size);
	all_lines += line->held;
	*ret = line;
	return 0;
}

int line_new_cut(struct line **ret, struct line *whole, const struct span *spans, size_t n)
{
	const size_t size = n * sizeof(*spans);
	struct line *line;
	int r = line_new(&line, size);

	if (r < 0)
		return r;
	memcpy(line->data, spans, size);
	line->size = 0;
	for (size_t i = 0; i < n; i++)
		line->size += spans[i].size;
	line->whole = line_ref(whole);
	line->spans = n;
	line->held += whole->held;
	line->events = whole->events;
	line->seq = whole->seq;
	*ret = line;
	return 0;
}

struct line *line_ref(struct line *line)
{
	line->refs++;
	return line;
}

struct line *line_unref(struct line *line)
{
	if (line && --line->refs == 0) {
		size_t size = line->whole ? line->spans * sizeof(struct span) : line->size;

		all_lines -= line->held - (line->whole ? line->whole->held : 0);
		line_unref(line->whole);
		pool_free(line, sizeof(*line) + size);
	}
	return NULL;
}

size_t line_memory(void)
{
	return all_lines;
}

int line_queue_new(struct line_queue **ret, size_t limit)
{
	struct line_queue *queue = calloc(1, sizeof(*queue));

	if (!queue)
		return -ENOMEM;
	queue->limit = limit;
	*ret = queue;
	return 0;
}

static struct line **place(const struct line_queue *queue, size_t i)
{
	return &queue->lines[(queue->head + i) & (queue->capacity - 1)];
}

/* Memory of a ring. The smallest one, which every queue has, is not charged. */
static size_t lines_cost(size_t capacity)
{
	return capacity > CAPACITY_MIN ? charge_of(capacity * sizeof(struct line *)) : 0;
}

static size_t grown(const struct line_queue *queue)
{
	return queue->capacity ? queue->capacity * 2 : CAPACITY_MIN;
}

static void free_lines(const struct line_queue *queue)
{
	pool_free(queue->lines, queue->capacity * sizeof(struct line *));
}

struct line_queue *line_queue_free(struct line_queue *queue)
{
	if (!queue)
		return NULL;
	for (size_t i = 0; i < queue->count; i++)
		line_unref(*place(queue, i));
	free_lines(queue);
	free(queue);
	return NULL;
}

void line_queue_set_limit(struct line_queue *queue, size_t limit)
{
	queue->limit = limit;
}

static int grow(struct line_queue *queue)
{
	size_t capacity = grown(queue);
	struct line **lines = pool_alloc(capacity * sizeof(struct line *));

	if (!lines)
		return -ENOMEM;
	for (size_t i = 0; i < queue->count; i++)
		lines[i] = *place(queue, i);
	free_lines(queue);
	queue->held += lines_cost(capacity) - lines_cost(queue->capacity);
	queue->lines = lines;
	queue->capacity = capacity;
	queue->head = 0;
	return 0;
}

int line_queue_push_always(struct line_queue *queue, struct line *line)
{
	int r = queue->count == queue->capacity ? grow(queue) : 0;

	if (r < 0)
		return r;
	*place(queue, queue->count++) = line_ref(line);
	queue->size += line->size;
	queue->held += line->held;
	queue->events += line->events;
	queue->event_lines += line->events > 0;
	queue->long_lines += line->size > LINE_QUEUE_WRITE_MAX;
	if (queue->held > queue->peak)
		queue->peak = queue->held;
	return 0;
}

size_t line_queue_cost(const struct line_queue *queue, const struct line *line)
{
	if (queue->count < queue->capacity)
		return line->held;
	return line->held + lines_cost(grown(queue)) - lines_cost(queue->capacity);
}

int line_queue_push(struct line_queue *queue, struct line *line)
{
	if (queue->held > queue->limit || line_queue_cost(queue, line) > queue->limit - queue->held)
		return LINE_QUEUE_E_FULL;
	return line_queue_push_always(queue, line);
}

/* The queue drops its reference. */
static void release(struct line_queue *queue, struct line *line)
{
	queue->held -= line->held;
	queue->events -= line->events;
	queue->event_lines -= line->events > 0;
	queue->long_lines -= line->size > LINE_QUEUE_WRITE_MAX;
	line_unref(line);
}

/* Frees a ring that has grown, once it is empty. */
static void shrink(struct line_queue *queue)
{
	if (queue->count > 0 || queue->capacity <= CAPACITY_MIN)
		return;
	free_lines(queue);
	queue->held -= lines_cost(queue->capacity);
	queue->lines = NULL;
	queue->capacity = queue->head = 0;
}

/* `n` bytes have been written. */
static void consume(struct line_queue *queue, size_t n)
{
	queue->size -= n;
	n += queue->written;
	while (queue->count > 0 && n >= (*place(queue, 0))->size) {
		struct line *line = *place(queue, 0);

		n -= line->size;
		release(queue, line);
		queue->head = (queue->head + 1) & (queue->capacity - 1);
		queue->count--;
	}
	queue->written = n;
	shrink(queue);
}

int line_queue_move(struct line_queue *to, struct line_queue *from)
{
	ASSERT(from->written == 0 || to->count == 0);
	while (from->count > 0) {
		struct line *line = *place(from, 0);
		size_t written = from->written;
		int r = line_queue_push_always(to, line);

		if (r < 0)
			return r;
		to->size -= written;
		to->written += written;
		consume(from, line->size - written);
	}
	return 0;
}

size_t line_queue_drop_snapshot(struct line_queue *queue)
{
	size_t count = 0, dropped;

	for (size_t i = 0; i < queue->count; i++) {
		struct line *line = *place(queue, i);

		if (line->snapshot && (i > 0 || queue->written == 0)) {
			queue->size -= line->size;
			release(queue, line);
		} else
			*place(queue, count++) = line;
	}
	dropped = queue->count - count;
	queue->count = count;
	shrink(queue);
	return dropped;
}

void line_queue_clear(struct line_queue *queue)
{
	ASSERT(queue->written == 0);
	consume(queue, queue->size);
}

/* MSG_DONTWAIT instead of O_NONBLOCK: the open file description may be shared with processes that
 * rely on blocking. */
static ssize_t write_some(int fd, struct iovec *iov, int n)
{
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = (size_t)n };
	ssize_t done = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

	return done < 0 && errno == ENOTSOCK ? writev(fd, iov, n) : done;
}

/* Describes the text of a line after its first `skip` bytes, at most `max` bytes of it, by at most
 * `n` iovecs. Returns how many. */
static int gather_line(const struct line *line, size_t skip, size_t max, struct iovec *iov, int n)
{
	const struct span whole = { 0, line->size }, *spans = line->whole ? (const void *)line->data : &whole;
	const char *text = line->whole ? line->whole->data : line->data;
	int used = 0;

	for (size_t i = 0; i < (line->whole ? line->spans : 1) && used < n && max > 0; i++) {
		size_t size = spans[i].size;

		if (skip >= size) {
			skip -= size;
			continue;
		}
		size -= skip;
		if (size > max)
			size = max;
		iov[used++] = (struct iovec){ (void *)(text + spans[i].at + skip), size };
		max -= size;
		skip = 0;
	}
	return used;
}

/* Whole lines, or a part of one that is too long. */
static int gather(const struct line_queue *queue, struct iovec iov[static BATCH])
{
	size_t space = LINE_QUEUE_WRITE_MAX;
	int n = 0;

	for (size_t i = 0; n < BATCH && i < queue->count; i++) {
		struct line *line = *place(queue, i);
		size_t skip = i == 0 ? queue->written : 0, size = line->size - skip;

		/* A line of spans is longer than that. */
		if (i > 0 && (size > space || line->whole))
			break;
		n += gather_line(line, skip, space, iov + n, BATCH - n);
		if (size >= space)
			break;
		space -= size;
	}
	return n;
}

int line_queue_write(struct line_queue *queue, int fd, size_t max)
{
	size_t written = 0;

	while (queue->count > 0) {
		struct iovec iov[BATCH];
		ssize_t done = write_some(fd, iov, gather(queue, iov));

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return LINE_QUEUE_E_BLOCKED;
		if (done < 0)
			return -errno;
		consume(queue, (size_t)done);
		written += (size_t)done;
		queue->total_written += (size_t)done;
		if (queue->count > 0 && written >= max)
			return LINE_QUEUE_E_MORE;
	}
	return 0;
}

size_t line_queue_size(const struct line_queue *queue)
{
	return queue->size;
}

size_t line_queue_held(const struct line_queue *queue)
{
	return queue->held;
}

size_t line_queue_peak(const struct line_queue *queue)
{
	return queue->peak;
}

uint64_t line_queue_events(const struct line_queue *queue, uint64_t *ret_first)
{
	/* Lines without a number are few. */
	for (size_t i = 0; queue->events > 0 && i < queue->count; i++) {
		if ((*place(queue, i))->seq > 0) {
			*ret_first = (*place(queue, i))->seq;
			break;
		}
	}
	return queue->events;
}

uint64_t line_queue_event_lines(const struct line_queue *queue)
{
	return queue->event_lines;
}

bool line_queue_may_be_mid_line(const struct line_queue *queue)
{
	return queue->long_lines > 0 || queue->written > 0;
}

uint64_t line_queue_written(const struct line_queue *queue)
{
	return queue->total_written;
}

size_t line_queue_limit(const struct line_queue *queue)
{
	return queue->limit;
}

/* Archive. */

void line_set_clear(struct line_set *set)
{
	for (size_t i = 0; set->lines && i < set->count; i++)
		line_unref(set->lines[i]);
	free(set->lines);
	*set = (struct line_set){};
}

static int line_set_add(struct line_set *set, struct line *line)
{
	int r = ARRAY_RESERVE(set->lines, set->capacity, set->count + 1);

	if (r < 0)
		return r;
	set->lines[set->count++] = line_ref(line);
	return 0;
}

/* In an archive it is a line like any other, with text of its own. */
static void write_cut(const struct line *line, struct archive *a)
{
	_cleanup_free_ char *text = malloc(line->size);
	const struct span *spans = (const void *)line->data;
	struct bytes bytes = { text, line->size };
	size_t at = 0;

	if (!text) {
		archive_fail(a);
		return;
	}
	for (size_t i = 0; i < line->spans; i++) {
		memcpy(text + at, line->whole->data + spans[i].at, spans[i].size);
		at += spans[i].size;
	}
	archive_bytes(a, &bytes);
}

static void write_line(struct line *line, struct archive *a, struct line_set *set)
{
	struct bytes bytes = { line->data, line->size };

	ARCHIVE(a, line->number);
	if (line->number == 0) {
		line->number = (unsigned)++set->count;
		ARCHIVE(a, line->events);
		ARCHIVE(a, line->seq);
		archive_flag(a, &line->snapshot);
		if (line->whole)
			write_cut(line, a);
		else
			archive_bytes(a, &bytes);
	}
}

/* *ret: a reference of the caller's. */
static int read_line(struct line **ret, struct archive *a, struct line_set *set)
{
	_cleanup_(line_unref_p) struct line *line = NULL;
	struct bytes bytes = {};
	uint64_t events, seq;
	unsigned number;
	bool snapshot = false;
	int r;

	ARCHIVE(a, number);
	if (number > set->count)
		archive_fail(a);
	if (archive_error(a) == 0 && number > 0) {
		*ret = line_ref(set->lines[number - 1]);
		return 0;
	}
	ARCHIVE(a, events);
	ARCHIVE(a, seq);
	archive_flag(a, &snapshot);
	archive_bytes(a, &bytes);
	if (bytes.size == 0)
		archive_fail(a);
	if (archive_error(a) < 0)
		return archive_error(a);
	r = line_new(&line, bytes.size);
	if (r < 0)
		return r;
	memcpy(line->data, bytes.data, bytes.size);
	line->events = events;
	line->seq = seq;
	line->snapshot = snapshot;
	r = line_set_add(set, line);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(line);
	return 0;
}

int line_archive(struct line **line, struct archive *a, struct line_set *set)
{
	if (archive_is_reading(a))
		return read_line(line, a, set);
	write_line(*line, a, set);
	return archive_error(a);
}

static int read_next(struct line_queue *queue, struct archive *a, struct line_set *set)
{
	_cleanup_(line_unref_p) struct line *line = NULL;
	int r = read_line(&line, a, set);

	return r < 0 ? r : line_queue_push_always(queue, line);
}

int line_queue_archive(struct line_queue *queue, struct archive *a, struct line_set *set)
{
	size_t count = queue->count, written = queue->written;

	ASSERT(!archive_is_reading(a) || count == 0);
	archive_count(a, &count, SIZE_MAX);
	ARCHIVE(a, written);
	for (size_t i = 0; i < count; i++) {
		int r = 0;

		if (archive_is_reading(a))
			r = read_next(queue, a, set);
		else
			write_line(*place(queue, i), a, set);
		if (r < 0)
			return r;
	}
	if (archive_is_reading(a) && written > 0) {
		if (queue->count == 0 || written >= (*place(queue, 0))->size) {
			archive_fail(a);
			return archive_error(a);
		}
		queue->written = written;
		queue->size -= written;
	}
	return archive_error(a);
}
