/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records in, a fake sink out. */

#include <errno.h>
#include <time.h>

#include "fake_sink.h"
#include "tap.h"

#define EPOCH 1000000000000000000 /* 2001-09-09 */

static struct seen {
	enum event_type type;
	uint64_t seq, time, start_time, count;
	uint32_t pid, status;
	enum source source;
	bool status_known, truncated, has_args, has_exe;
	char args[256];
	size_t args_size;
	uint32_t argc;
	char exe[64];
} seen[4096];
static size_t count;

static const struct checkpoint_counters *watched;

/* The clock, so many seconds later, and later by as many each time it is asked; put in by the linker (--wrap). */
static time_t later_s, step_s;
__typeof__(clock_gettime) __real_clock_gettime, __wrap_clock_gettime;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	int r = __real_clock_gettime(clock, ts);

	ts->tv_sec += later_s;
	later_s += step_s;
	return r;
}

static void on_event(struct sink *sink, const struct event *event, struct encoder *encoder)
{
	struct seen *s = &seen[count++];
	struct line *line, *again;

	*s = (struct seen){ .type = event->type, .seq = event->seq, .time = event->time, .source = event->source };
	if (event->process) {
		const struct image *image = &event->process->image;

		s->pid = event->process->tgid;
		s->start_time = event->process->start_time;
		s->truncated = image->args_truncated;
		s->has_args = image->args.data;
		s->has_exe = image->exe.data;
		s->argc = image->argc;
		s->args_size = image->args.size;
		if (image->args.data)
			memcpy(s->args, image->args.data, image->args.size < 256 ? image->args.size : 256);
		if (image->exe.data)
			memcpy(s->exe, image->exe.data, image->exe.size < 63 ? image->exe.size : 63);
	}
	s->status = event->end.status;
	s->status_known = event->end.status_known;
	s->count = event->lost.count;
	/* A crash in here has this number come again. */
	if (watched && event->seq != 0)
		CHECK_INT(watched->seq, event->seq - 1);
	/* Encoded once, shared by all that want the same. */
	CHECK_INT(encoder_line(encoder, KEYS_ALL, 0, &line), 0);
	CHECK_INT(encoder_line(encoder, KEYS_ALL, 0, &again), 0);
	CHECK(line == again && line->data[line->size - 1] == '\n');
}

static void end(void)
{
	pipeline = pipeline_free(pipeline);
}
TEARDOWN(end)

/* Instead of the pipeline that there is. */
static void begin(struct pipeline_config config)
{
	end();
	if (!config.args_limit)
		config.args_limit = 2 << 20;
	if (!config.table_memory)
		config.table_memory = 1 << 20;
	config.kernel_threads = true;
	pipeline_begin(&config);
	pipeline_set_epoch(pipeline, EPOCH);
}

static void begin_live(struct pipeline_config config)
{
	begin(config);
	pipeline_go_live(pipeline);
}

/* What a test has unless it begins another. */
static void begin_default(void)
{
	begin_live((struct pipeline_config){ 0 });
}
SETUP(begin_default)

TEST(fork_exec_and_exit_are_started_and_exited)
{
	begin_live((struct pipeline_config){ .stream.last_seq = 41 });
	make_fork(10, 1000, 1, 1);
	feed();
	CHECK_INT(count, 0);
	make_exec(10, 1000, 2000, "ls\0-l\0", 6, 2);
	feed();
	make_exit(10, 1000, 5000, 0x300);
	feed();
	CHECK_INT(count, 2);
	CHECK_INT(seen[0].type, EVENT_STARTED);
	CHECK_INT(seen[0].seq, 42);
	CHECK_INT(seen[0].time, EPOCH + 2000);
	CHECK_INT(seen[0].start_time, EPOCH + 1000);
	CHECK_STR(seen[0].exe, "/usr/bin/ls");
	CHECK_INT(seen[1].type, EVENT_EXITED);
	CHECK_INT(seen[1].seq, 43);
	CHECK_INT(seen[1].status, 0x300);
	CHECK_INT(seen[1].args_size, 6);
	CHECK_INT(proctable_count(pipeline_table(pipeline)), 0);
}

