/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A server with a pipeline before it, a real loop around it, and real sockets behind it. Clients never block; the loop
 * runs until it has nothing to do, and one that never gets there spins, which fails.
 */
#include "output/server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <yajl/yajl_tree.h>

#include "output/request.h"
#include "output/socket_file.h"
#include "output/subscriber.h"
#include "pipeline/pipeline.h"
#include "records.h"
#include "tap.h"
#include "util/utf8.h"

#define TEXT_MAX (16 << 20)

static char directory[64], path[80];
static struct settings *settings;
static struct pipeline *pipeline;
static struct server *server;
static sd_event *event;
static unsigned notes; /* of warnings and worse */
static char last_note[256];

/* What one client has read. */
static char *text;
static size_t size;
static bool ended;

static struct settings *settings_of(const char *socket)
{
	struct settings *ret;
	char ini[1024];
	int n = snprintf(ini, sizeof(ini), "[socket]\npath = %s\n%s%s%s", path,
			 strstr(socket, "group") ? "" : "group =\n",
			 strstr(socket, "per_user") ? "" : "per_user = 65536\n", socket);

	CHECK_INT(settings_parse(&ret, "test", ini, (size_t)n, NULL, NULL), 0);
	return ret;
}

/* The clock of the event loop, so much later; put in by the linker (--wrap). */
static uint64_t later_us;
__typeof__(sd_event_now) __real_sd_event_now, __wrap_sd_event_now;

int __wrap_sd_event_now(sd_event *e, clockid_t clock, uint64_t *ret)
{
	int r = __real_sd_event_now(e, clock, ret);

	*ret += later_us;
	return r;
}

static void on_note(void *userdata, int level, const char *message)
{
	CHECK(message[0] && !strchr(message, '\n'));
	if (level > 4)
		return;
	notes++;
	snprintf(last_note, sizeof(last_note), "%s", message);
}

static void on_stats(void *userdata, yajl_gen gen)
{
	yajl_gen_string(gen, (const unsigned char *)"own", 3);
	yajl_gen_integer(gen, 7);
}

static int try_begin(const char *socket, int listen_fd)
{
	struct pipeline_config config = { .kernel_threads = true, .args_limit = 1 << 20, .table_memory = 1 << 28 };
	struct server_config server_config = { .boot = 1, .stats = on_stats, .note = on_note };
	int r;

	settings = settings_of(socket);
	server_config.settings = settings;
	CHECK_INT(pipeline_new(&pipeline, &config), 0);
	pipeline_go_live(pipeline);
	CHECK(sd_event_new(&event) >= 0);
	r = server_new(&server, event, pipeline_table(pipeline), &server_config, listen_fd);
	if (r == 0)
		pipeline_add_sink(pipeline, server_sink(server));
	return r;
}

static void make_directory(void)
{
	strcpy(directory, "/tmp/test_server.XXXXXX");
	CHECK(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/sock", directory);
	text = malloc(TEXT_MAX);
	CHECK(text);
}

static void begin(const char *socket)
{
	make_directory();
	CHECK_INT(try_begin(socket, -1), 0);
}

static void end_server(void)
{
	server = server_free(server);
	pipeline = pipeline_free(pipeline);
	settings = settings_free(settings);
	event = sd_event_unref(event);
}

static void end(void)
{
	end_server();
	unlink(path);
	CHECK_INT(rmdir(directory), 0);
	free(text);
}

/* Until there is nothing to do; how many turns that were. */
static unsigned settle(void)
{
	for (unsigned turns = 0; turns < 200000; turns++) {
		int r = sd_event_run(event, 0);

		CHECK(r >= 0);
		if (r == 0)
			return turns;
	}
	CHECK(!"the loop spins");
	return 0;
}

static int new_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	return fd;
}

static int connect_at(int fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memcpy(address.sun_path, path, strlen(path) + 1);
	return connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
}

static int client(void)
{
	int fd = new_socket();

	CHECK_INT(connect_at(fd), 0);
	return fd;
}

