/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "output/line_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/socket.h>

#include "tap.h"
#include "util/clock.h"
#include "util/pool.h"

static int fds[2];
static struct line_queue *queue;

static void begin(void)
{
	int size = 4096;

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	CHECK_INT(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	CHECK_INT(line_queue_new(&queue, 1 << 20), 0);
}
SETUP(begin)

static void end(void)
{
	queue = line_queue_free(queue);
}
TEARDOWN(end)

static struct line *line(size_t size, int fill)
{
	struct line *l;

	CHECK_INT(line_new(&l, size), 0);
	memset(l->data, fill, size);
	l->data[size - 1] = '\n';
	return l;
}

/* Pushes a line of its own. */
static int push(struct line_queue *b, size_t size, int fill)
{
	_cleanup_(line_unref_p) struct line *l = line(size, fill);

	return line_queue_push(b, l);
}

/* Reads all that is there. */
static size_t take(char *to, size_t room)
{
	size_t n = 0;
	ssize_t r;

	while ((r = read(fds[1], to + n, room - n)) > 0)
		n += (size_t)r;
	return n;
}

TEST(lines_are_written_whole_and_in_order)
{
	static char got[1 << 20], wanted[1 << 20];
	size_t n = 0, w = 0;
	int r;

	for (int i = 0; i < 1000; i++) {
		size_t size = (size_t)(i * 37 % 900 + 1);

		CHECK_INT(push(queue, size, 'a' + i % 26), 0);
		memset(wanted + w, 'a' + i % 26, size);
		w += size;
		wanted[w - 1] = '\n';
	}
	CHECK_INT(line_queue_size(queue), w);
	CHECK(line_queue_held(queue) >= w && line_queue_peak(queue) == line_queue_held(queue));
	while ((r = line_queue_write(queue, fds[0], SIZE_MAX)) == LINE_QUEUE_E_BLOCKED) {
		size_t before = n;

		n += take(got + n, sizeof(got) - n);
		CHECK(n > before);
		CHECK_INT(line_queue_size(queue), w - n);
	}
	CHECK_INT(r, 0);
	n += take(got + n, sizeof(got) - n);
	CHECK_INT(n, w);
	CHECK(memcmp(got, wanted, w) == 0);
	CHECK(line_queue_is_empty(queue));
}

/* What malloc(3) says is in use. */
static size_t in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* With lines of that size, as many as its owner would add. */
static void fill(struct line_queue *b, size_t size)
{
	bool fits = true;

	while (fits) {
		_cleanup_(line_unref_p) struct line *l = line(size, 'a');

		fits = line_queue_held(b) + line_queue_cost(b, l) <= line_queue_limit(b);
		if (fits)
			CHECK_INT(line_queue_push(b, l), 0);
	}
}

TEST(size_matches_the_memory)
{
	static const size_t sizes[] = { 1, 20, 33, 900, 40000, 70000, 3000000 };
	size_t lines = line_memory();

	if (POOL_DISABLED || getenv("VALGRIND"))
		return; /* they have allocators of their own */
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t before, taken;
		struct line_queue *b;

		pool_trim(0);
		before = in_use();
		CHECK_INT(line_queue_new(&b, 4 << 20), 0);
		fill(b, sizes[i]);
		pool_trim(0);
		taken = in_use() - before;
		/* All but the first ring, the buffer itself and what malloc keeps is charged, and not much that is not
		 * there. */
		CHECK(taken <= line_queue_held(b) + 4096);
		CHECK(taken >= line_queue_held(b) / 10 * 9);
		CHECK(line_queue_held(b) <= 4 << 20);
		CHECK(line_memory() > lines && line_memory() - lines <= line_queue_held(b));
		line_queue_clear(b);
		CHECK_INT(line_queue_held(b), 0);
		CHECK_INT(line_memory(), lines);
		line_queue_free(b);
	}
}

TEST(line_is_shared_between_queues)
{
	struct line *l = line(10, 'x');
	struct line_queue *a, *b;

	CHECK_INT(line_queue_new(&a, 1000), 0);
	CHECK_INT(line_queue_new(&b, 1000), 0);
	CHECK_INT(line_queue_push(a, l), 0);
	CHECK_INT(line_queue_push(b, l), 0);
	CHECK_INT(l->refs, 3);
	line_unref(l);
	line_queue_free(a);
	CHECK_INT(l->refs, 1);
	line_queue_free(b);
}

TEST(one_turn_writes_a_bounded_amount)
{
	int size = 1 << 20;

	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	for (int i = 0; i < 200; i++)
		CHECK_INT(push(queue, 100, 'a'), 0);
	CHECK_INT(line_queue_write(queue, fds[0], 1), LINE_QUEUE_E_MORE);
	CHECK_INT(line_queue_size(queue), 20000 - 6400); /* one writev */
	CHECK_INT(line_queue_write(queue, fds[0], SIZE_MAX), 0);
}