TEST(time_of_an_exec_is_that_of_its_started)
{
	make_fork(10, 1000, 1, 1);
	feed();
	make_exec(10, 1000, 2000, "sh", 3, 2);
	feed();
	CHECK_INT(proctable_find(pipeline_table(pipeline), 10, 0)->process.exec_time, seen[0].time);
	make_fork(11, 3000, 10, 1000);
	feed();
	CHECK_INT(proctable_find(pipeline_table(pipeline), 11, 0)->process.starter_exec_time, seen[0].time);
}

TEST(fork_without_exec_has_no_seq)
{
	make_fork(10, 1000, 1, 1);
	feed();
	CHECK_INT(proctable_count(pipeline_table(pipeline)), 1);
	make_exit(10, 1000, 5000, 0);
	feed();
	CHECK_INT(count, 0);
	make_error(11, 100, 200, ENOENT);
	feed();
	CHECK_INT(seen[0].seq, 1);
}

TEST(fork_in_a_snapshot_has_its_exited)
{
	_cleanup_(proctable_cursor_free_p) struct proctable_cursor *cursor = NULL;

	make_fork(10, 1000, 1, 1);
	feed();
	CHECK_INT(proctable_cursor_new(&cursor, pipeline_table(pipeline)), 0);
	make_fork(11, 1001, 1, 1);
	feed();
	make_exit(11, 1001, 5000, 0);
	feed();
	CHECK_INT(count, 0);
	make_exit(10, 1000, 5000, 0);
	feed();
	CHECK_INT(count, 1);
	CHECK_INT(seen[0].type, EVENT_EXITED);
	/* Not all streams had that snapshot. */
	CHECK_INT(seen[0].seq, 0);
	make_exec(12, 1002, 2000, "ls\0", 3, 1);
	feed();
	CHECK_INT(seen[1].seq, 1);
	cursor = proctable_cursor_free(cursor);
}

TEST(forks_are_events_where_configured)
{
	begin_live((struct pipeline_config){ .forks = true });
	make_exec(9, 500, 600, "ls\0", 3, 1);
	feed();
	make_fork(10, 1000, 9, 500);
	feed();
	make_exit(10, 1000, 5000, 9);
	feed();
	CHECK_INT(count, 3);
	CHECK_INT(seen[1].type, EVENT_FORKED);
	CHECK_STR(seen[1].exe, "/usr/bin/ls");
	CHECK_INT(seen[2].type, EVENT_EXITED);
	CHECK_INT(seen[2].args_size, 3);
}

TEST(second_exit_of_a_process_is_ignored)
{
	make_exec(10, 1000, 2000, "ls\0", 3, 1);
	feed();
	make_exit(10, 1000, 5000, 0);
	feed();
	feed();
	CHECK_INT(count, 2);
}

TEST(argument_chunks_are_joined_among_others)
{
	static char block[60000];

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = i % 100 == 99 ? '\0' : 'a';
	for (size_t at = 0; at < sizeof(block); at += 20000) {
		make_piece(10, 2000, at, block + at, 20000);
		feed();
		make_piece(20, 2000, at, block, 20000);
		feed();
		make_piece(10, 2001, at, block, 10000);
		feed();
	}
	make_exec(10, 1000, 2000, NULL, 0, 600);
	record.exec.args_size = record.exec.args_before = sizeof(block);
	feed();
	CHECK_INT(count, 1);
	CHECK_INT(seen[0].args_size, sizeof(block));
	CHECK(!seen[0].truncated);
}

TEST(lost_chunk_truncates_the_arguments)
{
	static char block[30000];

	memset(block, 'a', sizeof(block));
	for (size_t i = 99; i < sizeof(block); i += 100)
		block[i] = '\0';
	make_piece(10, 2000, 0, block, 10050);
	feed();
	make_piece(10, 2000, 20000, block + 20000, 10000);
	feed();
	make_exec(10, 1000, 2000, NULL, 0, 300);
	record.exec.args_size = record.exec.args_before = sizeof(block);
	feed();
	CHECK_INT(count, 1);
	CHECK(seen[0].truncated);
	CHECK_INT(seen[0].args_size, 10000);
	CHECK_INT(seen[0].argc, 300);
	/* None of them. */
	make_exec(11, 1000, 3000, NULL, 0, 300);
	record.exec.args_size = record.exec.args_before = sizeof(block);
	feed();
	CHECK(seen[1].truncated && seen[1].has_args);
	CHECK_INT(seen[1].args_size, 0);
}

