/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Subscriptions that outlive their connection, by one server; a restart and a crash are in tests/e2e/durable.py. */

#include "output/subscriber.h"
#include "records.h"
#include "server_fixture.h"
#include "util/clock.h"

static int fd;

static void begin_named(void)
{
	begin("snapshot = no\n");
}
SETUP(begin_named)

/* A connection that has sent a request, and read what came for it. */
static int asking(const char *request)
{
	int new = client();

	ask(new, request);
	take(new);
	return new;
}

static void leave(int connection)
{
	close(connection);
	settle();
}

static void ask_again(int connection, const char *request)
{
	ask(connection, request);
	take(connection);
}

/* The numbers of the events that were read, in order, are first to last; duplicates are an error. */
static void check_numbers(unsigned first, unsigned last)
{
	const char *at = text;
	unsigned next = first;

	while ((at = strstr(at, "\",\"seq\":")) || (at = NULL)) {
		CHECK_INT(strtoul(at + 8, NULL, 10), next);
		next++;
		at++;
	}
	CHECK_INT(next, last + 1);
}

TEST(name_continues_after_what_was_acknowledged)
{
	execs(1, 3);
	fd = asking("{\"name\":\"siem\",\"ack\":0}\n");
	CHECK_INT(count_of("\"name\":\"siem\",\"snapshot\":false"), 1);
	CHECK_INT(count_of("\"resumed\":false,\"stream\":\"0000000000000123\",\"last_seq\":3}"), 1);
	execs(10, 10);
	pipeline_flush(pipeline);
	take(fd);
	check_numbers(4, 13);
	ask_again(fd, "{\"ack\":7}\n");
	CHECK_INT(size, 0);
	leave(fd);
	execs(20, 5);
	fd = asking("{\"name\":\"siem\"}\n");
	CHECK_INT(count_of("\"resumed\":true,\"stream\":\"0000000000000123\",\"last_seq\":7}"), 1);
	check_numbers(8, 18);
	/* What it stored, it may say at once. */
	leave(fd);
	fd = asking("{\"name\":\"siem\",\"ack\":17}\n");
	CHECK_INT(count_of("\"last_seq\":17}"), 1);
	check_numbers(18, 18);
	/* Again is no error, nor is an older one; the last one ends it all. */
	ask_again(fd, "{\"ack\":17}\n{\"ack\":3}\n{\"ack\":18}\n");
	CHECK(!ended);
	leave(fd);
	fd = asking("{\"name\":\"siem\"}\n");
	CHECK_INT(count_of("\n"), 1);
}

/* The end of a process that is known from the snapshot alone has no number. */
TEST(reader_that_has_stored_nothing_gets_all_again)
{
	make_fork(1, 1000, 2, 2000);
	CHECK_INT(pipeline_record(pipeline, &record, record.head.size), 0);
	fd = asking("{\"name\":\"siem\",\"ack\":0,\"snapshot\":true}\n");
	CHECK_INT(count_of("\"type\":\"live\""), 1);
	execs(2, 3);
	make_exit(1, 1000, 5000, 0);
	CHECK_INT(pipeline_record(pipeline, &record, record.head.size), 0);
	execs(10, 3);
	pipeline_flush(pipeline);
	take(fd);
	for (unsigned i = 0; i < 3; i++) {
		CHECK_INT(count_of("\"type\":\"exited\""), 1);
		check_numbers(1, 6);
		leave(fd);
		fd = asking("{\"name\":\"siem\",\"ack\":0}\n");
	}
}

TEST(reader_without_acknowledgement_continues_after_what_was_written)
{
	fd = asking("{\"name\":\"siem\"}\n");
	execs(1, 10);
	pipeline_flush(pipeline);
	take(fd);
	check_numbers(1, 10);
	leave(fd);
	execs(20, 10);
	fd = asking("{\"name\":\"siem\"}\n");
	CHECK_INT(count_of("\"resumed\":true,\"stream\":\"0000000000000123\",\"last_seq\":10}"), 1);
	check_numbers(11, 20);
}

