/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A subscriber with a pipeline's encoder before it and a socket behind it. */
#include <errno.h>

#include "subscriber_fixture.h"

static void on_event(struct sink *sink, const struct event *event, struct encoder *encoder)
{
	if (subscriber)
		subscriber_event(subscriber, event, encoder);
}

static void begin(void)
{
	int small = 4096;

	begin_socket();
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
}
SETUP(begin)

static void join(size_t queue, bool snapshot, const char *comm)
{
	struct subscriber_config config = {
		.queue = queue,
		.keys = KEYS_ALL,
		.json = json,
		.stream = pipeline_stream(pipeline),
	};
	const char *reason;

	if (comm) {
		CHECK_INT(filter_new(&config.filter), 0);
		CHECK_INT(filter_add(config.filter, FILTER_COMM, bytes_of(comm), &reason), 0);
	}
	CHECK_INT(subscriber_new(&subscriber, fds[0], &config, pipeline_table(pipeline)), 0);
	CHECK_INT(subscriber_join(subscriber, snapshot), 0);
}

static void exec_of(unsigned pid)
{
	make_exec(pid, pid * 1000ull, pid * 1000ull + 1, "ls\0", 3, 1);
	feed();
}

static void exit_of(unsigned pid)
{
	make_exit(pid, pid * 1000ull, pid * 1000ull + 2, 0);
	feed();
}

static unsigned count_of(const char *what)
{
	unsigned n = 0;

	for (const char *at = text; (at = strstr(at, what)); at++)
		n++;
	return n;
}

TEST(snapshot_is_followed_by_live_and_events)
{
	for (unsigned pid = 1; pid <= 500; pid++)
		exec_of(pid);
	join(1 << 20, true, NULL);
	/* It happens while the snapshot is under way. */
	CHECK(subscriber_write(subscriber) > 0);
	exec_of(1000);
	exit_of(7);
	exit_of(8);
	exec_of(1001);
	exit_of(1001);
	take_all();
	CHECK_INT(count_of("\"snapshot\":true"), 500);
	CHECK_INT(count_of("\"type\":\"live\""), 1);
	CHECK_INT(count_of("\"type\":\"exited\""), 3);
	CHECK(strstr(text, "\"pid\":1000,") > strstr(text, "\"live\""));
	CHECK(strstr(text, "\"type\":\"exited\"") > strstr(text, "\"live\""));
	CHECK(!subscriber_has_output(subscriber));
	CHECK_INT(proctable_retained(pipeline_table(pipeline)), 0);
}

TEST(exited_is_sent_only_for_announced_processes)
{
	exec_of(1);
	join(1 << 20, false, NULL);
	exec_of(2);
	exit_of(1);
	exit_of(2);
	take_all();
	CHECK_INT(count_of("\"type\":\"exited\""), 1);
	CHECK(strstr(text, "\"pid\":2,") && !strstr(text, "\"pid\":1,"));
}

TEST(loss_is_counted_in_its_place)
{
	struct subscriber_stats stats;
	unsigned sent = 0, lost = 0;
	unsigned long long first, last;
	const char *at;

	join(20000, false, NULL);
	for (unsigned pid = 1; pid <= 300; pid++)
		exec_of(pid);
	subscriber_stats(subscriber, &stats);
	CHECK(stats.lost > 0 && stats.queue <= 20000);
	CHECK_INT(stats.events + stats.lost, 300);
	take_all();
	/* The subscriber recovers, and continues. */
	exec_of(1000);
	take_all();
	CHECK_INT(count_of("\"type\":\"lost\""), 1);
	at = strstr(text, "\"type\":\"lost\"");
	CHECK(sscanf(strstr(at, "\"count\""),
		     "\"count\":%u,\"where\":\"subscriber\",\"first_seq\":%llu,\"last_seq\":%llu}", &lost, &first,
		     &last) == 3);
	sent = count_of("\"type\":\"started\"");
	CHECK_INT(sent + lost, 301);
	CHECK_INT(last - first + 1, lost);
	CHECK_INT(first, stats.events + 1);
	/* What is before the loss came before it, what is after it later. */
	CHECK(!strstr(at, "\"seq\":1,") && strstr(at, "\"pid\":1000,"));
	CHECK(!strstr(text, "\"seq\":0"));
}