TEST(orphaned_chunks_are_bounded)
{
	static const char filler[16000];
	struct pipeline_stats stats;

	begin_live((struct pipeline_config){ .args_limit = 4096 });
	for (unsigned i = 0; i < 100000; i++) {
		make_piece(100 + i, 5, 0, "abc", 4);
		feed();
		for (int again = 0; again < 3; again++) {
			make_piece(100, 5, 4 + 16000ull * (unsigned)again, filler, sizeof(filler));
			feed();
		}
	}
	pipeline_stats(pipeline, &stats);
	CHECK_INT(stats.malformed, 0);
}

TEST(orphaned_chunks_take_little_memory)
{
	static const char filler[16000];
	const size_t limit = 2 << 20;
	struct pipeline_stats stats;

	begin_live((struct pipeline_config){ .args_limit = limit });
	for (unsigned i = 0; i < 100; i++) {
		for (size_t at = 0; at + sizeof(filler) <= limit; at += sizeof(filler)) {
			make_piece(100 + i, 5, at, filler, sizeof(filler));
			feed();
		}
		pipeline_stats(pipeline, &stats);
		CHECK(stats.arg_chunks_bytes <= 64 << 20);
	}
	CHECK(stats.arg_chunks_bytes > limit);
	/* The last ones are whole. */
	make_exec(199, 1000, 5, NULL, 0, 1);
	record.exec.args_size = record.exec.args_before = limit / sizeof(filler) * sizeof(filler);
	feed();
	CHECK_INT(seen[count - 1].args_size, limit / sizeof(filler) * sizeof(filler));
	CHECK(!seen[count - 1].truncated);
	pipeline_stats(pipeline, &stats);
	CHECK(stats.arg_chunks_bytes > 0);
	later_s = 31;
	pipeline_flush(pipeline);
	later_s = 0;
	pipeline_stats(pipeline, &stats);
	CHECK_INT(stats.arg_chunks_bytes, 0);
}

TEST(full_table_keeps_less_and_reports_all)
{
	static char block[8000];

	begin_live((struct pipeline_config){ .table_memory = 1 });
	memset(block, 'a', sizeof(block));
	for (size_t i = 99; i < sizeof(block); i += 100)
		block[i] = '\0';
	make_exec(10, 1000, 2000, block, sizeof(block), 80);
	feed();
	make_exit(10, 1000, 3000, 0);
	feed();
	CHECK_INT(seen[0].args_size, sizeof(block));
	CHECK(!seen[0].truncated);
	CHECK(seen[1].truncated && seen[1].args_size <= PROCTABLE_ARGS_MAX && seen[1].args_size > 3900);
	CHECK_INT(seen[1].argc, 80);
}

TEST(loss_is_reported_once_in_its_place)
{
	begin_live((struct pipeline_config){ 0 });
	make_exec(10, 1000, 2000, "ls\0", 3, 1);
	feed();
	make_exec(11, 1000, 2000, "ls\0", 3, 1);
	record.head.lost_events = 7;
	record.head.lost_forks = 3;
	feed();
	/* A record that was reserved before, and came after. */
	make_exec(12, 1000, 2000, "ls\0", 3, 1);
	record.head.lost_events = 5;
	feed();
	pipeline_loss(pipeline, 7, 3, 0, 100);
	CHECK_INT(count, 4);
	CHECK_INT(seen[1].type, EVENT_LOST);
	CHECK_INT(seen[1].count, 7);
	CHECK_INT(seen[1].seq, 2);
	CHECK_INT(seen[2].type, EVENT_STARTED);
	pipeline_loss(pipeline, 8, 3, 0, 100);
	CHECK_INT(seen[4].count, 1);
	count = 0;
	begin_live((struct pipeline_config){ .forks = true });
	pipeline_loss(pipeline, 2, 3, 0, 100);
	CHECK_INT(seen[0].count, 5);
}