static void ask(int fd, const char *request)
{
	CHECK_INT(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
}

/* What is there; true if there was something. */
static bool take_some(int fd)
{
	size_t before = size;
	ssize_t n;

	while ((n = recv(fd, text + size, TEXT_MAX - 1 - size, 0)) > 0)
		size += (size_t)n;
	if (n == 0)
		ended = true;
	else
		CHECK_INT(errno, EAGAIN);
	text[size] = '\0';
	return size > before;
}

/* All lines are whole JSON in UTF-8. */
static void check_lines(void)
{
	CHECK_INT(utf8_valid(text, size), size);
	for (char *at = text, *newline; at < text + size; at = newline + 1) {
		yajl_val tree;
		char error[256];

		newline = strchr(at, '\n');
		CHECK(newline);
		*newline = '\0';
		tree = yajl_tree_parse(at, error, sizeof(error));
		if (!YAJL_IS_OBJECT(tree))
			printf("# %.200s\n# %s\n", at, error);
		CHECK(YAJL_IS_OBJECT(tree));
		yajl_tree_free(tree);
		*newline = '\n';
	}
}

/* All that comes, with the loop running. */
static void take(int fd)
{
	size = 0;
	ended = false;
	do
		settle();
	while (take_some(fd));
	check_lines();
}

/* memmem: with the address sanitizer strstr measures the whole text each time. */
static unsigned count_of(const char *what)
{
	const char *end = text + strlen(text);
	unsigned n = 0;

	for (const char *at = text; (at = memmem(at, (size_t)(end - at), what, strlen(what))); at++)
		n++;
	return n;
}

/* The line that begins here, without its end. */
static const char *line_at(const char *at)
{
	static char line[1024];

	snprintf(line, sizeof(line), "%.*s", (int)strcspn(at, "\n"), at);
	return line;
}

static const char *last_line(void)
{
	size_t at = size - 1;

	CHECK(size > 0);
	while (at > 0 && text[at - 1] != '\n')
		at--;
	return line_at(text + at);
}

static void exec_with(unsigned pid, const char *arg)
{
	make_exec(pid, pid * 1000ull, pid * 1000ull + 1, arg, strlen(arg) + 1, 1);
	CHECK_INT(pipeline_record(pipeline, &record, record.head.size), 0);
}

static void exec_of(unsigned pid)
{
	exec_with(pid, "ls");
}

static void exit_of(unsigned pid)
{
	make_exit(pid, pid * 1000ull, pid * 1000ull + 2, 0);
	CHECK_INT(pipeline_record(pipeline, &record, record.head.size), 0);
}

static void execs(unsigned first, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		exec_of(first + i);
		if (i % 100 == 99)
			pipeline_flush(pipeline);
	}
	pipeline_flush(pipeline);
}

/* Their ends, so that the table is small again. */
static void exits(unsigned first, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		exit_of(first + i);
	pipeline_flush(pipeline);
}

static struct server_stats stats(void)
{
	struct server_stats ret;

	server_stats(server, &ret);
	return ret;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

TEST(new_connection_receives_snapshot_live_and_events)
{
	int fd;

	begin("");
	execs(1, 20);
	fd = client();
	take(fd);
	CHECK_INT(count_of("\"snapshot\":true"), 20);
	CHECK_INT(count_of("\n"), 21);
	CHECK(strstr(last_line(), "{\"type\":\"live\""));
	exec_of(100);
	exit_of(3);
	pipeline_flush(pipeline);
	take(fd);
	CHECK_INT(count_of("\n"), 2);
	CHECK_INT(count_of("\"type\":\"exited\""), 1);
	CHECK(!ended);
	end();
}

TEST(snapshot_larger_than_a_socket_is_made_as_it_is_read)
{
	struct server_stats s;
	int fd;

	begin("queue = 64K\n");
	execs(1, 5000);
	fd = client();
	settle();
	s = stats();
	CHECK(s.queue < 64 << 10); /* one portion */
	take(fd);
	CHECK_INT(count_of("\"snapshot\":true"), 5000);
	CHECK_INT(count_of("\"type\":\"live\""), 1);
	CHECK_INT(stats().lost, 0);
	end();
}

TEST(snapshot_with_a_filter_that_nothing_passes_takes_turns)
{
	int fd;

	begin("comm = nobody\n");
	execs(1, 20000);
	fd = client();
	settle(); /* accepts; then looks at 20000 in portions */
	size = 0;
	take_some(fd);
	CHECK_INT(count_of("\n"), 1);
	CHECK(strstr(text, "\"live\""));
	end();
}

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
	end();
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
	end();
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
				 "\"comm\":[\"\xe2\x82\xac*\"]}");
	CHECK_INT(count_of("\"type\":\"stats\""), 1);
	CHECK(strstr(text, "\"own\":7"));
	end();
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
	end();
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
	end();
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
	end();
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
	end();
}

TEST(one_turn_handles_few_requests)
{
	static char heap[1000 * 15 + 1];
	int fd, other;

	begin("snapshot = no\n");
	fd = client();
	other = client();
	settle();
	for (int i = 0; i < 1000; i++)
		strcpy(heap + i * 15, "{\"stats\":true}\n");
	ask(fd, heap);
	ask(other, "{\"stats\":true}\n");
	for (int turns = 0; turns < 4; turns++)
		CHECK(sd_event_run(event, 0) >= 0);
	size = 0;
	take_some(fd);
	CHECK(count_of("\n") >= 1 && count_of("\n") < 100);
	size = 0;
	take_some(other);
	CHECK_INT(count_of("\n"), 1);
	take(fd);
	CHECK(count_of("\n") > 900);
	end();
}

/* As many as it takes. */
static size_t flood(int fd, const char *request)
{
	size_t sent = 0;
	ssize_t n;

	for (int idle = 0; idle < 3; idle++) {
		while ((n = send(fd, request, strlen(request), MSG_NOSIGNAL)) > 0) {
			sent += (size_t)n;
			idle = 0;
		}
		CHECK_INT(errno, EAGAIN);
		settle();
	}
	return sent;
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
	end();
}