/* Events with so long a line that it is written in parts, until the socket takes no more. */
static void fill(unsigned first, unsigned count)
{
	char large[50000];

	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	for (unsigned i = 0; i < count; i++)
		exec_with(first + i, large);
	pipeline_flush(pipeline);
	settle();
}

/* What was written in part comes again as a whole, after the rest of what the new connection had in part. */
TEST(connection_may_end_within_a_line)
{
	fd = asking("{\"name\":\"siem\",\"ack\":0}\n");
	fill(1, 20);
	leave(fd);
	fd = client();
	settle();
	fill(21, 20);
	ask(fd, "{\"name\":\"siem\"}\n");
	take(fd);
	CHECK_INT(count_of("\"type\":\"subscribed\""), 1);
	/* Whole lines of the first stream, then all of the second one. */
	text[size] = '\0';
	CHECK(strstr(text, "\"seq\":21,") < strstr(text, "\"type\":\"subscribed\""));
	size -= (size_t)(strstr(text, "{\"type\":\"subscribed\"") - text);
	memmove(text, strstr(text, "{\"type\":\"subscribed\""), size + 1);
	check_numbers(1, 40);
}

TEST(queue_of_a_name_is_bounded_and_reports_its_loss)
{
	struct server_stats s;
	unsigned long long lost, first, last;
	const char *line;

	reload("snapshot = no\nqueue = 64K\nslow = disconnect\n", 0);
	fd = asking("{\"name\":\"siem\",\"ack\":0}\n");
	/* It reads all, and acknowledges nothing. */
	for (unsigned i = 0; i < 20; i++) {
		execs(1 + i * 100, 100);
		pipeline_flush(pipeline);
		settle();
		take(fd);
	}
	CHECK(!ended);
	s = stats();
	CHECK(s.queue <= 64 << 10 && s.lost > 1000);
	ask(fd, "{\"ack\":50}\n");
	take(fd);
	CHECK_INT(count_of("\"type\":\"lost\""), 0);
	leave(fd);
	fd = asking("{\"name\":\"siem\"}\n");
	line = strstr(text, "\"type\":\"lost\"");
	if (!line) {
		/* Not enough was acknowledged for the next to be queued. */
		CHECK(strstr(last_line(), "\"type\":\"started\""));
		last = strtoull(strstr(last_line(), "\"seq\":") + 6, NULL, 10);
		CHECK(last > 50);
		ask(fd, "{\"ack\":200}\n");
		size = 0;
		char more[64];

		snprintf(more, sizeof(more), "{\"ack\":%llu}\n", last);
		ask(fd, more);
		take(fd);
		line = strstr(text, "\"type\":\"lost\"");
		CHECK(line);
		first = strtoull(strstr(line, "\"first_seq\":") + 12, NULL, 10);
		CHECK_INT(first, last + 1);
		lost = strtoull(strstr(line, "\"count\":") + 8, NULL, 10);
		CHECK_INT(strtoull(strstr(line, "\"last_seq\":") + 11, NULL, 10), 2000);
		CHECK_INT(last + lost, 2000);
	}
}

TEST(new_subscription_of_a_name_replaces_the_old_one)
{
	fd = asking("{\"name\":\"siem\",\"fields\":[\"seq\"]}\n");
	leave(fd);
	execs(1, 2);
	fd = asking("{\"name\":\"siem\",\"fields\":[\"pid\"]}\n");
	CHECK_INT(count_of("\"fields\":[\"type\",\"pid\"]"), 1);
	CHECK_INT(count_of("{\"type\":\"started\",\"seq\":"), 2);
	exec_of(3);
	pipeline_flush(pipeline);
	take(fd);
	CHECK_STR(line_at(text), "{\"type\":\"started\",\"pid\":3}");
	/* On its own connection, without its name too. */
	ask_again(fd, "{\"fields\":[\"seq\"]}\n");
	CHECK_INT(count_of("\"name\":\"siem\""), 1);
	CHECK_INT(count_of("\"resumed\":true"), 1);
	leave(fd);
	exec_of(4);
	fd = asking("{\"name\":\"siem\",\"fields\":[\"seq\"]}\n");
	CHECK_STR(last_line(), "{\"type\":\"started\",\"seq\":4}");
}