/* What the kernel lost is lost with the line that reports it: dropped by a full queue, or waiting at a crash. */
TEST(lost_of_the_kernel_that_is_lost_counts_with_all_its_events)
{
	static struct checkpoint_stream checkpoint;
	unsigned long long count, first, last;

	join(20000, false, NULL);
	subscriber_set_checkpoint(subscriber, &checkpoint);
	pipeline_loss(pipeline, 1000, 0, 0, 1);
	CHECK_INT(checkpoint.waiting, 1000);
	for (unsigned pid = 1; pid <= 300; pid++)
		exec_of(pid);
	pipeline_loss(pipeline, 3000, 0, 0, 1);
	CHECK_INT(checkpoint.waiting, 3000 + 300);
	take_all();
	CHECK_INT(count_of("\"where\":\"kernel\""), 1);
	CHECK(sscanf(strstr(text, "\"where\":\"subscriber\""),
		     "\"where\":\"subscriber\",\"first_seq\":%llu,\"last_seq\":%llu}", &first, &last) == 2);
	CHECK_INT(last, 302);
	count = strtoull(strstr(strstr(text, "\"where\":\"kernel\""), "\"count\":") + 8, NULL, 10);
	CHECK_INT(count, 2000 + last - first);
}

static void exec_with(unsigned pid, size_t args_size)
{
	static char args[48 << 10];

	memset(args, 'x', sizeof(args));
	args[args_size - 1] = '\0';
	make_exec(pid, pid * 1000ull, pid * 1000ull + 1, args, args_size, 1);
	feed();
}

TEST(line_larger_than_the_queue_is_lost_in_its_place)
{
	unsigned long long first, last;
	struct subscriber_stats stats;
	const char *at;

	join(20000, false, NULL);
	exec_of(1);
	take_all();
	exec_with(2, 40000);
	subscriber_stats(subscriber, &stats);
	CHECK_INT(stats.queue, 0);
	CHECK_INT(stats.lost, 1);
	/* It is reported though nothing else happens. */
	CHECK(subscriber_has_output(subscriber));
	take_all();
	at = strstr(text, "\"type\":\"lost\"");
	CHECK(at &&
	      sscanf(strstr(at, "\"count\""),
		     "\"count\":1,\"where\":\"subscriber\",\"first_seq\":%llu,\"last_seq\":%llu}", &first, &last) == 2);
	CHECK_INT(first, 2);
	CHECK_INT(last, 2);
	exec_with(3, 10000);
	take_all();
	CHECK(at < strstr(text, "\"seq\":3,") && !strstr(text, "\"seq\":2,"));
	CHECK_INT(count_of("\n"), 3);
	CHECK(!subscriber_has_output(subscriber));
}

TEST(small_lines_stay_within_the_memory_of_the_queue)
{
	struct subscriber_stats stats;

	join(1 << 20, false, NULL);
	CHECK_INT(subscriber_configure(subscriber, KEY_BIT(KEY_TYPE), NULL, true), 0);
	for (unsigned pid = 1; pid <= 40000; pid++)
		exec_of(pid);
	subscriber_stats(subscriber, &stats);
	CHECK(stats.lost > 0 && stats.queue <= 1 << 20);
	CHECK(line_memory() <= stats.queue && line_memory() > 512 << 10);
	take_all();
	CHECK_INT(count_of("\"started\"") + stats.lost, 40000);
}