/* Each time it asks for another snapshot, what is queued goes before it: that must not free the queue for more. */
TEST(unread_snapshots_do_not_enlarge_the_queue)
{
	int fd;

	begin("queue = 64K\nsnapshot = no\n");
	execs(1, 1000);
	fd = client();
	settle();
	for (unsigned n = 0; n < 7; n++) {
		execs(10000 + n * 1000, 1000); /* far more than a queue and a socket */
		ask(fd, "{\"snapshot\":true,\"fields\":[\"pid\"]}\n");
		settle();
	}
	CHECK(stats().queue < 2 * (64 << 10));
	CHECK(stats().lost > 0);
	take(fd);
	CHECK_INT(count_of("\"type\":\"subscribed\""), 7);
	CHECK_INT(count_of("\"type\":\"live\""), 1);
	end();
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
	end();
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
	end();
}

TEST(loss_is_reported_exactly_in_its_place)
{
	unsigned long long next = 1, seq, count, first, last;
	const unsigned rounds = getenv("VALGRIND") ? 4 : 20;
	unsigned losses = 0;
	int fd;

	begin("snapshot = no\nqueue = 64K\nfields = seq\n");
	fd = client();
	settle();
	size = 0;
	for (unsigned n = 0; n < rounds; n++) {
		execs(1 + n * 20000, 20000);
		settle();
		take_some(fd);
		settle();
	}
	while (take_some(fd))
		settle();
	check_lines();
	for (const char *at = text; *at; at = strchr(at, '\n') + 1) {
		if (sscanf(at, "{\"type\":\"started\",\"seq\":%llu}", &seq) == 1) {
			CHECK_INT(seq, next);
			next = seq + 1;
			continue;
		}
		CHECK(sscanf(strstr(at, "\"count\""),
			     "\"count\":%llu,\"where\":\"subscriber\",\"first_seq\":%llu,\"last_seq\":%llu}", &count,
			     &first, &last) == 3);
		CHECK_INT(first, next);
		CHECK_INT(last - first + 1, count);
		next = last + 1;
		losses++;
	}
	CHECK_INT(next, rounds * 20000 + 1);
	CHECK(losses > 1);
	end();
}

TEST(slow_subscriber_is_disconnected_where_configured)
{
	int slow, fast;

	begin("snapshot = no\nqueue = 64K\nslow = disconnect\n");
	slow = client();
	fast = client();
	settle();
	for (unsigned n = 0; n < 100; n++) {
		execs(1 + n * 20, 20);
		take(fast);
		CHECK_INT(count_of("\n"), 20);
	}
	CHECK_INT(stats().subscribers, 1);
	size = 0;
	ended = false;
	take_some(slow);
	CHECK(ended && size > 0);
	CHECK(!strstr(text, "\"lost\""));
	end();
}

TEST(connection_above_the_limit_is_rejected_with_a_reason)
{
	int a, b, c;
	struct settings *more;

	begin("max_subscribers = 2\n");
	a = client();
	b = client();
	settle();
	c = client();
	ask(c, "{\"stats\":true}\n");
	take(c); /* fails on a reset */
	CHECK_STR(line_at(text),
		  "{\"type\":\"rejected\",\"reason\":\"there are as many subscribers as max_subscribers allows\"}");
	CHECK(ended);
	CHECK_INT(stats().refused, 1);
	close(a);
	settle();
	a = client();
	take(a);
	CHECK(!ended && strstr(text, "\"live\""));
	/* It may be changed; who is there stays. */
	more = settings_of("max_subscribers = 1\n");
	CHECK_INT(server_reload(server, more), 0);
	settings_free(settings);
	settings = more;
	c = client();
	take(c);
	CHECK(ended);
	CHECK_INT(stats().subscribers, 2);
	more = settings_of("max_subscribers = 3\n");
	CHECK_INT(server_reload(server, more), 0);
	settings_free(settings);
	settings = more;
	c = client();
	take(c);
	CHECK(!ended && strstr(text, "\"live\""));
	take(b);
	CHECK(!ended);
	end();
}

TEST(accepting_pauses_without_descriptors)
{
	struct rlimit limit, none;
	int clients[100], last;
	uint64_t began;

	begin("");
	for (int i = 0; i < 100; i++)
		clients[i] = new_socket();
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	last = clients[99];
	none.rlim_cur = (rlim_t)last + 1;
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (int i = 0; i < 100; i++)
		CHECK_INT(connect_at(clients[i]), 0);
	CHECK(settle() < 10);
	CHECK_INT(stats().accepted, 0);
	CHECK_INT(notes, 1);
	/* It tries again now and then, and does not say so each time. */
	began = now_ms();
	for (int turns = 0; now_ms() - began < 350; turns++) {
		CHECK(turns < 50);
		CHECK(sd_event_run(event, 100000) >= 0);
	}
	CHECK_INT(notes, 1);
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
	/* They are accepted in their order. 0 may also be a timer that woke a little too early. */
	began = now_ms();
	do {
		CHECK(sd_event_run(event, 1000000) >= 0 && now_ms() - began < 60000);
		take(clients[99]);
	} while (!strstr(text, "\"live\""));
	/* valgrind lets the kernel accept one, and then closes it, where the limit forbids it. */
	CHECK(stats().accepted == 100 || getenv("VALGRIND"));
	end();
}

