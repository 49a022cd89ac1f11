/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A subscriber that folds searches along $PATH, from records to the socket. */
#include <errno.h>
#include <stdlib.h>

#include "subscriber_fixture.h"

static struct checkpoint_stream checkpoint;

static void on_event(struct sink *sink, const struct event *event, struct encoder *encoder)
{
	subscriber_event(subscriber, event, encoder);
}

static void on_search_end(struct sink *sink, unsigned search, bool found)
{
	subscriber_search_end(subscriber, search, found);
}

static bool on_folds(const struct sink *sink)
{
	return subscriber_folds(subscriber);
}

static void join(size_t queue)
{
	struct subscriber_config config = {
		.queue = queue,
		.keys = KEY_BIT(KEY_TYPE) | KEY_BIT(KEY_SEQ) | KEY_BIT(KEY_FILENAME) | KEY_BIT(KEY_PATH_TRIES),
		.json = json,
		.stream = pipeline_stream(pipeline),
	};

	CHECK_INT(subscriber_new(&subscriber, fds[0], &config, pipeline_table(pipeline)), 0);
	subscriber_set_folds(subscriber, true);
	CHECK_INT(subscriber_join(subscriber, false), 0);
	subscriber_set_checkpoint(subscriber, &checkpoint);
}

static void begin(void)
{
	fake_sink_ops.folds = on_folds;
	fake_sink_ops.search_end = on_search_end;
	begin_socket();
	join(1 << 20);
}
SETUP(begin)

/* A process of the pid, which starts at 1000 times that. */
static void fails(unsigned pid, int error, const char *path)
{
	static uint64_t time = 1000000000;

	make_error(pid, pid * 1000ull, ++time, error);
	record.head.size = record.error.filename.offset;
	record_part(&record.error.filename, path, strlen(path));
	feed();
}

static void succeeds(unsigned pid, const char *path)
{
	static uint64_t time = 2000000000;

	make_exec(pid, pid * 1000ull, ++time, NULL, 0, 0);
	record.head.time = 1000000000;
	record.head.size = record.exec.filename.offset;
	record_part(&record.exec.filename, path, strlen(path));
	feed();
}

TEST(error_of_a_search_is_sent_at_its_end)
{
	fails(1, ENOENT, "/a/one");
	fails(2, ENOENT, "/a/two");
	fails(1, EACCES, "/b/one");
	fails(2, ENOENT, "/b/two");
	succeeds(1, "/c/one");
	pipeline_stop_searches(pipeline);
	take_all();
	CHECK_STR(text, "{\"type\":\"started\",\"seq\":5,\"filename\":\"/c/one\",\"path_tries\":3}\n"
			"{\"type\":\"error\",\"seq\":4,\"filename\":\"/b/two\",\"path_tries\":2}\n");
}

TEST(stream_that_does_not_fold_has_no_path_tries)
{
	fails(1, ENOENT, "/a/one");
	subscriber_set_folds(subscriber, false);
	fails(1, ENOENT, "/b/one");
	succeeds(1, "/c/one");
	take_all();
	CHECK_STR(text, "{\"type\":\"error\",\"seq\":2,\"filename\":\"/b/one\"}\n"
			"{\"type\":\"started\",\"seq\":3,\"filename\":\"/c/one\"}\n");
}

TEST(hidden_success_drops_the_error)
{
	struct filter *filter = NULL;
	const char *reason;

	CHECK_INT(filter_new(&filter), 0);
	CHECK_INT(filter_add(filter, FILTER_TYPES, BYTES("error"), &reason), 0);
	CHECK_INT(subscriber_configure(subscriber, subscriber_keys(subscriber), filter, true), 0);
	fails(1, ENOENT, "/a/one");
	fails(2, ENOENT, "/a/two");
	succeeds(1, "/c/one");
	pipeline_stop_searches(pipeline);
	take_all();
	CHECK_STR(text, "{\"type\":\"error\",\"seq\":2,\"filename\":\"/a/two\"}\n");
}