TEST(slow_subscriber_can_be_disconnected)
{
	join(20000, false, NULL);
	subscriber_set_limits(subscriber, 20000, true);
	CHECK(!subscriber_is_too_slow(subscriber));
	for (unsigned pid = 1; pid <= 300; pid++)
		exec_of(pid);
	CHECK(subscriber_is_too_slow(subscriber) && subscriber_has_output(subscriber));
	CHECK_INT(subscriber_write(subscriber), SUBSCRIBER_E_SLOW);
}

/* It is disconnected at the next write. Before that the daemon may crash; and a name outlives the connection. */
TEST(events_for_a_subscriber_that_is_too_slow_are_counted_as_lost)
{
	static struct checkpoint_stream checkpoint;
	struct subscriber_stats stats;

	join(20000, false, NULL);
	subscriber_set_limits(subscriber, 20000, true);
	subscriber_set_checkpoint(subscriber, &checkpoint);
	for (unsigned pid = 1; pid <= 300; pid++)
		exec_of(pid);
	CHECK(subscriber_is_too_slow(subscriber));
	subscriber_stats(subscriber, &stats);
	CHECK_INT(stats.events + stats.lost, 300);
	CHECK_INT(checkpoint.waiting, 300);
	CHECK_INT(checkpoint.first_seq, 1);
	CHECK_INT(checkpoint.last_seq, 300);
	subscriber_detach(subscriber);
	CHECK(!subscriber_is_too_slow(subscriber));
	CHECK_INT(checkpoint.waiting, 300);
	CHECK_INT(checkpoint.last_seq, 300);
}

TEST(new_filter_ends_the_snapshot_or_applies_to_it)
{
	struct filter *filter;
	const char *reason;

	for (unsigned pid = 1; pid <= 500; pid++)
		exec_of(pid);
	join(1 << 20, true, NULL);
	CHECK(subscriber_write(subscriber) > 0);
	/* As a reload does: it continues. */
	CHECK_INT(subscriber_configure(subscriber, KEYS_BASIC, NULL, false), 0);
	take_all();
	CHECK_INT(count_of("\"type\":\"started\""), 500);
	CHECK(count_of("\"snapshot\":true") < 500);
	CHECK_INT(count_of("\"type\":\"live\""), 1);
	exit_of(3);
	take_all();
	CHECK_INT(count_of("\"type\":\"exited\""), 1);
	/* As a request does: it ends. */
	CHECK_INT(subscriber_join(subscriber, true), 0);
	CHECK(subscriber_write(subscriber) > 0);
	CHECK_INT(filter_new(&filter), 0);
	CHECK_INT(filter_add(filter, FILTER_COMM, BYTES("cat"), &reason), 0);
	CHECK_INT(subscriber_configure(subscriber, KEYS_ALL, filter, true), 0);
	exit_of(4);
	take_all();
	CHECK_INT(count_of("\"type\":\"live\""), 1);
	CHECK(count_of("\"type\":\"started\"") < 1000);
	CHECK_INT(count_of("\"type\":\"exited\""), 1);
	/* Everything again; but of what the filter left out, the end is not reported. */
	exec_of(700);
	CHECK_INT(subscriber_configure(subscriber, KEYS_ALL, NULL, true), 0);
	exit_of(700);
	exec_of(701);
	exit_of(701);
	size = 0;
	take_all();
	CHECK_INT(count_of("\"type\":\"exited\""), 1);
	CHECK(!strstr(text, "\"pid\":700,"));
}

static int reply_with(const char *what, int (*how)(struct subscriber *, struct line *))
{
	_cleanup_(line_unref_p) struct line *reply = NULL;

	CHECK_INT(line_new(&reply, strlen(what)), 0);
	memcpy(reply->data, what, strlen(what));
	return how(subscriber, reply);
}

TEST(reply_follows_earlier_lines)
{
	join(1 << 20, false, NULL);
	exec_of(1);
	CHECK_INT(reply_with("reply\n", subscriber_reply), 0);
	exec_of(2);
	take_all();
	CHECK(strstr(text, "\"pid\":1,") < strstr(text, "reply\n"));
	CHECK(strstr(text, "\"pid\":2,") > strstr(text, "reply\n"));
}