TEST(newer_connection_takes_the_name)
{
	int old;

	old = asking("{\"name\":\"siem\",\"ack\":0}\n");
	execs(1, 5);
	pipeline_flush(pipeline);
	take(old);
	fd = asking("{\"name\":\"siem\"}\n");
	CHECK_INT(count_of("\"resumed\":true"), 1);
	check_numbers(1, 5);
	take(old);
	CHECK(ended);
}

TEST(forgotten_name_is_an_ordinary_subscription)
{
	int other;

	fd = asking("{\"name\":\"siem\",\"ack\":0}\n");
	execs(1, 5);
	pipeline_flush(pipeline);
	take(fd);
	other = asking("{\"forget\":\"siem\"}\n");
	CHECK_INT(count_of("{\"type\":\"forgotten\",\"name\":\"siem\"}\n"), 1);
	exec_of(6);
	pipeline_flush(pipeline);
	take(fd);
	check_numbers(6, 6);
	ask_again(fd, "{\"ack\":6}\n");
	CHECK_INT(count_of("\"type\":\"rejected\",\"reason\":\"ack: the subscription has no name\""), 1);
	leave(fd);
	/* Without a connection too; one that is not there is no error. */
	fd = asking("{\"name\":\"siem\"}\n");
	CHECK_INT(count_of("\"resumed\":false"), 1);
	leave(fd);
	ask_again(other, "{\"forget\":\"siem\"}\n{\"forget\":\"siem\"}\n{\"stats\":true}\n");
	CHECK_INT(count_of("\"type\":\"forgotten\""), 2);
	CHECK_INT(count_of("\"named\":[]"), 1);
}

TEST(rejected_request_leaves_the_name_without_a_connection)
{
	static const char *const bad[] = { "{\"ack\":99}\n", "nonsense\n", "{\"name\":\"other\"}\n" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fd = asking("{\"name\":\"siem\",\"ack\":0}\n");
		CHECK_INT(count_of(i > 0 ? "\"resumed\":true" : "\"resumed\":false"), 1);
		execs(1 + 10 * (unsigned)i, 5);
		ask_again(fd, bad[i]);
		CHECK_INT(count_of("\"type\":\"rejected\""), 1);
		CHECK(ended);
		leave(fd);
	}
	fd = asking("{\"name\":\"siem\"}\n");
	check_numbers(1, 15);
	ask_again(fd, "{\"stats\":true}\n");
	CHECK_INT(count_of("\"named\":[{\"name\":\"siem\",\"uid\":0,\"connected\":true,") +
			  count_of("\"named\":[{\"name\":\"siem\",\"uid\":"),
		  getuid() == 0 ? 2 : 1);
	CHECK_INT(count_of("\"unacknowledged\":15"), 1);
}

TEST(names_are_bounded)
{
	char request[64];

	reload("snapshot = no\nnamed = 4\n", 0);
	for (unsigned i = 0; i < 4; i++) {
		snprintf(request, sizeof(request), "{\"name\":\"n%u\"}\n", i);
		fd = asking(request);
		CHECK_INT(count_of(getuid() == 0 || i == 0 ? "\"resumed\":false" : "\"rejected\""), 1);
		leave(fd);
	}
	fd = asking("{\"name\":\"n9\"}\n");
	CHECK_INT(count_of("\"type\":\"rejected\",\"reason\":\"th"), 1);
	CHECK(ended);
	leave(fd);
	fd = asking("{\"name\":\"n0\"}\n");
	CHECK_INT(count_of("\"resumed\":true"), 1);
}