TEST(queues_are_flushed_for_a_limited_time_at_the_end)
{
	char result[32] = "";
	int fd, stuck, report[2];
	uint64_t began;
	pid_t reader;

	begin("snapshot = no\n");
	fd = client();
	stuck = client();
	settle();
	execs(1, 3000);
	CHECK(stats().queue > 1000000 && stats().lost == 0);
	CHECK_INT(pipe(report), 0);
	reader = fork();
	if (reader == 0) {
		/* The server's end is the parent's alone, or there would be no end. */
		for (int i = 3; i < 1024; i++)
			if (i != fd && i != report[1])
				close(i);
		CHECK_INT(fcntl(fd, F_SETFL, 0), 0);
		size = 0;
		for (ssize_t n; (n = read(fd, text + size, 4096)) > 0;)
			size += (size_t)n;
		text[size] = '\0';
		dprintf(report[1], "%u", count_of("\n"));
		_exit(0);
	}
	close(fd);
	began = now_ms();
	server_drain(server, 500);
	CHECK(now_ms() - began >= 490 && now_ms() - began < 60000); /* for the one that is stuck */
	end_server();
	CHECK_INT(waitpid(reader, NULL, 0), reader);
	CHECK(read(report[0], result, sizeof(result) - 1) > 0);
	CHECK_STR(result, "3000");
	close(stuck);
	/* Nothing to wait for: no wait. */
	CHECK_INT(try_begin("snapshot = no\n", -1), 0);
	fd = client();
	settle();
	began = now_ms();
	server_drain(server, 30000);
	CHECK(now_ms() - began < 60000);
	close(fd);
	end();
}

static void reload(const char *socket, int result)
{
	struct settings *new = settings_of(socket);

	CHECK_INT(server_reload(server, new), result);
	if (result == 0) {
		settings_free(settings);
		settings = new;
	} else
		settings_free(new);
}

TEST(reload_applies_what_needs_no_restart)
{
	struct group *own = getgrgid(getgid());
	char lines[256];
	struct stat st;
	int plain, asked;

	begin("snapshot = no\n");
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0660);
	plain = client();
	asked = client();
	ask(asked, "{\"fields\":[\"pid\"]}\n");
	take(plain);
	take(asked);
	snprintf(lines, sizeof(lines), "mode = 0600\nfields = comm\ntypes = exited\ngroup = %s\n",
		 own ? own->gr_name : "");
	reload(lines, 0);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0600);
	CHECK_INT(st.st_gid, getgid());
	execs(1, 1);
	exits(1, 1);
	take(plain);
	CHECK_STR(text, "{\"type\":\"exited\",\"comm\":\"ls\"}\n");
	take(asked);
	CHECK_STR(text, "{\"type\":\"started\",\"pid\":1}\n{\"type\":\"exited\",\"pid\":1}\n");
	/* What cannot be changes nothing. */
	CHECK_INT(notes, 0);
	reload("group = no-such-group-here\nmode = 0666\nfields = pid\n", -ESRCH);
	CHECK_INT(notes, 1);
	CHECK_STR(last_note, "[socket]: group no-such-group-here does not exist");
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0600);
	execs(2, 1);
	exits(2, 1);
	take(plain);
	CHECK_STR(text, "{\"type\":\"exited\",\"comm\":\"ls\"}\n");
	/* A smaller queue: now it loses; disconnecting: now it ends. */
	reload("snapshot = no\nqueue = 64K\n", 0);
	execs(10000, 3000);
	CHECK(stats().lost > 0);
	take(plain);
	CHECK_INT(count_of("\"type\":\"lost\""), 1);
	reload("snapshot = no\nqueue = 64K\nslow = disconnect\n", 0);
	execs(20000, 3000);
	settle();
	CHECK_INT(stats().subscribers, 0);
	end();
}

static int listening(int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, path, strlen(path) + 1);
	CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	if (type == SOCK_STREAM)
		CHECK_INT(listen(fd, 0), 0);
	return fd;
}

