/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Searches along $PATH through the pipeline, to a sink that folds them. */
#include <errno.h>

#include "fake_sink.h"
#include "tap.h"

#define MS UINT64_C(1000000)
#define LOG_MAX 20000

/* What the sink sent, in order; and what it holds. */
static struct sent {
	enum event_type type;
	uint64_t seq;
	uint32_t pid, tries;
} sent[LOG_MAX], held[SEARCHES_MAX + 1];
static size_t count;
static unsigned n_held;
static bool folds = true;

static void on_event(struct sink *sink, const struct event *event, struct encoder *encoder)
{
	struct sent s = {
		.type = event->type,
		.seq = event->seq,
		.pid = event->process ? event->process->tgid : 0,
		.tries = event->path_tries,
	};

	CHECK(event->search <= SEARCHES_MAX);
	CHECK(event->search == 0 || event->type == EVENT_ERROR);
	if (event->search == 0) {
		CHECK(count < LOG_MAX);
		sent[count++] = s;
		return;
	}
	n_held += held[event->search].seq == 0;
	held[event->search] = s;
}

static void on_search_end(struct sink *sink, unsigned search, bool found)
{
	CHECK(search > 0 && search <= SEARCHES_MAX && held[search].seq != 0);
	if (!found) {
		CHECK(count < LOG_MAX);
		sent[count++] = held[search];
	}
	held[search] = (struct sent){};
	n_held--;
}

static bool sink_folds(const struct sink *sink)
{
	return folds;
}

static void begin(void)
{
	struct pipeline_config config = { .args_limit = 2 << 20, .table_memory = 1 << 20, .kernel_threads = true };

	fake_sink_ops.folds = sink_folds;
	fake_sink_ops.search_end = on_search_end;
	pipeline_begin(&config);
	pipeline_go_live(pipeline);
}
SETUP(begin)

static void end(void)
{
	CHECK_INT(n_held, 0);
	pipeline = pipeline_free(pipeline);
}
TEARDOWN(end)

/* A process starts at 1000 times its pid. */
static uint64_t start_of(unsigned pid)
{
	return pid * UINT64_C(1000);
}

static void set_path(struct part *part, const char *path)
{
	record.head.size = part->offset;
	record_part(part, path, strlen(path));
}

static void fails(unsigned pid, unsigned tid, uint64_t time, int error, const char *path)
{
	make_error(pid, start_of(pid), time, error);
	record.head.tid = tid;
	set_path(&record.error.filename, path);
	feed();
}

static void succeeds(unsigned pid, unsigned tid, uint64_t time, const char *path)
{
	make_exec(pid, start_of(pid), time, NULL, 0, 0);
	record.exec.old_tid = tid;
	set_path(&record.exec.filename, path);
	feed();
}

static void ends(unsigned pid, uint64_t time)
{
	make_exit(pid, start_of(pid), time, 0);
	feed();
}

static void check_sent(size_t i, enum event_type type, uint64_t seq, uint32_t tries)
{
	CHECK(i < count);
	CHECK_INT(sent[i].type, type);
	CHECK_INT(sent[i].seq, seq);
	CHECK_INT(sent[i].tries, tries);
}

TEST(search_that_succeeds_leaves_no_error_and_a_count)
{
	fails(10, 10, 1 * MS, ENOENT, "/usr/local/bin/cc");
	fails(10, 10, 2 * MS, ENOTDIR, "/etc/passwd/cc");
	fails(10, 10, 3 * MS, EACCES, "cc");
	CHECK_INT(count, 0);
	succeeds(10, 10, 4 * MS, "/usr/bin/cc");
	CHECK_INT(count, 1);
	check_sent(0, EVENT_STARTED, 4, 4);
	/* The next exec of the same name is another search. */
	succeeds(10, 10, 5 * MS, "/usr/bin/cc");
	check_sent(1, EVENT_STARTED, 5, 0);
}

TEST(search_that_fails_leaves_its_last_error)
{
	succeeds(10, 10, 1 * MS, "/bin/sh");
	fails(10, 10, 2 * MS, ENOENT, "/usr/bin/nope");
	fails(10, 10, 3 * MS, ENOENT, "/bin/nope");
	ends(10, 4 * MS);
	CHECK_INT(count, 3);
	check_sent(1, EVENT_ERROR, 3, 2);
	check_sent(2, EVENT_EXITED, 4, 0);
}

TEST(another_name_ends_a_search)
{
	fails(10, 10, 1 * MS, ENOENT, "/usr/bin/one");
	fails(10, 10, 2 * MS, ENOENT, "/usr/bin/on");
	CHECK_INT(count, 1);
	check_sent(0, EVENT_ERROR, 1, 1);
	succeeds(10, 10, 3 * MS, "/usr/bin/one");
	CHECK_INT(count, 3);
	check_sent(1, EVENT_ERROR, 2, 1);
	check_sent(2, EVENT_STARTED, 3, 0);
}