TEST(unwritten_replies_are_limited_in_number)
{
	for (unsigned pid = 1; pid <= 500; pid++)
		exec_of(pid);
	join(1 << 20, true, NULL);
	CHECK_INT(subscriber_write(subscriber), SUBSCRIBER_E_BLOCKED);
	for (unsigned round = 0; round < 3; round++) {
		for (int i = 0; i < SUBSCRIBER_REPLIES_MAX; i++) {
			CHECK(subscriber_takes_replies(subscriber));
			CHECK_INT(reply_with("reply\n", subscriber_reply), 0);
		}
		/* Only reading changes that. */
		CHECK(!subscriber_takes_replies(subscriber));
		exec_of(1000 + round);
		CHECK_INT(subscriber_write(subscriber), SUBSCRIBER_E_BLOCKED);
		CHECK(!subscriber_takes_replies(subscriber));
		take_all();
		CHECK(subscriber_takes_replies(subscriber));
		for (unsigned pid = 0; pid < 100; pid++)
			exec_of(2000 + round * 100 + pid);
		CHECK_INT(subscriber_write(subscriber), SUBSCRIBER_E_BLOCKED);
	}
	take_all();
	CHECK_INT(count_of("reply\n"), 3 * SUBSCRIBER_REPLIES_MAX);
}

TEST(unread_replies_are_bounded_in_memory)
{
	_cleanup_free_ char *large = calloc(1, 60001);
	struct subscriber_stats stats;

	memset(large, 'a', 60000);
	large[59999] = '\n';
	join(1 << 20, false, NULL);
	CHECK_INT(reply_with(large, subscriber_reply), 0);
	CHECK(subscriber_takes_replies(subscriber));
	CHECK_INT(reply_with(large, subscriber_reply), 0);
	CHECK(!subscriber_takes_replies(subscriber));
	subscriber_stats(subscriber, &stats);
	CHECK(stats.queue >= 120000);
	take_all();
	CHECK(subscriber_takes_replies(subscriber));
	subscriber_stats(subscriber, &stats);
	CHECK_INT(stats.queue, 0);
}

TEST(last_line_ends_the_stream)
{
	join(1 << 20, false, NULL);
	exec_of(1);
	CHECK_INT(reply_with("end\n", subscriber_finish), 0);
	exec_of(2);
	take_all();
	CHECK_INT(count_of("\n"), 2);
	CHECK(strstr(text, "\"pid\":1,") && strstr(text, "end\n") == text + size - 4);
	CHECK(!subscriber_has_output(subscriber));
}

TEST(last_line_follows_a_loss)
{
	join(20000, false, NULL);
	for (unsigned pid = 1; pid <= 300; pid++)
		exec_of(pid);
	CHECK_INT(reply_with("end\n", subscriber_finish), 0);
	take_all();
	CHECK_INT(count_of("\"type\":\"lost\""), 1);
	CHECK(strstr(text, "\"last_seq\":300}\nend\n") + strlen("\"last_seq\":300}\nend\n") == text + size);
}

TEST(last_line_ends_a_snapshot)
{
	for (unsigned pid = 1; pid <= 500; pid++)
		exec_of(pid);
	join(1 << 20, true, NULL);
	CHECK_INT(subscriber_write(subscriber), SUBSCRIBER_E_BLOCKED);
	exec_of(1000);
	exit_of(400);
	CHECK_INT(proctable_retained(pipeline_table(pipeline)), 1);
	CHECK_INT(reply_with("end\n", subscriber_finish), 0);
	CHECK_INT(proctable_retained(pipeline_table(pipeline)), 0);
	take_all();
	CHECK(count_of("\"snapshot\":true") > 0 && count_of("\"snapshot\":true") < 500);
	CHECK_INT(count_of("\"seq\""), 0);
	CHECK_INT(count_of("\"live\""), 0);
	CHECK(strstr(text, "end\n") == text + size - 4);
}

