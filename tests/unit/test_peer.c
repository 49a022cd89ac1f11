/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One connection: requests, replies, rejections. */
#include <malloc.h>
#include <sys/socket.h>

#include "output/request.h"
#include "output/subscriber.h"
#include "server_fixture.h"

TEST(half_closed_connection_keeps_its_stream)
{
	int fd;

	begin("snapshot = no\n");
	fd = client();
	ask(fd, "{\"comm\":\"ls\"}\n{\"stats\":true}"); /* the last line lacks its end */
	CHECK_INT(shutdown(fd, SHUT_WR), 0);
	take(fd);
	CHECK_INT(count_of("\"type\":\"subscribed\""), 1);
	CHECK_INT(count_of("\"type\":\"stats\""), 1);
	CHECK(!ended);
	execs(1, 3);
	take(fd);
	CHECK_INT(count_of("\"type\":\"started\""), 3);
	CHECK(!ended);
	/* Nothing to say either: it stays. */
	fd = client();
	shutdown(fd, SHUT_WR);
	take(fd);
	execs(5, 1);
	take(fd);
	CHECK_INT(count_of("\"type\":\"started\""), 1);
	CHECK(!ended);
	CHECK_INT(stats().subscribers, 2);
}

TEST(requests_before_a_half_close_are_all_answered)
{
	int fd;

	begin("snapshot = no\n");
	fd = client();
	for (int i = 0; i < 100; i++)
		ask(fd, "{\"stats\":true}\n");
	shutdown(fd, SHUT_WR);
	take(fd);
	CHECK_INT(count_of("\"type\":\"stats\""), 100);
	CHECK_INT(count_of("\n"), 100);
	CHECK(!ended);
}

TEST(requests_may_be_fragmented_anywhere)
{
	const char *request = "{\"comm\":\"\xe2\x82\xac*\",\"fields\":[\"pid\"]}\n{\"stats\":true}\n";
	int fd;

	begin("snapshot = no\n");
	fd = client();
	settle();
	for (const char *c = request; *c; c++) {
		CHECK_INT(send(fd, c, 1, 0), 1);
		settle();
	}
	take(fd);
	CHECK_STR(line_at(text), "{\"type\":\"subscribed\",\"snapshot\":false,\"fields\":[\"type\",\"pid\"],"
				 "\"comm\":[\"\xe2\x82\xac*\"],\"stream\":\"0000000000000123\",\"last_seq\":0}");
	CHECK_INT(count_of("\"type\":\"stats\""), 1);
	CHECK(strstr(text, "\"own\":7"));
}

/* A request of that many bytes, with its end. */
static char *request_of(size_t length)
{
	char *request = malloc(length + 1);

	memset(request, ' ', length);
	request[0] = '{';
	request[length - 2] = '}';
	request[length - 1] = '\n';
	request[length] = '\0';
	return request;
}

TEST(request_line_is_limited_to_64_KiB)
{
	_cleanup_free_ char *fits = request_of(REQUEST_LINE_MAX), *too_long = request_of(REQUEST_LINE_MAX + 1);
	int fd;

	begin("snapshot = no\n");
	fd = client();
	ask(fd, fits);
	ask(fd, fits);
	ask(fd, "{\"stats\":true}\n");
	take(fd);
	CHECK_INT(count_of("\"type\":\"subscribed\""), 2);
	CHECK_INT(count_of("\"type\":\"stats\""), 1);
	ask(fd, too_long);
	take(fd);
	CHECK_INT(count_of("\n"), 1);
	CHECK_STR(line_at(text), "{\"type\":\"rejected\",\"reason\":\"the line is longer than 64 KiB\"}");
	CHECK(ended);
	/* Unfinished, it is refused as soon as it cannot end well any more. */
	fd = client();
	settle();
	CHECK_INT(send(fd, too_long, REQUEST_LINE_MAX - 1, 0), REQUEST_LINE_MAX - 1);
	take(fd);
	CHECK(size == 0 && !ended);
	CHECK_INT(send(fd, " ", 1, 0), 1);
	take(fd);
	CHECK_INT(count_of("longer than 64 KiB"), 1);
	CHECK(ended);
	/* The end of the stream is an end as well. */
	fd = client();
	CHECK_INT(send(fd, fits, REQUEST_LINE_MAX - 1, 0), REQUEST_LINE_MAX - 1);
	shutdown(fd, SHUT_WR);
	take(fd);
	CHECK_INT(count_of("\"type\":\"subscribed\""), 1);
	CHECK(!ended);
}