TEST(reused_pid_ends_its_previous_process)
{
	make_exec(10, 1000, 2000, "old\0", 4, 1);
	feed();
	make_fork(10, 9000, 1, 1);
	feed();
	CHECK_INT(count, 2);
	CHECK_INT(seen[1].type, EVENT_EXITED);
	CHECK_INT(seen[1].source, SOURCE_RESYNC);
	CHECK(!seen[1].status_known);
	CHECK_INT(seen[1].start_time, EPOCH + 1000);
	CHECK_INT(proctable_count(pipeline_table(pipeline)), 1);
	/* The exit of the old one, late: not the new one's. */
	make_exit(10, 1000, 9500, 0);
	feed();
	CHECK_INT(proctable_count(pipeline_table(pipeline)), 1);
}

TEST(loading_sends_no_events_and_repeats_nothing)
{
	struct process found = {
		.tgid = 10, .start = 1000, .exec_id = 2000, .source = SOURCE_PROC, .comm = BYTES("ls")
	};

	begin((struct pipeline_config){ .forks = true });
	CHECK_INT(pipeline_found(pipeline, &found, 0), 0);
	found.tgid = 11;
	found.exec_id = 1;
	CHECK_INT(pipeline_found(pipeline, &found, 0), 0);
	/* While it was being read: a fork that the iterator saw, one that it did not, an exec that it saw, one that it
	 * did not, an end. */
	make_fork(10, 1000, 1, 1);
	feed();
	make_fork(12, 1500, 11, 1000);
	feed();
	make_exec(10, 1000, 2000, "ls\0", 3, 1);
	feed();
	make_exec(11, 1000, 2000, "ls\0", 3, 1);
	feed();
	make_exit(10, 1000, 3000, 0);
	feed();
	CHECK_INT(count, 0);
	CHECK_INT(proctable_count(pipeline_table(pipeline)), 2);
	CHECK_INT(proctable_find(pipeline_table(pipeline), 11, 0)->process.image.args.size, 3);
	pipeline_go_live(pipeline);
	make_exit(12, 1500, 3000, 0);
	feed();
	CHECK_INT(count, 0); /* reported to none */
}

/* Of one whose exec was recorded and listed too, what the probe saw is kept. */
TEST(record_replaces_what_proc_had_while_loading)
{
	struct process found = { .tgid = 10, .start = 1000, .exec_id = 2000, .source = SOURCE_PROC, .execed = true };
	const struct process *process;

	begin((struct pipeline_config){ 0 });
	CHECK_INT(pipeline_found(pipeline, &found, 0), 0);
	make_exec(10, 1000, 2000, "ls\0", 3, 1);
	feed();
	process = &proctable_find(pipeline_table(pipeline), 10, 0)->process;
	CHECK_INT(process->source, SOURCE_PROBE);
	CHECK_INT(process->image.filename.size, 7);
	pipeline_go_live(pipeline);
	feed();
	CHECK_INT(count, 0);
	/* Live, what was reported stays. */
	found.tgid = 11;
	CHECK_INT(pipeline_found(pipeline, &found, 0), 0);
	CHECK_INT(count, 1);
	make_exec(11, 1000, 2000, "ls\0", 3, 1);
	feed();
	CHECK_INT(count, 1);
	CHECK_INT(proctable_find(pipeline_table(pipeline), 11, 0)->process.source, SOURCE_PROC);
}

TEST(exit_of_a_process_that_was_ending_at_the_start_is_no_loss)
{
	struct pipeline_stats stats;

	begin((struct pipeline_config){ 0 });
	pipeline_set_listed(pipeline, 3000);
	pipeline_go_live(pipeline);
	for (unsigned start = 2999; start <= 3000; start++) {
		make_exit(10, start, 5000, 0);
		record.exit.flags = EXIT_F_EXECED;
		feed();
		pipeline_loss(pipeline, 0, 0, 0, 100);
		CHECK_INT(count, start - 2999);
	}
	pipeline_stats(pipeline, &stats);
	CHECK_INT(stats.unreported, 1);
}