/* What was queued before a snapshot goes out before it, and is queue until then. */
TEST(snapshot_does_not_free_the_queue)
{
	struct subscriber_stats stats;
	unsigned long long count;

	join(20000, false, NULL);
	for (unsigned round = 0; round < 10; round++) {
		for (unsigned pid = 1; pid <= 100; pid++)
			exec_of(round * 100 + pid);
		CHECK_INT(subscriber_join(subscriber, true), 0);
		subscriber_stats(subscriber, &stats);
		CHECK(stats.queue <= 20000);
	}
	take_all();
	CHECK_INT(count_of("\"snapshot\":true"), 1000);
	CHECK_INT(count_of("\"type\":\"lost\""), 1);
	CHECK(sscanf(strstr(text, "\"count\""), "\"count\":%llu,", &count) == 1);
	CHECK_INT(count_of("\"seq\"") + count, 1000);
	/* It is out: the queue is free. */
	for (unsigned pid = 1; pid <= 20; pid++)
		exec_of(2000 + pid);
	size = 0;
	take_all();
	CHECK_INT(count_of("\"type\":\"started\""), 20);
}

TEST(snapshot_that_passes_nothing_takes_turns)
{
	unsigned turns = 0;
	int r;

	for (unsigned pid = 1; pid <= 10000; pid++)
		exec_of(pid);
	join(1 << 20, true, "nobody");
	for (; (r = subscriber_write(subscriber)) == SUBSCRIBER_E_MORE; turns++) {
		take();
		CHECK(size == 0 && subscriber_has_output(subscriber));
	}
	CHECK_INT(r, 0);
	CHECK_INT(turns, 2);
	take();
	CHECK_INT(count_of("\n"), 1);
}

TEST(closed_connection_is_an_error)
{
	join(1 << 20, true, NULL);
	close(fds[1]);
	CHECK_INT(subscriber_write(subscriber), -EPIPE);
}

/* A crash: another subscriber continues with the same socket, over a new table. */
TEST(lines_queued_at_a_crash_are_reported_lost)
{
	struct subscriber_config config = { .queue = 1 << 20, .keys = KEYS_ALL };
	static struct checkpoint_stream checkpoint;
	struct checkpoint_stream left;
	struct subscriber *dead;
	uint64_t sent;

	config.json = json;
	exec_of(1);
	join(20000, true, NULL);
	subscriber_set_checkpoint(subscriber, &checkpoint);
	take_all();
	CHECK_INT(checkpoint.waiting, 0);
	CHECK(checkpoint.joined && checkpoint.had_snapshot && !checkpoint.in_snapshot && checkpoint.joined_ns > 0);
	/* Some get out, some wait, some do not fit the queue. */
	for (unsigned pid = 2; pid <= 100; pid++)
		exec_of(pid);
	subscriber_write(subscriber);
	take();
	/* Behind the snapshot; the last line may be out in part. */
	sent = count_of("\n") - 2;
	CHECK(sent > 0 && sent < 99);
	CHECK_INT(checkpoint.waiting, 99 - sent);
	CHECK_INT(checkpoint.first_seq, 1 + sent + 1);
	CHECK_INT(checkpoint.last_seq, 100);
	/* One that continues from there, and dies at once, has nothing else to report. */
	left = checkpoint;
	CHECK_INT(subscriber_new(&dead, fds[0], &config, pipeline_table(pipeline)), 0);
	CHECK_INT(subscriber_resume(dead, &left), 0);
	subscriber_set_checkpoint(dead, &checkpoint);
	CHECK_INT(checkpoint.waiting, left.waiting);
	CHECK_INT(checkpoint.first_seq, left.first_seq);
	CHECK_INT(checkpoint.last_seq, left.last_seq);
	subscriber_free(dead);
	dead = subscriber;
	size = 0;
	CHECK_INT(subscriber_new(&subscriber, fds[0], &config, pipeline_table(pipeline)), 0);
	CHECK_INT(subscriber_resume(subscriber, &left), 0);
	exec_of(101);
	exit_of(1);
	take_all();
	CHECK_INT(count_of("\n"), 3);
	CHECK_INT(count_of("\"type\":\"lost\""), 1);
	CHECK_INT(count_of("\"snapshot\""), 0);
	CHECK_INT(count_of("\"type\":\"started\""), 1);
	CHECK_INT(count_of("\"type\":\"exited\""), 1);
	subscriber_free(dead);
}