TEST(socket_of_systemd_is_used_and_not_removed)
{
	struct stat st;
	int fd, listener;

	make_directory();
	listener = listening(SOCK_STREAM);
	CHECK_INT(chmod(path, 0644), 0);
	CHECK_INT(try_begin("", listener), 0);
	fd = client();
	take(fd);
	CHECK(strstr(text, "\"live\""));
	reload("mode = 0600\ngroup = no-such-group-here\n", 0); /* systemd's business */
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0644);
	end_server();
	CHECK_INT(fcntl(listener, F_GETFD), -1);
	CHECK_INT(stat(path, &st), 0);
	/* What cannot be used is the caller's still. */
	listener = open(directory, O_RDONLY | O_DIRECTORY);
	CHECK_INT(try_begin("", listener), -EPERM);
	CHECK(fcntl(listener, F_GETFD) >= 0);
	end();
}

TEST(stale_socket_is_replaced_and_no_other_file)
{
	char target[128];
	struct stat st, after;
	int other, fd;

	make_directory();
	/* Somebody listens, even if they have no time: from the second time on their backlog is full. */
	other = listening(SOCK_STREAM);
	CHECK_INT(stat(path, &st), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_INT(try_begin("", -1), -EADDRINUSE);
		end_server();
	}
	CHECK_INT(stat(path, &after), 0);
	CHECK_INT(after.st_ino, st.st_ino);
	/* Nobody any more. */
	close(other);
	CHECK_INT(try_begin("", -1), 0);
	fd = client();
	take(fd);
	CHECK(strstr(text, "\"live\""));
	end_server();
	CHECK_INT(stat(path, &st), -1);
	/* Other things. */
	other = listening(SOCK_DGRAM);
	CHECK(try_begin("", -1) < 0);
	end_server();
	close(other);
	CHECK_INT(unlink(path), 0);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	CHECK_INT(try_begin("", -1), -EEXIST);
	end_server();
	CHECK_INT(stat(path, &st), 0);
	unlink(path);
	snprintf(target, sizeof(target), "%s/nothing", directory);
	CHECK_INT(symlink(target, path), 0);
	CHECK_INT(try_begin("", -1), -EEXIST);
	end_server();
	CHECK_INT(lstat(path, &st), 0);
	CHECK(S_ISLNK(st.st_mode));
	unlink(path);
	end();
}

TEST(missing_group_admits_only_root_and_is_logged)
{
	struct group *own = getgrgid(getgid());
	struct stat st;
	char lines[128];

	begin("group = no-such-group-here\nmode = 0664\n");
	CHECK_INT(notes, 1);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0604);
	take(client());
	CHECK(strstr(text, "\"live\""));
	/* It is still not, and what else is new is in force. */
	reload("group = no-such-group-here\nmode = 0646\nfields = pid\n", 0);
	CHECK_INT(notes, 2);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0606);
	take(client());
	CHECK(strstr(text, "{\"type\":\"live\"}"));
	/* Once it is there. */
	CHECK(own);
	snprintf(lines, sizeof(lines), "group = %s\nmode = 0664\n", own->gr_name);
	reload(lines, 0);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0664);
	CHECK_INT(st.st_gid, getgid());
	end();
}

TEST(socket_file_of_another_daemon_is_kept)
{
	struct stat st;
	int other;

	begin("");
	CHECK_INT(unlink(path), 0);
	other = listening(SOCK_STREAM);
	CHECK_INT(chmod(path, 0640), 0);
	reload("mode = 0600\n", 0);
	CHECK_INT(notes, 1);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0640);
	end_server();
	CHECK_INT(stat(path, &st), 0);
	close(other);
	end();
}

TEST(text_survives_writes_that_end_within_a_character)
{
	static char arg[30001];
	size_t euros = 0;
	int fd;

	begin("snapshot = no\nfields = args\n");
	for (size_t i = 0; i < 10000; i++)
		memcpy(arg + 3 * i, "\xe2\x82\xac", 3);
	fd = client();
	settle();
	for (unsigned pid = 1; pid <= 100; pid++) {
		exec_with(pid, arg + 3 * (pid % 7));
		pipeline_flush(pipeline);
	}
	/* In odd portions, so that the server's writes end anywhere. */
	size = 0;
	for (size_t before = 1; size != before || settle() > 0;) {
		ssize_t n;

		before = size;
		for (int i = 0; i < 50 && (n = recv(fd, text + size, 997, 0)) > 0; i++)
			size += (size_t)n;
	}
	text[size] = '\0';
	check_lines();
	CHECK_INT(count_of("\n"), 100);
	euros = count_of("\xe2\x82\xac");
	for (unsigned pid = 1; pid <= 100; pid++)
		euros += pid % 7;
	CHECK_INT(euros, 1000000);
	end();
}

/* Each process of 1 .. count calls exec again, with so many bytes of arguments. */
static void exec_again(unsigned count, size_t args_size)
{
	static unsigned round = 1;
	char args[4096];

	round++;
	memset(args, 'a', sizeof(args));
	args[args_size - 1] = '\0';
	for (unsigned pid = 1; pid <= count; pid++) {
		make_exec(pid, pid * 1000ull, pid * 1000ull + round, args, args_size, 1);
		CHECK_INT(pipeline_record(pipeline, &record, record.head.size), 0);
	}
	pipeline_flush(pipeline);
}