TEST(closed_reader_is_an_error_without_sigpipe)
{
	close(fds[1]);
	CHECK_INT(push(queue, 10, 'a'), 0);
	CHECK_INT(line_queue_write(queue, fds[0], SIZE_MAX), -EPIPE);
}

TEST(pipes_are_written_too)
{
	char got[16];

	CHECK_INT(pipe2(fds, O_NONBLOCK), 0);
	CHECK_INT(push(queue, 10, 'a'), 0);
	CHECK_INT(line_queue_write(queue, fds[1], SIZE_MAX), 0);
	CHECK_INT(read(fds[0], got, sizeof(got)), 10);
}

TEST(write_may_end_anywhere)
{
	static char got[8192];
	struct line *l;
	size_t n = 0;

	CHECK_INT(pipe2(fds, O_NONBLOCK), 0);
	CHECK_INT(fcntl(fds[1], F_SETPIPE_SZ, 4096), 4096);
	CHECK_INT(line_new(&l, 6001), 0);
	for (size_t i = 0; i < 2000; i++)
		memcpy(l->data + 3 * i, "\xe2\x82\xac", 3);
	l->data[6000] = '\n';
	CHECK_INT(line_queue_push(queue, l), 0);
	CHECK_INT(line_queue_write(queue, fds[1], SIZE_MAX), LINE_QUEUE_E_BLOCKED);
	CHECK_INT(line_queue_size(queue), 6001 - 4096); /* within a character */
	CHECK_INT(line_queue_write(queue, fds[1], SIZE_MAX), LINE_QUEUE_E_BLOCKED);
	CHECK_INT(read(fds[0], got, 4096), 4096);
	CHECK_INT(line_queue_write(queue, fds[1], SIZE_MAX), 0);
	n = 4096 + (size_t)read(fds[0], got + 4096, 4096);
	CHECK_INT(n, 6001);
	CHECK(memcmp(got, l->data, n) == 0);
	CHECK_INT(l->refs, 1);
	line_unref(l);
}

TEST(dropped_lines_take_no_memory)
{
	struct line *l = line(10, 'x');

	line_queue_clear(queue);
	for (int i = 0; i < 100; i++)
		CHECK_INT(line_queue_push(queue, l), 0);
	line_queue_clear(queue);
	CHECK_INT(l->refs, 1);
	CHECK(line_queue_is_empty(queue));
	CHECK_INT(line_queue_push(queue, l), 0);
	CHECK_INT(line_queue_size(queue), 10);
	line_unref(l);
}

TEST(lines_of_one_queue_are_appended_to_another)
{
	static char got[32768];
	struct line_queue *to, *from;
	size_t n;

	CHECK_INT(line_queue_new(&to, 10), 0);
	CHECK_INT(line_queue_new(&from, SIZE_MAX), 0);
	/* Partly written, to an empty one. */
	for (int i = 0; i < 10; i++)
		CHECK_INT(push(from, 3000, '0' + i), 0);
	CHECK_INT(line_queue_write(from, fds[0], SIZE_MAX), LINE_QUEUE_E_BLOCKED);
	n = take(got, sizeof(got));
	CHECK(n > 0 && n < 30000);
	CHECK_INT(line_queue_move(to, from), 0);
	CHECK(line_queue_is_empty(from));
	CHECK_INT(line_queue_size(to), 30000 - n);
	CHECK_INT(push(from, 5, 'z'), 0);
	CHECK_INT(line_queue_move(to, from), 0);
	while (line_queue_write(to, fds[0], SIZE_MAX) == LINE_QUEUE_E_BLOCKED)
		n += take(got + n, sizeof(got) - n);
	n += take(got + n, sizeof(got) - n);
	CHECK_INT(n, 30005);
	for (size_t i = 0; i < 30000; i++)
		CHECK(got[i] == (i % 3000 == 2999 ? '\n' : '0' + (int)(i / 3000)));
	CHECK(memcmp(got + 30000, "zzzz\n", 5) == 0);
	line_queue_free(to);
	line_queue_free(from);
}