/* Of a snapshot that ended, after events that are out. */
TEST(loss_without_a_number_gets_none_at_a_crash)
{
	static struct checkpoint_stream checkpoint;

	exec_of(1);
	join(20000, true, NULL);
	subscriber_set_checkpoint(subscriber, &checkpoint);
	exec_of(2);
	take_all();
	CHECK_INT(subscriber_join(subscriber, true), 0);
	subscriber_end_snapshot(subscriber);
	CHECK(checkpoint.waiting > 0);
	CHECK_INT(checkpoint.first_seq, 0);
	CHECK_INT(checkpoint.last_seq, 0);
}

/* The end of a process that is known from a snapshot alone has no number. It waits while a second snapshot ends. */
TEST(loss_without_a_number_gets_none_where_a_queue_is_dropped)
{
	static struct checkpoint_stream checkpoint;
	const char *second;

	make_fork(1, 1000, 2, 2000);
	feed();
	exec_of(2);
	join(20000, true, NULL);
	subscriber_set_checkpoint(subscriber, &checkpoint);
	exec_of(3);
	take_all();
	CHECK_INT(subscriber_join(subscriber, true), 0);
	exit_of(1);
	CHECK_INT(checkpoint.waiting, 1);
	size = 0;
	subscriber_end_snapshot(subscriber);
	take_all();
	CHECK_INT(count_of("\"type\":\"lost\""), 2);
	second = strstr(strstr(text, "\"type\":\"lost\"") + 1, "\"type\":\"lost\"");
	CHECK(strstr(second, "\"count\":1,"));
	CHECK_INT(count_of("first_seq"), 0);
	CHECK(!strstr(second, "last_seq"));
}

TEST(snapshot_under_way_at_a_crash_starts_again)
{
	struct checkpoint_stream left = { .joined = true, .had_snapshot = true, .in_snapshot = true };
	struct subscriber_config config = { .queue = 1 << 20, .keys = KEYS_ALL };

	config.json = json;
	for (unsigned pid = 1; pid <= 10; pid++)
		exec_of(pid);
	CHECK_INT(subscriber_new(&subscriber, fds[0], &config, pipeline_table(pipeline)), 0);
	CHECK_INT(subscriber_resume(subscriber, &left), 0);
	take_all();
	CHECK_INT(count_of("\"snapshot\":true"), 10);
	CHECK_INT(count_of("\"type\":\"live\""), 1);
	CHECK_INT(count_of("\n"), 11);
}

/* A filter that has to look at every byte of an argument once for each of its patterns. */
static struct filter *costly(unsigned patterns)
{
	struct filter *filter = NULL;
	const char *reason = "";
	char pattern[64];

	CHECK_INT(filter_new(&filter), 0);
	CHECK_INT(filter_add(filter, FILTER_ARGS, BYTES("*the-end*"), &reason), 0);
	for (unsigned i = 1; i < patterns; i++) {
		snprintf(pattern, sizeof(pattern), "*a%.*s?b*", (int)(i % 40),
			 "????????????????????????????????????????");
		CHECK_INT(filter_add(filter, FILTER_ARGS, bytes_of(pattern), &reason), 0);
	}
	return filter;
}