static unsigned long long number_behind(const char *at, const char *key)
{
	unsigned long long ret = 0;
	const char *found = strstr(at, key);

	CHECK(found && sscanf(found + strlen(key), "%llu", &ret) == 1);
	return ret;
}

/* A stream that had a snapshot of `count` processes: what is not there is said in its place, and numbers have no silent gap. */
static void check_ended(unsigned count, unsigned long long last)
{
	unsigned long long expected = 0, missing = 0;
	bool live = false;

	for (char *at = text, *end; at < text + size; at = end + 1) {
		end = strchr(at, '\n');
		*end = '\0';
		if (strstr(at, "\"type\":\"live\"")) {
			CHECK(!live);
			live = true;
		} else if (!live && strstr(at, "\"type\":\"lost\"")) {
			CHECK(!strstr(at, "_seq") && strstr(at, "\"where\":\"subscriber\""));
			missing = number_behind(at, "\"count\":");
		} else if (!live) {
			CHECK(missing == 0 && strstr(at, "\"snapshot\":true"));
		} else if (strstr(at, "\"type\":\"lost\"")) {
			CHECK(expected == 0 || number_behind(at, "\"first_seq\":") == expected);
			expected = number_behind(at, "\"last_seq\":") + 1;
			CHECK_INT(expected - number_behind(at, "\"first_seq\":"), number_behind(at, "\"count\":"));
		} else {
			CHECK(!strstr(at, "\"exited\""));
			CHECK(expected == 0 || number_behind(at, "\"seq\":") == expected);
			expected = number_behind(at, "\"seq\":") + 1;
		}
		*end = '\n';
	}
	CHECK(live && missing > 0);
	CHECK_INT(count_of("\"snapshot\":true") + missing, count);
	CHECK_INT(expected, last + 1);
}

static size_t snapshots_take(void)
{
	return proctable_retained_bytes(pipeline_table(pipeline)) + subscriber_portions();
}

/* A client that the kernel says is of that user. */
static int client_of(uid_t uid)
{
	int fd;

	CHECK_INT(seteuid(uid), 0);
	fd = client();
	CHECK_INT(seteuid(0), 0);
	settle();
	return fd;
}

static bool is_refused(int fd, const char *reason)
{
	take(fd);
	if (!ended)
		return false;
	CHECK(strstr(text, "{\"type\":\"rejected\",\"reason\":\"") == text && strstr(text, reason));
	CHECK_INT(count_of("\n"), 1);
	return true;
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
	end();
}

TEST(one_user_cannot_take_all_connections)
{
	int first = -1, root;

	if (geteuid() != 0)
		return;
	begin("max_subscribers = 16\nper_user = 0\nmode = 0666\n");
	CHECK_INT(chmod(directory, 0755), 0);
	for (uid_t uid = 1000; uid < 1004; uid++) {
		for (int i = 0; i < 8; i++) {
			int fd = client_of(uid);

			CHECK_INT(is_refused(fd, "per_user"), i >= 4);
			if (first < 0)
				first = fd;
		}
	}
	CHECK_INT(stats().subscribers, 16);
	CHECK_INT(stats().refused, 16);
	CHECK(is_refused(client_of(1004), "max_subscribers"));
	/* Root has one of its own, and not all that it may ask for. */
	root = client_of(0);
	CHECK(!is_refused(root, ""));
	CHECK(is_refused(client_of(0), "max_subscribers"));
	close(root);
	close(first);
	settle();
	CHECK(!is_refused(client_of(1000), ""));
	CHECK(is_refused(client_of(1000), "per_user"));
	CHECK(!is_refused(client_of(0), ""));
	end();
}

/* By the mode and the group of the file, which may change while they are connected. */
TEST(reload_closes_connections_that_lost_access)
{
	struct group *daemon_group = getgrnam("daemon");
	int stays, goes, late;

	if (geteuid() != 0 || !daemon_group)
		return;
	begin("mode = 0666\nsnapshot = no\n");
	CHECK_INT(chmod(directory, 0755), 0);
	stays = client_of(0);
	goes = client_of(1000);
	/* Its group is ours: root's. */
	reload("mode = 0660\nsnapshot = no\ngroup = root\n", 0);
	settle();
	CHECK_INT(stats().subscribers, 2);
	CHECK_INT(notes, 0);
	reload("mode = 0660\nsnapshot = no\ngroup = daemon\n", 0);
	settle();
	CHECK_INT(stats().subscribers, 1);
	execs(1, 1);
	take(goes);
	CHECK(ended);
	CHECK_STR(text, "");
	take(stays);
	CHECK(!ended && strstr(text, "\"started\""));
	/* One that is in the group by another than its first. */
	CHECK_INT(setgroups(1, &daemon_group->gr_gid), 0);
	late = client_of(1000);
	CHECK_INT(setgroups(0, NULL), 0);
	reload("mode = 0660\nsnapshot = no\ngroup = daemon\n", 0);
	settle();
	CHECK_INT(stats().subscribers, 2);
	reload("mode = 0600\nsnapshot = no\ngroup = daemon\n", 0);
	settle();
	take(late);
	CHECK(ended);
	CHECK_INT(stats().subscribers, 1);
	end();
}