TEST(new_subscription_and_rejection_come_after_what_is_held)
{
	struct line *line;

	fails(1, ENOENT, "/a/one");
	CHECK_INT(subscriber_configure(subscriber, KEY_BIT(KEY_TYPE), NULL, true), 0);
	CHECK_INT(line_new(&line, 11), 0);
	memcpy(line->data, "subscribed\n", 11);
	CHECK_INT(subscriber_reply(subscriber, line), 0);
	succeeds(1, "/c/one");
	fails(2, ENOENT, "/a/two");
	CHECK_INT(subscriber_finish(subscriber, line), 0);
	line_unref(line);
	pipeline_stop_searches(pipeline);
	take_all();
	CHECK_STR(text, "{\"type\":\"error\",\"seq\":1,\"filename\":\"/a/one\"}\nsubscribed\n"
			"{\"type\":\"started\"}\n{\"type\":\"error\"}\nsubscribed\n");
	CHECK_INT(checkpoint.waiting, 0);
}

static void hand_over(void)
{
	_cleanup_(archive_free_p) struct archive *to = NULL, *from = NULL;
	_cleanup_close_ int fd = -1;
	struct line_set lines = {};

	CHECK_INT(archive_new(&to), 0);
	CHECK_INT(pipeline_archive(pipeline, to), 0);
	CHECK_INT(subscriber_archive(subscriber, to, &lines), 0);
	CHECK_INT(archive_seal(to, &fd), 0);
	line_set_clear(&lines);
	end();
	begin();
	CHECK_INT(archive_open(&from, fd), 0);
	CHECK_INT(pipeline_archive(pipeline, from), 0);
	CHECK_INT(subscriber_archive(subscriber, from, &lines), 0);
	line_set_clear(&lines);
}

TEST(held_errors_are_handed_over)
{
	fails(1, ENOENT, "/a/one");
	fails(2, ENOENT, "/a/two");
	fails(3, ENOENT, "/a/three");
	hand_over();
	fails(2, ENOENT, "/b/two");
	succeeds(1, "/c/one");
	pipeline_stop_searches(pipeline);
	take_all();
	CHECK_STR(text, "{\"type\":\"started\",\"seq\":5,\"filename\":\"/c/one\",\"path_tries\":2}\n"
			"{\"type\":\"error\",\"seq\":3,\"filename\":\"/a/three\"}\n"
			"{\"type\":\"error\",\"seq\":4,\"filename\":\"/b/two\",\"path_tries\":2}\n");
}

TEST(held_errors_are_reported_lost_after_a_crash)
{
	struct checkpoint_stream left;

	succeeds(9, "/c/nine");
	fails(1, ENOENT, "/a/one");
	fails(2, ENOENT, "/a/two");
	fails(2, ENOENT, "/b/two");
	succeeds(9, "/c/nine");
	take_all();
	left = checkpoint;
	CHECK_INT(left.waiting, 2);
	CHECK_INT(left.first_seq, 2);
	subscriber = subscriber_free(subscriber);
	size = 0;
	join(1 << 20);
	CHECK_INT(subscriber_resume(subscriber, &left), 0);
	take_all();
	CHECK(strstr(text, "\"count\":2,\"where\":\"subscriber\",\"first_seq\":2,\"last_seq\":5") != NULL);
}

/* The number after the text, and what follows it. */
static uint64_t number_after(const char *line, const char *what)
{
	const char *at = strstr(line, what);

	return at ? strtoull(at + strlen(what), NULL, 10) : 0;
}

/* Of each process there is one line, or it is in a count. */
TEST(full_queue_loses_held_errors_with_a_count)
{
	enum { PROCESSES = 3000 };
	static bool seen[PROCESSES + 1];
	uint64_t lost = 0, received = 0;
	struct subscriber_stats stats;

	subscriber = subscriber_free(subscriber);
	join(64 << 10);
	srand(1);
	for (unsigned pid = 1; pid <= PROCESSES; pid++) {
		char path[32];

		snprintf(path, sizeof(path), "/a/%u", pid);
		fails(pid, ENOENT, path);
		subscriber_stats(subscriber, &stats);
		CHECK(stats.queue <= (64 << 10));
		if (rand() % 40 == 0)
			pipeline_stop_searches(pipeline);
		if (rand() % 200 == 0)
			take_all();
	}
	pipeline_stop_searches(pipeline);
	take_all();
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		uint64_t pid = number_after(line, "/a/");

		lost += number_after(line, "\"count\":");
		received += pid > 0;
		CHECK(pid <= PROCESSES && (pid == 0 || !seen[pid]));
		seen[pid] = true;
	}
	printf("# %u received, %u lost\n", (unsigned)received, (unsigned)lost);
	CHECK_INT(received + lost, PROCESSES);
	CHECK(lost > 0 && received > 0);
}

TAP_MAIN