static struct process large_process(char *args, size_t args_size, uint32_t tgid, const char *last)
{
	size_t tail = strlen(last) + 1;

	memset(args, 'a', args_size);
	args[args_size - tail - 1] = '\0';
	memcpy(args + args_size - tail, last, tail);
	return (struct process){
		.tgid = tgid,
		.start = tgid,
		.comm = BYTES("large"),
		.image = { .args = { args, args_size }, .argc = 2, .args_size = args_size },
	};
}

TEST(costly_filter_loses_events_of_its_own_stream)
{
	static char args[1 << 20];
	struct process process = large_process(args, sizeof(args), 1, "the-end");
	struct event event = { .type = EVENT_STARTED, .seq = 7, .process = &process };
	static struct budget budget = { 0 };
	struct subscriber_config config = { .queue = 1 << 20, .keys = KEYS_ALL, .budget = &budget };
	struct subscriber *other;
	struct subscriber_stats stats;

	config.json = json;
	config.filter = costly(60);
	CHECK_INT(subscriber_new(&subscriber, fds[0], &config, pipeline_table(pipeline)), 0);
	CHECK_INT(subscriber_join(subscriber, false), 0);
	config.filter = NULL;
	CHECK_INT(subscriber_new(&other, fds[0], &config, pipeline_table(pipeline)), 0);
	CHECK_INT(subscriber_configure(other, KEYS_ALL, costly(1), true), 0);
	CHECK_INT(subscriber_join(other, false), 0);
	CHECK_INT(budget.users, 1);
	/* What the second wants it may have: no line is made here, so an event that it does not want. */
	memset(args + sizeof(args) - 9, 'a', 8);
	for (event.seq = 7; event.seq < 10; event.seq++) {
		subscriber_event(subscriber, &event, NULL);
		subscriber_event(other, &event, NULL);
		budget_turn(&budget, false);
	}
	subscriber_stats(other, &stats);
	CHECK_INT(stats.lost, 0);
	subscriber_stats(subscriber, &stats);
	CHECK_INT(stats.lost, 3);
	take_all();
	CHECK(strstr(text, "\"type\":\"lost\"") &&
	      strstr(text, "\"count\":3,\"where\":\"subscriber\",\"first_seq\":7,\"last_seq\":9"));
	/* What costs little it still has. */
	exec_of(5);
	CHECK_INT(subscriber_configure(subscriber, KEYS_ALL, NULL, true), 0);
	CHECK_INT(budget.users, 1);
	subscriber_free(other);
	CHECK_INT(budget.users, 0);
}

/* Each turn is short, and all of them together have all. */
TEST(snapshot_with_a_costly_filter_takes_turns)
{
	static char args[200000];
	struct subscriber_config config = { .queue = 1 << 20, .keys = KEY_BIT(KEY_TYPE) | KEY_BIT(KEY_PID) };
	static struct budget budget = { 0 };
	unsigned turns = 0;
	struct entry *entry;
	int r;

	config.json = json;
	config.filter = costly(40);
	config.budget = &budget;
	for (uint32_t tgid = 1; tgid <= 4; tgid++) {
		struct process process = large_process(args, sizeof(args), tgid, tgid % 2 ? "the-end" : "another");

		CHECK_INT(proctable_add(pipeline_table(pipeline), &entry, &process), 0);
	}
	CHECK_INT(subscriber_new(&subscriber, fds[0], &config, pipeline_table(pipeline)), 0);
	CHECK_INT(subscriber_join(subscriber, true), 0);
	while ((r = subscriber_write(subscriber)) > 0) {
		CHECK(r == SUBSCRIBER_E_MORE);
		take();
		/* Between two of them anything may happen to the process that it is at. */
		if (++turns == 4)
			proctable_remove(pipeline_table(pipeline), proctable_find(pipeline_table(pipeline), 2, 0));
	}
	take();
	CHECK_INT(r, 0);
	CHECK(turns >= 8 && turns <= 40);
	CHECK_INT(count_of("\"type\":\"started\""), 2);
	CHECK(strstr(text, "\"pid\":1}") && strstr(text, "\"pid\":3}"));
	CHECK_INT(count_of("\"type\":\"live\""), 1);
}