/* Of many daemons that start over a stale socket at once one has it, and its file is there. */
TEST(one_of_many_concurrent_starts_has_the_socket)
{
	make_directory();
	settings = settings_of("");
	for (int round = 0; round < 100; round++) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), gate[2], hold[2], status, fd;

		strcpy(address.sun_path, path);
		CHECK_INT(bind(stale, (struct sockaddr *)&address, sizeof(address)), 0);
		close(stale);
		CHECK_INT(pipe(gate), 0);
		CHECK_INT(pipe(hold), 0);
		for (size_t i = 0; i < 6; i++) {
			if (fork() == 0) {
				struct socket_file *listener;
				bool without_group;
				char c;
				int r;

				alarm(20);
				close(gate[1]);
				close(hold[1]);
				(void)!read(gate[0], &c, 1);
				r = socket_file_new(&listener, settings, &fd, &without_group);
				if (r < 0)
					_exit(r == -EADDRINUSE ? 1 : 2);
				/* Until all have tried. */
				(void)!read(hold[0], &c, 1);
				_exit(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address,
					      sizeof(address)) == 0
					      ? 0
					      : 3);
			}
		}
		close(gate[0]);
		close(gate[1]);
		close(hold[0]);
		/* The losers end by themselves; the one that has it waits for the end of `hold`. */
		for (int i = 0; i < 5; i++) {
			CHECK(waitpid(-1, &status, 0) > 0);
			CHECK_INT(status, 1 << 8);
		}
		close(hold[1]);
		CHECK(waitpid(-1, &status, 0) > 0);
		CHECK_INT(status, 0);
		unlink(path);
	}
	settings = settings_free(settings);
	CHECK_INT(rmdir(directory), 0);
	free(text);
}

TEST(stalled_connection_is_closed_for_a_new_one)
{
	int stuck, good, late;

	begin("max_subscribers = 2\nqueue = 64K\n");
	stuck = client();
	settle();
	good = client();
	take(good);
	execs(1, 1000);
	take(good);
	CHECK(stats().lost > 0);
	/* Not at once. */
	CHECK(is_refused(client(), "max_subscribers"));
	later_us = 61000000;
	execs(2000, 10);
	take(good);
	late = client();
	CHECK(!is_refused(late, ""));
	CHECK_INT(stats().subscribers, 2);
	take(stuck);
	CHECK(ended);
	take(good);
	CHECK(!ended);
	/* Nobody is stuck any more. */
	CHECK(is_refused(client(), "max_subscribers"));
	later_us = 0;
	end();
}

TEST(unread_snapshots_end_when_their_memory_is_used_up)
{
	int stalled[10], good, late;

	begin("snapshot_memory = 1M\nqueue = 1M\n");
	execs(1, 300);
	exec_again(300, 2000);
	good = client();
	take(good);
	for (unsigned i = 0; i < 10; i++) {
		stalled[i] = client();
		settle();
		exec_again(300, 2000);
		take(good);
		CHECK_INT(count_of("\"lost\""), 0);
		CHECK_INT(count_of("\"started\""), 300);
		CHECK(snapshots_take() <= (1 << 20) + (64 << 10));
	}
	CHECK(stats().snapshots_ended > 0 && stats().snapshots_ended < 10);
	/* Ends are told to nobody who may not know of the beginning. */
	late = client();
	take(late);
	CHECK_INT(count_of("\"snapshot\":true"), 300);
	CHECK_INT(count_of("\"lost\""), 0);
	exits(1, 300);
	take(late);
	CHECK_INT(count_of("\"exited\""), 300);
	/* The oldest ended, and can be read to the end; the newest are whole. */
	take(stalled[0]);
	check_ended(300, 12 * 300);
	take(stalled[9]);
	CHECK_INT(count_of("\"snapshot\":true"), 300);
	CHECK_INT(count_of("\"live\""), 1);
	/* Another one may begin, with the same connection. */
	execs(1000, 10);
	take(stalled[0]);
	ask(stalled[0], "{\"snapshot\":true}\n");
	take(stalled[0]);
	CHECK_INT(count_of("\"type\":\"started\""), 10);
	CHECK_INT(count_of("\"lost\""), 0);
	for (unsigned i = 0; i < 10; i++)
		close(stalled[i]);
	settle();
	CHECK_INT(snapshots_take(), 0);
	end();
}