TEST(snapshot_of_a_name_is_not_repeated_but_its_loss_is_reported)
{
	execs(1, 5000);
	/* Nothing of it was read. */
	fd = client();
	ask(fd, "{\"name\":\"siem\",\"ack\":0,\"snapshot\":true}\n");
	settle();
	leave(fd);
	fd = asking("{\"name\":\"siem\",\"snapshot\":true}\n");
	CHECK_INT(count_of("\"snapshot\":true"), 0);
	CHECK_INT(count_of("\"type\":\"lost\""), 1);
	CHECK_INT(count_of("\"count\":5000,\"where\":\"subscriber\"}"), 1);
	leave(fd);
	/* It was stored. */
	fd = asking("{\"forget\":\"siem\"}\n");
	ask_again(fd, "{\"name\":\"siem\",\"ack\":0,\"snapshot\":true}\n");
	CHECK_INT(count_of("\"snapshot\":true,\"source\"") + count_of("\"snapshot\":true,\"id\""), 5000);
	CHECK_INT(count_of("\"type\":\"live\""), 1);
	ask_again(fd, "{\"ack\":5000}\n");
	leave(fd);
	fd = asking("{\"name\":\"siem\"}\n");
	CHECK_INT(count_of("\"type\":\"lost\""), 0);
	CHECK_INT(count_of("\n"), 1);
}

/* Not one byte of that rest has been written when the connection has to leave the name again. */
TEST(rest_of_a_line_is_sent_before_a_rejection)
{
	leave(asking("{\"name\":\"siem\",\"ack\":0}\n"));
	fd = client();
	settle();
	fill(1, 20);
	ask(fd, "{\"name\":\"siem\"}\n");
	settle();
	ask(fd, "{\"ack\":99}\n");
	take(fd);
	CHECK_INT(count_of("\n{\"type\":\"rejected\""), 1);
	CHECK(ended);
}

/* Each is looked for in all that is retained. */
TEST(acknowledgements_of_a_closed_connection_take_bounded_time)
{
	static char acks[1000 * 10 + 1];
	uint64_t began_us, events_us;

	reload("snapshot = no\nqueue = 64M\nfields = seq\n", 0);
	fd = asking("{\"name\":\"siem\",\"ack\":0}\n");
	began_us = clock_us(CLOCK_THREAD_CPUTIME_ID);
	for (unsigned i = 0; i < (unsigned)tap_rounds(400); i++) {
		execs(10 + i * 500, 500);
		take(fd);
	}
	events_us = clock_us(CLOCK_THREAD_CPUTIME_ID) - began_us;
	ask(fd, "{\"ack\":1}\n");
	take(fd);
	for (unsigned i = 0; i < 1000; i++)
		memcpy(acks + i * 10, "{\"ack\":1}\n", 10);
	ask(fd, acks);
	close(fd);
	began_us = clock_us(CLOCK_THREAD_CPUTIME_ID);
	settle();
	/* A part of what their events took: without a bound it is several times that. */
	CHECK(clock_us(CLOCK_THREAD_CPUTIME_ID) - began_us < events_us / 2);
	CHECK_INT(stats().subscribers, 0);
}

TEST(mark_counts_what_comes_again)
{
	fd = asking("{\"name\":\"siem\",\"ack\":0}\n");
	execs(1, 5);
	pipeline_flush(pipeline);
	take(fd);
	leave(fd);
	execs(10, 2);
	fd = asking("{\"name\":\"siem\",\"mark\":1}\n");
	check_numbers(1, 7);
	for (later_us = 0; count_of("\"type\":\"mark\"") == 0; later_us += 1000) {
		usleep(1000);
		take(fd);
		CHECK(later_us < 10000000);
	}
	later_us = 0;
	CHECK_INT(count_of("\"last_seq\":7,\"count\":7}"), 1);
}

TAP_MAIN