TEST(invalid_request_is_rejected_and_the_connection_closed)
{
	static const char *const nonsense[] = {
		"\n",
		" \n",
		"hello\n",
		"[]\n",
		"{}{}\n",
		"{\"pid\":\"x\"}\n",
		"{\"stats\":true,\"pid\":1}\n",
		"{\"stats\":false}\n",
		"{\"pid\":1,\"pid\":2}\n",
		"{\"comm\":\"\xff\"}\n",
		"{} /* comment */\n",
		"[[[[[[[[[[\n",
	};

	begin("");
	execs(1, 3);
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		int fd = client();

		take(fd);
		CHECK(strstr(last_line(), "\"live\""));
		ask(fd, nonsense[i]);
		ask(fd, "{\"stats\":true}\n");
		take(fd); /* fails on a reset */
		CHECK_INT(count_of("\n"), 1);
		CHECK(strstr(text, "{\"type\":\"rejected\",\"reason\":\"") == text);
		CHECK(ended);
		close(fd);
	}
	settle();
	CHECK_INT(stats().subscribers, 0);
}

TEST(rejected_is_the_last_line_within_a_snapshot_too)
{
	int fd;

	begin("");
	execs(1, 5000);
	fd = client();
	settle();
	execs(10000, 3);
	ask(fd, "nonsense\n");
	take(fd);
	CHECK(count_of("\"snapshot\":true") < 5000 && count_of("\"snapshot\":true") > 0);
	CHECK_INT(count_of("\"live\""), 0);
	CHECK_INT(count_of("\"seq\""), 0);
	CHECK(strstr(last_line(), "{\"type\":\"rejected\"") == last_line());
	CHECK(ended);
}

TEST(rejected_connection_closes_without_being_read)
{
	uint64_t before = now_ms();
	int fd;

	begin("");
	execs(1, 5000);
	fd = client();
	settle();
	ask(fd, "nonsense\n");
	settle();
	CHECK_INT(stats().subscribers, 1);
	while (stats().subscribers > 0 && now_ms() - before < 60000)
		CHECK(sd_event_run(event, 60000000) >= 0);
	CHECK_INT(stats().subscribers, 0);
	take(fd); /* whatever was in the socket: whole lines but the last */
	CHECK(ended);
}

TEST(one_turn_handles_few_requests)
{
	static char heap[1000 * 15 + 1];
	unsigned count = 0;
	int fd, other;

	begin("snapshot = no\n");
	fd = client();
	other = client();
	settle();
	/* What they are sent at first. */
	take(fd);
	take(other);
	for (int i = 0; i < 1000; i++)
		strcpy(heap + i * 15, "{\"stats\":true}\n");
	ask(fd, heap);
	ask(other, "{\"stats\":true}\n");
	/* The other one has its turn when this one has used as much CPU time; the first turns may have taken long. */
	for (unsigned answered = 0, before = 0; answered == 0; before = count) {
		CHECK(sd_event_run(event, 0) > 0);
		size = 0;
		take_some(other);
		answered = count_of("\n");
		size = 0;
		take_some(fd);
		count = before + count_of("\n");
		/* A turn is one request, whose reply may come with the next. */
		CHECK(count - before <= 2);
		CHECK(answered <= 1 && count < 900);
	}
	take(fd);
	CHECK_INT(count + count_of("\n"), 1000);
}