TEST(error_that_ends_the_search_stands_for_it)
{
	fails(10, 10, 1 * MS, ENOENT, "/usr/local/bin/script");
	fails(10, 10, 2 * MS, ENOEXEC, "/usr/bin/script");
	CHECK_INT(count, 1);
	check_sent(0, EVENT_ERROR, 2, 2);
	/* execvp(3) runs the shell then. */
	succeeds(10, 10, 3 * MS, "/bin/sh");
	check_sent(1, EVENT_STARTED, 3, 0);
	fails(10, 10, 4 * MS, EPERM, "/usr/bin/script");
	CHECK_INT(count, 3);
	check_sent(2, EVENT_ERROR, 4, 1);
}

TEST(errors_without_a_name_are_never_held)
{
	char path[300];

	fails(10, 10, 1 * MS, ENOENT, "");
	fails(10, 10, 2 * MS, ENOENT, "/usr/bin/");
	path[0] = '/';
	memset(path + 1, 'x', sizeof(path) - 2);
	path[sizeof(path) - 1] = '\0';
	fails(10, 10, 3 * MS, ENOENT, path);
	make_error(10, start_of(10), 4 * MS, EACCES);
	record.error.filename = (struct part){ .offset = sizeof(record.error) };
	record.error.flags = ERROR_F_FILENAME_FAULT;
	feed();
	make_error(10, start_of(10), 5 * MS, ENOENT);
	record.error.flags = ERROR_F_FILENAME_CUT;
	feed();
	CHECK_INT(count, 5);
}

TEST(search_ends_after_its_time)
{
	fails(10, 10, 1000 * MS, ENOENT, "/usr/bin/nope");
	CHECK_INT(pipeline_search_deadline(pipeline), 1200 * MS);
	fails(10, 10, 1100 * MS, ENOENT, "/bin/nope");
	CHECK_INT(pipeline_search_deadline(pipeline), 1300 * MS);
	pipeline_expire_searches(pipeline, 1299 * MS);
	CHECK_INT(count, 0);
	pipeline_expire_searches(pipeline, 1300 * MS);
	check_sent(0, EVENT_ERROR, 2, 2);
	CHECK_INT(pipeline_search_deadline(pipeline), 0);
	/* By the time of the records too: what waited in the ring is not one search. */
	fails(11, 11, 2000 * MS, ENOENT, "/usr/bin/nope");
	fails(12, 12, 2200 * MS, ENOENT, "/usr/bin/nope");
	check_sent(1, EVENT_ERROR, 3, 1);
	fails(12, 12, 2401 * MS, ENOENT, "/usr/bin/nope");
	check_sent(2, EVENT_ERROR, 4, 1);
	pipeline_stop_searches(pipeline);
	CHECK_INT(count, 4);
}

TEST(endless_search_is_reported)
{
	for (unsigned i = 0; i < 50; i++)
		fails(10, 10, 1000 * MS + i * 100 * MS, ENOENT, "/opt/tool");
	ends(10, 6000 * MS);
	/* Eleven tries in a second and at its end. */
	CHECK_INT(count, 5);
	check_sent(0, EVENT_ERROR, 11, 11);
	check_sent(3, EVENT_ERROR, 44, 11);
	check_sent(4, EVENT_ERROR, 50, 6);
}

TEST(threads_search_at_once)
{
	fails(10, 10, 1 * MS, ENOENT, "/usr/local/bin/one");
	fails(10, 11, 2 * MS, ENOENT, "/usr/local/bin/two");
	fails(10, 10, 3 * MS, ENOENT, "/usr/bin/one");
	fails(10, 11, 4 * MS, ENOENT, "/usr/bin/two");
	fails(10, 12, 5 * MS, ENOENT, "/usr/local/bin/two");
	CHECK_INT(count, 0);
	succeeds(10, 11, 6 * MS, "/bin/two");
	/* The other threads end by the exec. */
	CHECK_INT(count, 3);
	check_sent(count - 1, EVENT_STARTED, 6, 3);
	CHECK(sent[0].seq + sent[1].seq == 3 + 5 && sent[0].tries + sent[1].tries == 2 + 1);
}

TEST(fork_ends_the_search_of_its_thread)
{
	fails(10, 10, 1 * MS, ENOENT, "/usr/local/bin/one");
	fails(10, 11, 2 * MS, ENOENT, "/usr/local/bin/two");
	make_fork(20, 3 * MS, 10, start_of(10));
	record.fork.forker_tgid = 10;
	record.fork.forker_tid = 11;
	record.fork.forker_start = start_of(10);
	feed();
	CHECK_INT(count, 1);
	check_sent(0, EVENT_ERROR, 2, 1);
	succeeds(10, 10, 4 * MS, "/usr/bin/one");
	CHECK_INT(count, 2);
	check_sent(1, EVENT_STARTED, 3, 2);
}