TEST(unix_socket_has_whole_lines_at_any_buffer_size)
{
	static char got[4 << 20];
	size_t n = 0, in_part = 0;
	int r;

	/* The size that it has by itself. */
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	for (int i = 0; i < 3000; i++)
		CHECK_INT(push(queue, (size_t)(i * 37 % 1900 + 1), 'x'), 0);
	CHECK_INT(push(queue, LINE_QUEUE_WRITE_MAX, 'y'), 0);
	CHECK(!line_queue_may_be_mid_line(queue));
	while ((r = line_queue_write(queue, fds[0], 1)) != 0) {
		CHECK(r == LINE_QUEUE_E_MORE || r == LINE_QUEUE_E_BLOCKED);
		n += take(got + n, sizeof(got) - n);
		CHECK(got[n - 1] == '\n');
	}
	/* One that is too long for that goes in pieces, and says so before the first is out. */
	CHECK_INT(push(queue, LINE_QUEUE_WRITE_MAX + 1, 'z'), 0);
	CHECK(line_queue_may_be_mid_line(queue));
	while ((r = line_queue_write(queue, fds[0], 1)) != 0) {
		n += take(got + n, sizeof(got) - n);
		in_part += got[n - 1] == 'z';
		CHECK(line_queue_may_be_mid_line(queue));
	}
	CHECK_INT(in_part, 1);
	CHECK(!line_queue_may_be_mid_line(queue));
}

TEST(partial_line_in_a_small_socket_is_detected)
{
	char got[32768];
	int r;

	CHECK_INT(push(queue, LINE_QUEUE_WRITE_MAX / 2, 'a'), 0);
	CHECK(!line_queue_may_be_mid_line(queue));
	CHECK_INT(line_queue_write(queue, fds[0], SIZE_MAX), LINE_QUEUE_E_BLOCKED);
	CHECK(line_queue_may_be_mid_line(queue));
	while ((r = line_queue_write(queue, fds[0], SIZE_MAX)) == LINE_QUEUE_E_BLOCKED)
		CHECK(take(got, sizeof(got)) > 0);
	CHECK_INT(r, 0);
	CHECK(!line_queue_may_be_mid_line(queue));
}

TEST(events_in_the_queue_are_counted)
{
	struct line *event = line(100, 'e'), *lost = line(100, 'l');
	uint64_t first = 77;

	event->events = 1;
	event->seq = 5;
	lost->events = 30;
	lost->seq = 6;
	CHECK_INT(push(queue, 10, 'a'), 0);
	CHECK_INT(line_queue_events(queue, &first), 0);
	CHECK_INT(first, 77);
	CHECK_INT(line_queue_push(queue, event), 0);
	CHECK_INT(line_queue_push(queue, lost), 0);
	CHECK_INT(line_queue_events(queue, &first), 31);
	CHECK_INT(first, 5);
	CHECK_INT(line_queue_write(queue, fds[0], SIZE_MAX), 0);
	CHECK_INT(line_queue_events(queue, &first), 0);
	line_unref(event);
	line_unref(lost);
}

/* It is asked for after each event. */
TEST(first_number_is_found_behind_many_lines_without_one)
{
	enum { COUNT = 200000, RETAINED = COUNT / 2 };
	struct line *none = line(10, 'n'), *one = line(10, '1');
	uint64_t first, last, began_us = clock_us(CLOCK_THREAD_CPUTIME_ID), pushed_us;
	struct line_queue *b;

	none->events = one->events = 1;
	one->seq = one->last_seq = 9;
	CHECK_INT(line_queue_new(&b, SIZE_MAX), 0);
	for (unsigned i = 0; i < COUNT; i++)
		CHECK_INT(line_queue_push(b, none), 0);
	CHECK_INT(line_queue_push(b, one), 0);
	line_queue_set_retains(b, true);
	pushed_us = clock_us(CLOCK_THREAD_CPUTIME_ID) - began_us;
	for (unsigned i = 0; i < COUNT; i++) {
		first = 0;
		if (i < RETAINED)
			line_queue_retain(b, 1);
		CHECK_INT(line_queue_events(b, &first), COUNT + 1 - (i < RETAINED ? i + 1 : RETAINED));
		CHECK_INT(first, 9);
		first = last = 7;
		line_queue_retained(b, &first, &last);
		CHECK(first == 0 && last == 0);
	}
	CHECK(clock_us(CLOCK_THREAD_CPUTIME_ID) - began_us < 50 * pushed_us);
	/* All that was not acknowledged comes again. */
	line_queue_rewind(b);
	CHECK_INT(line_queue_events(b, &first), COUNT + 1);
	CHECK_INT(first, 9);
	line_queue_retain(b, COUNT + 1);
	CHECK_INT(line_queue_retained(b, &first, &last), COUNT + 1);
	CHECK(first == 9 && last == 9);
	CHECK(line_queue_acknowledge(b, 9));
	CHECK_INT(line_queue_push(b, one), 0);
	CHECK_INT(line_queue_events(b, &first), 1);
	CHECK_INT(first, 9);
	line_unref(none);
	line_unref(one);
	line_queue_free(b);
}

TAP_MAIN