TEST(requests_without_reading_take_bounded_memory)
{
	static const char *const requests[] = {
		"{\"stats\":true}\n",
		"{\"snapshot\":true}\n",
		"{\"args\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}\n",
	};
	struct server_stats s;

	begin("queue = 64K\n");
	execs(1, 1000);
	for (size_t i = 0; i < 3; i++) {
		int fd = client();
		size_t memory, sent;

		settle();
		flood(fd, requests[i]);
		memory = mallinfo2().uordblks;
		for (unsigned n = 0; n < 20; n++) {
			execs(10000 + n * 100, 100);
			exits(10000 + n * 100, 100);
			sent = flood(fd, requests[i]);
			CHECK_INT(sent, 0); /* it is not read either */
		}
		s = stats();
		CHECK(s.queue < 256 << 10);
		CHECK(mallinfo2().uordblks < memory + (300 << 10));
		close(fd);
		settle();
		CHECK_INT(stats().subscribers, 0);
		CHECK_INT(proctable_retained(pipeline_table(pipeline)), 0);
	}
}

TEST(subscription_replaces_the_snapshot_under_way)
{
	const char *subscribed;
	int fd;

	begin("");
	execs(1, 5000);
	fd = client();
	settle();
	ask(fd, "{\"types\":\"exited\"}\n");
	settle();
	execs(10000, 1);
	exits(10000, 1);
	take(fd);
	subscribed = strstr(text, "{\"type\":\"subscribed\"");
	CHECK(subscribed && count_of("\"snapshot\":true") < 5000);
	CHECK_INT(count_of("\"type\":\"live\""), 0);
	CHECK_INT(count_of("\"type\":\"exited\""), 1);
	CHECK(!strstr(subscribed, "\"started\""));
	/* With a snapshot of its own, whole, right behind the answer. */
	fd = client();
	settle();
	ask(fd, "{\"pid\":[4,5,6],\"snapshot\":true}\n");
	take(fd);
	subscribed = strstr(text, "{\"type\":\"subscribed\"");
	CHECK(subscribed);
	memmove(text, subscribed, strlen(subscribed) + 1);
	CHECK_INT(count_of("\n"), 5);
	CHECK_INT(count_of("\"snapshot\":true"), 4); /* and in the answer */
	CHECK(strstr(text, "\"pid\":4,") && strstr(text, "\"pid\":5,") && strstr(text, "\"pid\":6,"));
	CHECK_INT(count_of("\"type\":\"live\""), 1);
}

TEST(slow_subscriber_can_still_narrow_its_filter)
{
	const char *lost, *subscribed;
	unsigned long long count, first, last;
	int fd;

	begin("snapshot = no\nqueue = 64K\n");
	fd = client();
	settle();
	execs(1, 2000);
	CHECK(stats().lost > 0);
	ask(fd, "{\"pid\":5000}\n");
	settle();
	execs(4990, 20);
	take(fd);
	lost = strstr(text, "{\"type\":\"lost\"");
	subscribed = strstr(text, "{\"type\":\"subscribed\"");
	CHECK(lost && subscribed && lost < subscribed);
	CHECK(sscanf(strstr(lost, "\"count\""),
		     "\"count\":%llu,\"where\":\"subscriber\",\"first_seq\":%llu,\"last_seq\":%llu}", &count, &first,
		     &last) == 3);
	CHECK_INT(first + count - 1, 2000);
	CHECK_INT(last, 2000);
	memmove(text, subscribed, strlen(subscribed) + 1);
	CHECK_INT(count_of("\"type\":\"lost\""), 1); /* the one that it wanted found no room: nothing was read yet */
	CHECK_INT(count_of("\"type\":\"started\""), 0);
	CHECK(strstr(text, "\"count\":1,"));
	execs(5000, 1);
}

TEST(filter_as_large_as_the_queue_is_refused)
{
	static char request[50000] = "{\"args\":[";
	int fd;

	begin("queue = 64K\n");
	for (unsigned i = 0; i < 60; i++)
		sprintf(strchr(request, '\0'), "%s\"%u*[abc]?*\"", i ? "," : "", i);
	strcat(request, "]}\n");
	fd = client();
	take(fd);
	ask(fd, request);
	take(fd);
	CHECK(ended && strstr(text, "\"type\":\"rejected\",\"reason\":\"the filter takes more memory"));
}

TAP_MAIN