/* A crash: another pipeline has the processes that ran then as they are now, and is given what waited. */
TEST(replay_continues_after_a_crash)
{
	struct process found = {
		.tgid = 10, .start = 1000, .exec_id = 2100, .source = SOURCE_PROC, .comm = BYTES("sh"), .execed = true
	};
	struct checkpoint_counters checkpoint = {}, left;

	watched = &checkpoint;
	begin_live((struct pipeline_config){ .checkpoint = &checkpoint });
	make_exec(10, 1000, 1500, "sh\0", 3, 2);
	feed();
	make_exec(12, 1200, 1600, "sh\0", 3, 2);
	record.head.lost_events = 5;
	feed();
	CHECK_INT(count, 3);
	CHECK_INT(seen[1].count, 5);
	CHECK_INT(checkpoint.seq, 3);
	left = checkpoint;
	count = 0;
	begin((struct pipeline_config){ .checkpoint = &checkpoint });
	CHECK_INT(pipeline_found(pipeline, &found, 0), 0);
	found.tgid = 14;
	found.execed = false;
	CHECK_INT(pipeline_found(pipeline, &found, 0), 0);
	found.tgid = 15;
	found.start = 1100;
	CHECK_INT(pipeline_found(pipeline, &found, 0), 0);
	pipeline_resume(pipeline, &left, 1050);
	pipeline_replay(pipeline);
	/* Both execs waited; the table has the second. */
	make_exec(10, 1000, 2000, "ls\0", 3, 3);
	record.head.lost_events = 5;
	feed();
	CHECK_INT(count, 1);
	CHECK_INT(seen[0].seq, 4);
	make_exec(10, 1000, 2100, "cp\0", 3, 4);
	record.head.lost_events = 5;
	feed();
	CHECK_INT(count, 2);
	CHECK_INT(proctable_find(pipeline_table(pipeline), 10, 1000)->process.exec_id, 2100);
	pipeline_go_live(pipeline);
	make_exit(10, 1000, 3000, 0);
	record.head.lost_events = 5;
	feed();
	CHECK_INT(count, 3);
	CHECK_INT(seen[2].type, EVENT_EXITED);
	/* Its start was reported; what it ran is unknown by now. */
	make_exit(12, 1200, 3000, 0);
	record.exit.flags |= EXIT_F_EXECED;
	record.head.lost_events = 5;
	feed();
	CHECK_INT(checkpoint.unreported, 1);
	pipeline_loss(pipeline, 5, 0, 0, 4000);
	CHECK_INT(count, 4);
	CHECK_INT(seen[3].count, 1);
	CHECK_INT(checkpoint.unreported, 0);
	CHECK_INT(checkpoint.seq, 7);
	/* Of two that never called exec, one was in a snapshot. */
	make_exit(15, 1100, 5000, 0);
	record.head.lost_events = 5;
	feed();
	CHECK_INT(count, 4);
	make_exit(14, 1000, 5000, 0);
	record.head.lost_events = 5;
	feed();
	CHECK_INT(count, 5);
	watched = NULL;
}

TEST(fork_of_a_known_process_is_an_event_in_a_replay_only)
{
	struct process found = { .tgid = 10, .start = 1000, .exec_id = 1, .source = SOURCE_PROC, .comm = BYTES("sh") };

	for (int replays = 0; replays < 2; replays++) {
		begin((struct pipeline_config){ .forks = true });
		CHECK_INT(pipeline_found(pipeline, &found, 0), 0);
		if (replays)
			pipeline_replay(pipeline);
		else
			pipeline_go_live(pipeline);
		make_fork(10, 1000, 1, 1);
		feed();
		CHECK_INT(count, replays);
		CHECK_INT(proctable_count(pipeline_table(pipeline)), 1);
		end();
	}
	CHECK_INT(seen[0].type, EVENT_FORKED);
}

