/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A ring of references. It grows by doubling and shrinks when it is empty. Its limit is for the
 * memory of the lines and of the ring, since that is what a slow subscriber costs. A line is
 * charged to each queue that has it, since any of them may be the last.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "output/line_queue_internal.h"
#include "util/charge.h"
#include "util/pool.h"

#define BATCH 64 /* lines in one writev(2) */
#define CAPACITY_MIN 64

static size_t all_lines;

static void init_line(struct line *line, size_t size)
{
	line->refs = 1;
	line->number = 0;
	line->events = line->seq = line->last_seq = 0;
	line->snapshot = line->is_rest = false;
	line->whole = NULL;
	line->spans = 0;
	line->size = size;
	line->held = charge_of(sizeof(*line) + size);
	all_lines += line->held;
}

int line_new(struct line **ret, size_t size)
{
	struct line *line;

	if (size > SIZE_MAX - sizeof(*line))
		return -ENOMEM;
	line = pool_alloc(sizeof(*line) + size);
	if (!line)
		return -ENOMEM;
	init_line(line, size);
	*ret = line;
	return 0;
}

int line_take(struct line **ret, struct bytebuf *text)
{
	const size_t size = text->size;
	struct line *line = realloc(text->data, sizeof(*line) + size);

	if (!line)
		return -ENOMEM;
	memmove(line->data, line, size);
	*text = (struct bytebuf){};
	init_line(line, size);
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
	line->last_seq = whole->last_seq;
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
		line_unref(*line_queue_place(queue, i));
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
		lines[i] = *line_queue_place(queue, i);
	free_lines(queue);
	queue->held += lines_cost(capacity) - lines_cost(queue->capacity);
	queue->lines = lines;
	queue->capacity = capacity;
	queue->head = 0;
	return 0;
}

/* A crash in the middle of writing it leaves a part at the end of what the reader has. */
static bool is_mid_line(const struct line *line)
{
	return line->size > LINE_QUEUE_WRITE_MAX || line->is_rest;
}

/* The line is among those that are not written. */
static void count_unwritten(struct line_queue *queue, const struct line *line)
{
	queue->size += line->size;
	queue->events += line->events;
	queue->event_lines += line->events > 0;
	queue->mid_lines += is_mid_line(line);
}

/* Nor is it any more; what is written of it has left `size` already. */
static void uncount_unwritten(struct line_queue *queue, const struct line *line)
{
	queue->events -= line->events;
	queue->event_lines -= line->events > 0;
	queue->mid_lines -= is_mid_line(line);
}