TAP_MAIN

/* The last number that comes after `key` in what was read. */
static unsigned long long last_number(const char *key)
{
	const char *found = NULL;

	for (const char *at = text; (at = strstr(at, key)); at++)
		found = at;
	CHECK(found);
	return strtoull(found + strlen(key), NULL, 10);
}

TEST(mark_counts_the_lines_of_events_before_it)
{
	exec_of(1);
	join(1 << 20, true, NULL);
	subscriber_mark(subscriber);
	take_all();
	CHECK_INT(count_of("\"type\":\"mark\""), 1);
	CHECK_INT(last_number("\"count\":"), 0);
	CHECK_INT(last_number("\"last_seq\":"), 1);
	for (unsigned pid = 2; pid <= 8; pid++)
		exec_of(pid);
	exit_of(3);
	subscriber_mark(subscriber);
	/* A second one would say no more. */
	subscriber_mark(subscriber);
	exec_of(9);
	take_all();
	CHECK_INT(count_of("\"type\":\"mark\""), 2);
	CHECK_INT(last_number("\"count\":"), 8);
	subscriber_mark(subscriber);
	take_all();
	CHECK_INT(last_number("\"count\":"), 9);
	CHECK_INT(last_number("\"last_seq\":"), 10);
	/* A request begins a new count. */
	CHECK_INT(subscriber_configure(subscriber, KEYS_ALL, NULL, true), 0);
	exec_of(10);
	subscriber_mark(subscriber);
	take_all();
	CHECK_INT(last_number("\"count\":"), 1);
}

TEST(mark_is_dropped_by_a_full_queue_and_counts_the_lost_line)
{
	unsigned pid = 1;

	join(64 << 10, false, NULL);
	while (!subscriber_is_dropping(subscriber))
		exec_of(pid++);
	subscriber_mark(subscriber);
	take_all();
	CHECK_INT(count_of("\"type\":\"mark\""), 0);
	CHECK_INT(count_of("\"type\":\"lost\""), 1);
	subscriber_mark(subscriber);
	take_all();
	CHECK_INT(count_of("\"type\":\"mark\""), 1);
	CHECK_INT(last_number("\"count\":"), count_of("\n") - 1);
	CHECK_INT(last_number("\"last_seq\":"), pid - 1);
}

TEST(args_bytes_cut_the_line_of_one_subscriber)
{
	char args[4000];
	unsigned whole;

	memset(args, 'x', sizeof(args));
	for (size_t i = 9; i < sizeof(args); i += 10)
		args[i] = '\0';
	make_exec(1, 1000, 1001, args, sizeof(args), 400);
	feed();
	join(1 << 20, true, NULL);
	subscriber_set_args_bytes(subscriber, 105);
	take_all();
	CHECK_INT(count_of("\"args_truncated\":true,\"argc\":400,\"args_size\":4000"), 1);
	CHECK_INT(count_of("\"xxxxxxxxx\""), 10);
	make_exec(2, 2000, 2001, args, sizeof(args), 400);
	feed();
	take_all();
	CHECK_INT(count_of("\"args_truncated\":true,\"argc\":400,\"args_size\":4000"), 2);
	CHECK_INT(count_of("\"xxxxxxxxx\""), 20);
	subscriber_set_args_bytes(subscriber, 0);
	make_exec(3, 3000, 3001, args, sizeof(args), 400);
	feed();
	take_all();
	whole = count_of("\"xxxxxxxxx\"");
	CHECK_INT(whole, 420);
	CHECK_INT(count_of("args_truncated"), 2);
}