TEST(exec_after_a_lost_fork_is_reported)
{
	make_exec(10, 1000, 2000, "ls\0", 3, 1);
	feed();
	CHECK_INT(seen[0].type, EVENT_STARTED);
	CHECK_INT(seen[0].start_time, EPOCH + 1000);
}

/* bpf/preempted.bpf.h says when. */
TEST(exec_seen_by_two_probes_is_reported_once)
{
	make_exec(10, 1000, 2000, "ls\0", 3, 1);
	feed();
	feed();
	CHECK_INT(count, 1);
	make_exec(10, 1000, 3000, "ls\0", 3, 1);
	feed();
	CHECK_INT(count, 2);
}

TEST(stepped_clock_does_not_change_start_times)
{
	make_exec(10, 1000, 2000, "ls\0", 3, 1);
	feed();
	pipeline_set_epoch(pipeline, EPOCH + 5000000000);
	make_exec(10, 1000, 3000, "ls\0", 3, 1);
	feed();
	make_exit(10, 1000, 4000, 0);
	feed();
	CHECK_INT(seen[1].start_time, EPOCH + 1000);
	CHECK_INT(seen[1].time, EPOCH + 5000000000 + 3000);
	CHECK_INT(seen[2].start_time, EPOCH + 1000);
}

TEST(invalid_records_are_counted_and_ignored)
{
	struct pipeline_stats stats;

	make_exec(10, 1000, 2000, "ls\0", 3, 1);
	record.head.lost_events = 9;
	record.head.kind = 77;
	CHECK_INT(pipeline_record(pipeline, &record, record.head.size), -EBADMSG);
	pipeline_stats(pipeline, &stats);
	CHECK_INT(stats.malformed, 1);
	CHECK_INT(count, 0);
	CHECK_INT(proctable_count(pipeline_table(pipeline)), 0);
}

TEST(errors_do_not_stick)
{
	make_exec(10, 1000, 2000, "ls\0", 3, 1);
	feed();
	make_error(10, 1000, 2500, ENOENT);
	feed();
	make_exit(10, 1000, 4000, 0);
	feed();
	CHECK_INT(count, 3);
	CHECK_STR(seen[1].exe, "/bin/nope");
	CHECK_STR(seen[2].exe, "/usr/bin/ls");
}

TEST(exit_of_an_unknown_process_is_counted_lost)
{
	struct pipeline_stats stats;

	/* One that never called exec was no event before, and is none now. */
	make_exit(10, 1000, 5000, 0);
	feed();
	pipeline_loss(pipeline, 0, 0, 0, 100);
	CHECK_INT(count, 0);
	make_exit(11, 1000, 5000, 0);
	record.exit.flags = EXIT_F_EXECED;
	feed();
	pipeline_loss(pipeline, 0, 0, 0, 100);
	CHECK_INT(count, 1);
	CHECK_INT(seen[0].type, EVENT_LOST);
	CHECK_INT(seen[0].count, 1);
	pipeline_stats(pipeline, &stats);
	CHECK_INT(stats.unreported, 1);
	/* The second of two threads that were both the last. */
	make_exec(12, 1000, 2000, "ls\0", 3, 1);
	feed();
	for (int i = 0; i < 2; i++) {
		make_exit(12, 1000, 5000, 0);
		record.exit.flags = EXIT_F_EXECED;
		feed();
	}
	pipeline_loss(pipeline, 0, 0, 0, 100);
	CHECK_INT(count, 3);
	/* A probe that could not run. */
	pipeline_loss(pipeline, 0, 0, 5, 100);
	CHECK_INT(seen[3].count, 5);
}