TEST(loss_ends_all_searches_first)
{
	fails(10, 10, 1 * MS, ENOENT, "/usr/local/bin/one");
	fails(11, 11, 2 * MS, ENOENT, "/usr/local/bin/two");
	pipeline_loss(pipeline, 1, 0, 0, 3 * MS);
	CHECK_INT(count, 3);
	check_sent(0, EVENT_ERROR, 1, 1);
	check_sent(1, EVENT_ERROR, 2, 1);
	CHECK_INT(sent[2].type, EVENT_LOST);
	make_exec(10, start_of(10), 4 * MS, NULL, 0, 0);
	record.head.lost_events = 1;
	set_path(&record.exec.filename, "/usr/bin/one");
	feed();
	check_sent(3, EVENT_STARTED, 4, 0);
}

TEST(end_of_a_process_that_was_not_in_the_table_ends_its_search)
{
	fails(10, 10, 1 * MS, ENOENT, "/usr/bin/nope");
	ends(10, 2 * MS);
	CHECK_INT(count, 1);
	check_sent(0, EVENT_ERROR, 1, 1);
}

TEST(another_process_of_the_pid_has_no_part_in_the_search)
{
	fails(10, 10, 1 * MS, ENOENT, "/usr/local/bin/one");
	make_exec(10, start_of(10) + 1, 2 * MS, NULL, 0, 0);
	set_path(&record.exec.filename, "/usr/bin/one");
	feed();
	CHECK_INT(count, 1);
	check_sent(0, EVENT_STARTED, 2, 0);
	pipeline_stop_searches(pipeline);
	CHECK_INT(count, 2);
}

TEST(oldest_search_ends_for_one_too_many)
{
	for (unsigned pid = 1; pid <= SEARCHES_MAX; pid++)
		fails(pid, pid, 1 * MS, ENOENT, "/usr/bin/nope");
	fails(1, 1, 2 * MS, ENOENT, "/bin/nope");
	CHECK_INT(n_held, SEARCHES_MAX);
	CHECK_INT(count, 0);
	fails(5000, 5000, 3 * MS, ENOENT, "/usr/bin/nope");
	CHECK_INT(n_held, SEARCHES_MAX);
	CHECK_INT(count, 1);
	CHECK_INT(sent[0].pid, 2);
	pipeline_stop_searches(pipeline);
	CHECK_INT(count, SEARCHES_MAX + 2 - 1);
}

TEST(nothing_is_held_where_no_output_folds)
{
	folds = false;
	fails(10, 10, 1 * MS, ENOENT, "/usr/local/bin/one");
	CHECK_INT(count, 1);
	CHECK_INT(pipeline_search_deadline(pipeline), 0);
}

/* Written by one pipeline, read by another. */
static void hand_over(void)
{
	_cleanup_(archive_free_p) struct archive *to = NULL, *from = NULL;
	_cleanup_close_ int fd = -1;

	CHECK_INT(archive_new(&to), 0);
	CHECK_INT(pipeline_archive(pipeline, to), 0);
	CHECK_INT(archive_seal(to, &fd), 0);
	pipeline = pipeline_free(pipeline);
	begin();
	CHECK_INT(archive_open(&from, fd), 0);
	CHECK_INT(pipeline_archive(pipeline, from), 0);
}

TEST(searches_continue_in_the_next_daemon)
{
	fails(9, 9, 1 * MS, ENOENT, "/usr/local/bin/zero");
	fails(10, 10, 2 * MS, ENOENT, "/usr/local/bin/one");
	fails(11, 11, 3 * MS, ENOENT, "/usr/local/bin/two");
	fails(12, 12, 4 * MS, ENOENT, "/usr/local/bin/three");
	succeeds(9, 9, 5 * MS, "/usr/bin/zero");
	hand_over();
	CHECK_INT(pipeline_search_deadline(pipeline), 202 * MS);
	fails(13, 13, 6 * MS, ENOENT, "/usr/local/bin/four");
	CHECK_INT(n_held, 4);
	succeeds(10, 10, 7 * MS, "/usr/bin/one");
	fails(11, 11, 8 * MS, ENOENT, "/usr/bin/two");
	ends(11, 9 * MS);
	CHECK_INT(count, 3);
	check_sent(1, EVENT_STARTED, 7, 2);
	check_sent(2, EVENT_ERROR, 8, 2);
	pipeline_expire_searches(pipeline, 300 * MS);
	CHECK_INT(count, 5);
	CHECK_INT(sent[3].pid, 12);
	CHECK_INT(sent[4].pid, 13);
}