int line_queue_push(struct line_queue *queue, struct line *line)
{
	int r = queue->count == queue->capacity ? grow(queue) : 0;

	if (r < 0)
		return r;
	*line_queue_place(queue, queue->count++) = line_ref(line);
	count_unwritten(queue, line);
	queue->held += line->held;
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

/* Drops the reference to the line at that place; the lines before it move up. */
static void remove_at(struct line_queue *queue, size_t i)
{
	struct line *line = *line_queue_place(queue, i);

	if (i < queue->retained) {
		queue->retained--;
		queue->retained_events -= line->events;
	} else {
		uncount_unwritten(queue, line);
	}
	queue->held -= line->held;
	line_unref(line);
	queue->retained_numbered -= queue->retained_numbered > i;
	queue->numbered -= queue->numbered > i;
	for (; i > 0; i--)
		*line_queue_place(queue, i) = *line_queue_place(queue, i - 1);
	queue->head = (queue->head + 1) & (queue->capacity - 1);
	queue->count--;
}

static void pass(struct line_queue *queue, const struct line *line)
{
	if (line->last_seq > 0)
		queue->passed_seq = line->last_seq;
}

/* The first line that was not written is. */
static void finish_line(struct line_queue *queue)
{
	struct line *line = *line_queue_place(queue, queue->retained);

	if (!queue->retains || line->events == 0) {
		pass(queue, line);
		remove_at(queue, queue->retained);
		return;
	}
	uncount_unwritten(queue, line);
	queue->retained++;
	queue->retained_events += line->events;
	if (line->last_seq > 0)
		queue->retained_last = line->last_seq;
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
	while (queue->count > queue->retained && n >= (*line_queue_place(queue, queue->retained))->size) {
		n -= (*line_queue_place(queue, queue->retained))->size;
		finish_line(queue);
	}
	queue->written = n;
	shrink(queue);
}

int line_queue_move(struct line_queue *to, struct line_queue *from)
{
	ASSERT(from->written == 0 || to->count == 0);
	ASSERT(from->retained == 0 && to->retained == 0);
	while (from->count > 0) {
		struct line *line = *line_queue_place(from, 0);
		size_t written = from->written;
		int r = line_queue_push(to, line);

		if (r < 0)
			return r;
		to->size -= written;
		to->written += written;
		from->size -= line->size - written;
		from->written = 0;
		remove_at(from, 0);
	}
	shrink(from);
	return 0;
}

/* Drops lines of one kind that are not written, not even in part. */
static size_t drop(struct line_queue *queue, bool (*is_dropped)(const struct line *line))
{
	size_t count = queue->retained, dropped;

	for (size_t i = queue->retained; i < queue->count; i++) {
		struct line *line = *line_queue_place(queue, i);

		if (is_dropped(line) && (i > queue->retained || queue->written == 0)) {
			queue->size -= line->size;
			queue->held -= line->held;
			uncount_unwritten(queue, line);
			line_unref(line);
		} else
			*line_queue_place(queue, count++) = line;
	}
	dropped = queue->count - count;
	queue->count = count;
	queue->numbered = 0;
	shrink(queue);
	return dropped;
}

static bool is_of_snapshot(const struct line *line)
{
	return line->snapshot;
}

size_t line_queue_drop_snapshot(struct line_queue *queue)
{
	return drop(queue, is_of_snapshot);
}

static bool is_no_event(const struct line *line)
{
	return line->events == 0;
}

void line_queue_drop_other(struct line_queue *queue)
{
	drop(queue, is_no_event);
}

void line_queue_clear(struct line_queue *queue)
{
	ASSERT(queue->written == 0);
	while (queue->count > 0)
		remove_at(queue, 0);
	queue->size = 0;
	shrink(queue);
}

/* Acknowledgement. */

void line_queue_set_retains(struct line_queue *queue, bool retains)
{
	queue->retains = retains;
	while (!retains && queue->retained > 0) {
		pass(queue, *line_queue_place(queue, 0));
		remove_at(queue, 0);
	}
	shrink(queue);
}

bool line_queue_retains(const struct line_queue *queue)
{
	return queue->retains;
}

bool line_queue_acknowledge(struct line_queue *queue, uint64_t seq)
{
	size_t n = 0;

	/* Nothing is stored. Lines without a number are not meant. */
	if (seq == 0)
		return false;
	/* By position: numbers need not grow. */
	while (n < queue->retained && (*line_queue_place(queue, n))->last_seq != seq)
		n++;
	if (n == queue->retained)
		return false;
	queue->passed_seq = seq;
	for (size_t i = 0; i <= n; i++)
		remove_at(queue, 0);
	shrink(queue);
	return true;
}

void line_queue_retain(struct line_queue *queue, size_t n)
{
	ASSERT(queue->written == 0 && n <= queue->count - queue->retained);
	for (; n > 0; n--)
		consume(queue, (*line_queue_place(queue, queue->retained))->size);
}

bool line_queue_is_mid_line(const struct line_queue *queue)
{
	return queue->written > 0 ||
	       (queue->count > queue->retained && (*line_queue_place(queue, queue->retained))->is_rest);
}

void line_queue_begin_line_again(struct line_queue *queue)
{
	queue->size += queue->written;
	queue->written = 0;
}

void line_queue_rewind(struct line_queue *queue)
{
	line_queue_begin_line_again(queue);
	for (size_t i = 0; i < queue->retained; i++)
		count_unwritten(queue, *line_queue_place(queue, i));
	queue->retained = queue->retained_numbered = queue->numbered = 0;
	queue->retained_events = 0;
}

/* The number of the first line with one from *at up to `end`; 0: there is none. *at is its place then. */
static uint64_t first_number(const struct line_queue *queue, size_t *at, size_t end)
{
	for (; *at < end; ++*at)
		if ((*line_queue_place(queue, *at))->seq > 0)
			return (*line_queue_place(queue, *at))->seq;
	return 0;
}

uint64_t line_queue_retained(struct line_queue *queue, uint64_t *ret_first, uint64_t *ret_last)
{
	if (queue->retained > 0) {
		*ret_first = first_number(queue, &queue->retained_numbered, queue->retained);
		*ret_last = *ret_first > 0 ? queue->retained_last : 0;
	}
	return queue->retained_events;
}

uint64_t line_queue_passed(const struct line_queue *queue)
{
	return queue->passed_seq;
}

void line_queue_set_passed(struct line_queue *queue, uint64_t seq)
{
	queue->passed_seq = seq;
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

int line_queue_rest(const struct line_queue *queue, struct line **ret)
{
	struct line *line = *line_queue_place(queue, queue->retained), *rest;
	size_t skip = queue->written, at = 0;
	struct iovec iov;
	int r = line_new(&rest, line->size - skip);

	if (r < 0)
		return r;
	for (; skip + at < line->size; at += iov.iov_len) {
		gather_line(line, skip + at, SIZE_MAX, &iov, 1);
		memcpy(rest->data + at, iov.iov_base, iov.iov_len);
	}
	rest->is_rest = true;
	*ret = rest;
	return 0;
}

/* Whole lines, or a part of one that is too long. */
static int gather(const struct line_queue *queue, struct iovec iov[static BATCH])
{
	size_t space = LINE_QUEUE_WRITE_MAX;
	int n = 0;

	for (size_t i = queue->retained; n < BATCH && i < queue->count; i++) {
		struct line *line = *line_queue_place(queue, i);
		size_t skip = i == queue->retained ? queue->written : 0, size = line->size - skip;

		/* A line of spans is longer than that. */
		if (i > queue->retained && (size > space || line->whole))
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

	while (queue->count > queue->retained) {
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
		if (queue->count > queue->retained && written >= max)
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

uint64_t line_queue_events(struct line_queue *queue, uint64_t *ret_first)
{
	uint64_t first = 0;

	if (queue->numbered < queue->retained)
		queue->numbered = queue->retained;
	if (queue->events > 0)
		first = first_number(queue, &queue->numbered, queue->count);
	if (first > 0)
		*ret_first = first;
	return queue->events;
}

uint64_t line_queue_event_lines(const struct line_queue *queue)
{
	return queue->event_lines;
}

bool line_queue_may_be_mid_line(const struct line_queue *queue)
{
	return queue->mid_lines > 0 || queue->written > 0;
}

uint64_t line_queue_written(const struct line_queue *queue)
{
	return queue->total_written;
}

size_t line_queue_limit(const struct line_queue *queue)
{
	return queue->limit;
}