TEST(arguments_read_later_complete_a_process)
{
	struct process found = { .tgid = 10, .start = 1000, .exec_id = 3, .source = SOURCE_PROC, .execed = true };
	const struct image *image;

	begin((struct pipeline_config){ 0 });
	found.image.incomplete = INCOMPLETE_BIT(INCOMPLETE_ARGS);
	CHECK_INT(pipeline_found(pipeline, &found, 1000), 0);
	found.image.args = BYTES("a\0");
	found.image.argc = 1;
	found.image.incomplete = 0;
	found.exec_id = 2;
	CHECK_INT(pipeline_found(pipeline, &found, 1000), 0);
	image = &proctable_find(pipeline_table(pipeline), 10, 1000)->process.image;
	CHECK(!image->args.data);
	found.exec_id = 3;
	CHECK_INT(pipeline_found(pipeline, &found, 1000), 0);
	image = &proctable_find(pipeline_table(pipeline), 10, 1000)->process.image;
	CHECK(bytes_equal(image->args, BYTES("a\0")));
	CHECK_INT(image->incomplete, 0);
	/* Once. */
	found.image.args = BYTES("b\0");
	CHECK_INT(pipeline_found(pipeline, &found, 1000), 0);
	image = &proctable_find(pipeline_table(pipeline), 10, 1000)->process.image;
	CHECK(bytes_equal(image->args, BYTES("a\0")));
	CHECK_INT(count, 0);
	CHECK_INT(proctable_count(pipeline_table(pipeline)), 1);
}

TEST(missed_process_is_reported_by_a_resync)
{
	struct process found = { .tgid = 10, .start = 1000, .exec_id = 3, .source = SOURCE_RESYNC, .execed = true };

	found.image.args = BYTES("new\0");
	CHECK_INT(pipeline_found(pipeline, &found, 7000), 0);
	CHECK_INT(count, 1);
	CHECK_INT(seen[0].type, EVENT_STARTED);
	CHECK_INT(seen[0].source, SOURCE_RESYNC);
	CHECK_INT(seen[0].time, EPOCH + 7000);
	/* Again: nothing. With a newer exec: that one. */
	CHECK_INT(pipeline_found(pipeline, &found, 8000), 0);
	CHECK_INT(count, 1);
	found.exec_id = 4;
	CHECK_INT(pipeline_found(pipeline, &found, 9000), 0);
	CHECK_INT(count, 2);
	CHECK_INT(proctable_count(pipeline_table(pipeline)), 1);
	pipeline_gone(pipeline, proctable_find(pipeline_table(pipeline), 10, 1000), 9500);
	CHECK_INT(count, 3);
	CHECK_INT(seen[2].type, EVENT_EXITED);
	CHECK_INT(seen[2].source, SOURCE_RESYNC);
	CHECK(!seen[2].status_known);
	/* A mere fork is known, and not reported. */
	found.tgid = 11;
	found.execed = false;
	CHECK_INT(pipeline_found(pipeline, &found, 9000), 0);
	CHECK_INT(count, 3);
	CHECK_INT(proctable_count(pipeline_table(pipeline)), 1);
}

TEST(secrets_are_in_neither_event_nor_table)
{
	const char *const options[] = { "password", NULL };
	struct pipeline_config config = { 0 };

	CHECK_INT(redact_new(&config.redact, options, NULL), 0);
	begin_live(config);
	make_exec(10, 1000, 2000, "x\0--password=abc\0", 17, 2);
	feed();
	CHECK(memcmp(seen[0].args, "x\0--password=[redacted]\0", seen[0].args_size) == 0);
	CHECK(!seen[0].truncated);
	CHECK(!memmem(proctable_find(pipeline_table(pipeline), 10, 0)->process.image.args.data, 20, "abc", 3));
	make_error(10, 1000, 2500, ENOENT);
	record_part(&record.error.args, "x\0--password\0abc\0", 17);
	record.error.argc = 3;
	record.error.args_size = 17;
	feed();
	CHECK(memcmp(seen[1].args, "x\0--password\0[redacted]\0", seen[1].args_size) == 0);
	end();
	redact_free(config.redact);
}

/* A rule that comes while the process is in the table holds for its end too. */
TEST(new_redaction_applies_to_the_table)
{
	const char *const options[] = { "password", NULL };
	_cleanup_(redact_free_p) struct redact *redact = NULL;

	make_exec(10, 1000, 2000, "x\0--password=abc\0", 17, 2);
	feed();
	CHECK(memcmp(seen[0].args, "x\0--password=abc\0", 17) == 0);
	CHECK_INT(redact_new(&redact, options, NULL), 0);
	pipeline_set_redact(pipeline, redact);
	while (!pipeline_mask_some(pipeline, 1000))
		;
	make_exit(10, 1000, 3000, 0);
	feed();
	CHECK_INT(seen[1].type, EVENT_EXITED);
	CHECK_INT(seen[1].args_size, 24);
	CHECK(memcmp(seen[1].args, "x\0--password=[redacted]\0", 24) == 0);
}