/*
 * Random calls of a few threads. What is to be sent is found by looking forward from each error, not by what is open:
 * it is superseded by the next call of its thread, if that has the same name and comes in time.
 */

#define CALLS 4000
static struct call {
	enum { FAILS, SUCCEEDS, ENDS } kind;
	unsigned process, thread; /* of processes[] */
	unsigned pid, tid;
	int error;
	uint64_t time, seq;
	const char *name;
} calls[CALLS];

static bool goes_on(const struct call *call)
{
	return call->kind == FAILS && (call->error == ENOENT || call->error == EACCES || call->error == ENOTDIR);
}

/* The call that decides about the error of call i: the next one that concerns its thread. CALLS: none. */
static size_t next_of(size_t i)
{
	size_t k = i + 1;

	for (; k < CALLS; k++)
		if (calls[k].pid == calls[i].pid && (calls[k].kind != FAILS || calls[k].tid == calls[i].tid))
			break;
	return k;
}

/* Call k is of the search of the error i, which is its latest. first: the time at which that began. */
static bool follows(size_t i, size_t k, uint64_t first)
{
	return k < CALLS && calls[k].kind != ENDS && calls[k].tid == calls[i].tid && calls[k].name == calls[i].name &&
	       calls[k].time < calls[i].time + 200 * MS && calls[k].time <= first + 1000 * MS;
}

static size_t find_sent(uint64_t seq, enum event_type type)
{
	for (size_t i = 0; i < count; i++)
		if (sent[i].seq == seq && sent[i].type == type)
			return i;
	return SIZE_MAX;
}

static void make_calls(void)
{
	static const char *const names[] = { "/a/one", "/a/two", "/b/three" };
	static const int errors[] = { ENOENT, ENOENT, ENOENT, EACCES, ENOTDIR, E2BIG };
	unsigned pids[6];
	uint64_t time = 1000 * MS;

	for (unsigned i = 0; i < 6; i++)
		pids[i] = 100 + i;
	for (size_t i = 0; i < CALLS; i++) {
		unsigned what = (unsigned)rand() % 100, process = (unsigned)rand() % 6;
		struct call *call = &calls[i];

		time += (uint64_t)(rand() % 100 == 0 ? rand() % 300 : rand() % 10) * MS + 1;
		*call = (struct call){
			.kind = what < 75   ? FAILS
				: what < 95 ? SUCCEEDS
					    : ENDS,
			.pid = pids[process],
			.tid = pids[process] + (unsigned)(rand() % 2) * 100000,
			.error = errors[rand() % 6],
			.time = time,
			.name = names[rand() % 20 / 9],
		};
		if (call->kind == ENDS)
			pids[process] += 100;
	}
}

static void check_calls(void)
{
	static uint32_t tries[CALLS];
	static uint64_t first[CALLS];

	memset(tries, 0, sizeof(tries));
	memset(first, 0, sizeof(first));
	for (size_t i = 0; i < CALLS; i++) {
		enum event_type type = calls[i].kind == FAILS ? EVENT_ERROR : EVENT_STARTED;
		size_t at = find_sent(calls[i].seq, type), k;

		if (calls[i].kind == ENDS)
			continue;
		if (!goes_on(&calls[i])) {
			CHECK(at != SIZE_MAX);
			CHECK_INT(sent[at].tries > 1 ? sent[at].tries : 0, tries[i] ? tries[i] + 1 : 0);
			continue;
		}
		if (!first[i])
			first[i] = calls[i].time;
		k = next_of(i);
		if (follows(i, k, first[i])) {
			CHECK(at == SIZE_MAX);
			tries[k] = tries[i] + 1;
			first[k] = first[i];
			continue;
		}
		CHECK(at != SIZE_MAX);
		CHECK_INT(sent[at].tries, tries[i] + 1);
		/* Before the call that ended the search. */
		if (k < CALLS && calls[k].kind == SUCCEEDS)
			CHECK(find_sent(calls[k].seq, EVENT_STARTED) > at);
	}
}

static void feed_call(struct call *call)
{
	struct pipeline_stats stats;

	if (call->kind == FAILS)
		fails(call->pid, call->tid, call->time, call->error, call->name);
	else if (call->kind == SUCCEEDS)
		succeeds(call->pid, call->tid, call->time, call->name);
	else
		ends(call->pid, call->time);
	pipeline_stats(pipeline, &stats);
	call->seq = stats.seq;
}

TEST(random_searches_are_folded_exactly)
{
	for (unsigned seed = 1; seed <= 20; seed++) {
		srand(seed);
		count = 0;
		make_calls();
		end();
		begin();
		for (size_t i = 0; i < CALLS; i++) {
			feed_call(&calls[i]);
			if (rand() % 500 == 0)
				hand_over();
		}
		pipeline_stop_searches(pipeline);
		check_calls();
	}
}

TAP_MAIN