TEST(large_lines_of_unread_snapshots_are_bounded)
{
	static char args[60000];
	int fds[30];

	begin("snapshot_memory = 1M\nqueue = 64K\n");
	memset(args, '\1', sizeof(args) - 1);
	/* Of 360,000 bytes each, as text. */
	for (unsigned pid = 1; pid <= 5; pid++)
		exec_with(pid, args);
	for (unsigned i = 0; i < 30; i++) {
		fds[i] = client();
		settle();
		CHECK(snapshots_take() <= 1 << 20);
		CHECK(line_memory() <= (1 << 20) + i * (64 << 10));
	}
	for (unsigned i = 0; i < 30; i++)
		close(fds[i]);
	/* A request that ends the snapshot does not take its lines out of the account. */
	for (unsigned i = 0; i < 30; i++) {
		fds[i] = client();
		settle();
		if (i == 29)
			break;
		send(fds[i], "{\"snapshot\":false}\n", 19, MSG_NOSIGNAL);
		settle();
		CHECK(line_memory() <= (1 << 20) + i * (64 << 10));
	}
	/* Where a line was out in part, its connection had to end. */
	CHECK(stats().subscribers < 30);
	take(fds[29]);
	CHECK_INT(count_of("\"snapshot\":true"), 5);
	CHECK_INT(count_of("\"live\""), 1);
	for (unsigned i = 0; i < 30; i++)
		close(fds[i]);
	end();
}

TEST(disconnecting_within_a_snapshot_leaks_nothing)
{
	int fd;

	begin("");
	execs(1, 5000);
	fd = client();
	settle();
	exits(1, 4000);
	CHECK(proctable_retained(pipeline_table(pipeline)) > 0);
	close(fd); /* with much unread: a reset */
	settle();
	CHECK_INT(stats().subscribers, 0);
	CHECK_INT(proctable_retained(pipeline_table(pipeline)), 0);
	/* Gone before it was accepted; and found to be gone by a write, not by the loop. */
	close(client());
	fd = client();
	settle();
	CHECK_INT(stats().subscribers, 1);
	take(fd);
	close(fd);
	execs(20000, 1);
	CHECK_INT(stats().subscribers, 0);
	/* It reads no more, but may still send. */
	fd = client();
	take(fd);
	shutdown(fd, SHUT_RD);
	execs(20001, 1);
	CHECK_INT(stats().subscribers, 0);
	settle();
	end();
}

static unsigned count_fds(void)
{
	DIR *fds = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(fds))
		n++;
	closedir(fds);
	return n;
}

/* A descriptor that nobody asked for. */
static void send_descriptor(int fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { (char[]){ '{' }, 1 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(int));
	CHECK_INT(sendmsg(fd, &message, MSG_NOSIGNAL), 1);
}

static void attack(unsigned kind, int fd)
{
	static char junk[70000];

	switch (kind) {
	case 0:
		return;
	case 1:
		flood(fd, "{\"stats\":true}\n");
		return;
	case 2:
		memset(junk, '[', sizeof(junk));
		send(fd, junk, sizeof(junk), MSG_NOSIGNAL);
		return;
	case 3:
		ask(fd, "{\"comm\":[\"a\",\"b\"],\"tree\":1,\"snapshot\":true}\n{\"tree\":[1,2]");
		return;
	case 4:
		send_descriptor(fd);
		return;
	case 5:
		send(fd, "{", 1, MSG_OOB | MSG_NOSIGNAL);
		ask(fd, "}\n");
		return;
	case 6:
		shutdown(fd, SHUT_WR);
		return;
	case 7:
		shutdown(fd, SHUT_RD);
		return;
	case 8:
		ask(fd, "nonsense\n{}\n");
		return;
	default:
		ask(fd, "{\"snapshot\":true}\n{\"snapshot\":true}\n{\"snapshot\":true}\n");
	}
}

static void attack_times(unsigned times)
{
	int kept[20];

	for (unsigned i = 0; i < 20; i++)
		kept[i] = -1;
	for (unsigned i = 0; i < times; i++) {
		int *fd = &kept[i * 7 % 20];

		if (*fd >= 0)
			close(*fd);
		*fd = client();
		if (i % 3 > 0)
			settle();
		attack(i % 10, *fd);
		if (i % 5 > 0)
			settle();
		if (i % 10 == 9) {
			execs(10000 + i, 5);
			exits(10000 + i, 5);
		}
	}
	for (unsigned i = 0; i < 20; i++)
		close(kept[i]);
	settle();
	CHECK_INT(stats().subscribers, 0);
}

TEST(two_thousand_hostile_connections_leak_nothing)
{
	size_t memory;
	unsigned fds;
	int good;

	begin("queue = 64K\n");
	execs(1, 300);
	attack_times(200);
	memory = mallinfo2().uordblks;
	fds = count_fds();
	attack_times(2000);
	CHECK_INT(count_fds(), fds);
	/* But for what malloc(3) keeps at hand of each size; a leak would be 16 bytes a connection at least. */
	CHECK(mallinfo2().uordblks <= memory + 16384);
	CHECK_INT(proctable_retained(pipeline_table(pipeline)), 0);
	CHECK_INT(stats().accepted, 2200);
	good = client();
	take(good);
	CHECK_INT(count_of("\"snapshot\":true"), 300);
	end();
}

TAP_MAIN