/* In a large table the time of a portion may be over before the first image that is left is found. */
TEST(each_portion_masks_some)
{
	const char *const options[] = { "password", NULL };
	_cleanup_(redact_free_p) struct redact *redact = NULL;
	unsigned portions = 1;

	for (unsigned pid = 10; pid < 15; pid++) {
		make_exec(pid, 1000, 2000, "x\0--password=abc\0", 17, 2);
		feed();
	}
	CHECK_INT(redact_new(&redact, options, NULL), 0);
	pipeline_set_redact(pipeline, redact);
	step_s = 1;
	for (; !pipeline_mask_some(pipeline, 1000); portions++)
		CHECK(portions < 5);
	CHECK_INT(portions, 5);
}

static struct image image_of_last;
static char env_of_last[256], cgroup_of_last[256];

static void keep_image(struct sink *s, const struct event *event, struct encoder *encoder)
{
	image_of_last = event->process->image;
	if (image_of_last.env.data)
		memcpy(env_of_last, image_of_last.env.data, image_of_last.env.size);
	if (image_of_last.unit.data)
		memcpy(cgroup_of_last, image_of_last.unit.data, image_of_last.unit.size);
}

static const struct sink_ops keep_ops = { .event = keep_image };
static struct sink keeper = { .ops = &keep_ops };

TEST(environment_is_joined_and_filtered)
{
	const char *const names[] = { "A*", NULL };
	struct pipeline_config config = { 0 };
	const char *reason;

	CHECK_INT(environment_new(&config.environment, names, &reason), 0);
	begin_live(config);
	pipeline_add_sink(pipeline, &keeper);
	make_exec(10, 1000, 2000, "ls\0", 3, 1);
	record_part(&record.exec.env, "A=1\0B=2\0AB=3\0", 13);
	record.exec.env_size = 13;
	feed();
	CHECK_INT(image_of_last.env.size, 9);
	CHECK(memcmp(env_of_last, "A=1\0AB=3", 9) == 0);
	CHECK_INT(image_of_last.incomplete, 0);
	/* In pieces, beside pieces of arguments. */
	make_piece(10, 3000, 0, "B=2\0AA", 6);
	record.head.kind = RECORD_ENV;
	feed();
	make_piece(10, 3000, 0, "ls\0", 3);
	feed();
	make_piece(10, 3000, 6, "=4\0", 3);
	record.head.kind = RECORD_ENV;
	feed();
	make_exec(10, 1000, 3000, NULL, 3, 1);
	record.exec.args_before = 3;
	record.exec.env_size = record.exec.env_before = 9;
	feed();
	CHECK_INT(image_of_last.env.size, 5);
	CHECK(memcmp(env_of_last, "AA=4", 5) == 0);
	CHECK_INT(image_of_last.incomplete, 0);
	CHECK_INT(image_of_last.args.size, 3);
	/* A piece was lost. */
	make_exec(10, 1000, 4000, "ls\0", 3, 1);
	record.exec.env_size = record.exec.env_before = 9;
	feed();
	CHECK(!image_of_last.env.data);
	CHECK_INT(image_of_last.incomplete, INCOMPLETE_BIT(INCOMPLETE_ENV));
	end();
	environment_free(config.environment);
}

TEST(unit_is_found_in_the_cgroup)
{
	pipeline_add_sink(pipeline, &keeper);
	make_exec(10, 1000, 2000, "ls\0", 3, 1);
	RECORD_PART(&record.exec.cgroup, "cron.service\0system.slice\0");
	feed();
	CHECK(bytes_equal((struct bytes){ cgroup_of_last, image_of_last.unit.size }, BYTES("cron.service")));
}

TAP_MAIN
