/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sched.h>

#include "fake_journald.h"
#include "tap.h"
#include "util/clock.h"

/* Entries and `lost` make up every number from first to last, each once and in order. Returns how many were lost. */
static uint64_t check_whole(uint64_t first, uint64_t last)
{
	uint64_t next = first, lost = 0;

	for (size_t i = 0; i < n_sent; i++) {
		if (strcmp(field(&sent[i], "EXECSNOOP_TYPE"), "lost") != 0) {
			CHECK_INT(number(&sent[i], "EXECSNOOP_SEQ"), next);
			next++;
			continue;
		}
		CHECK_STR(field(&sent[i], "EXECSNOOP_WHERE"), "journal");
		CHECK(!field(&sent[i], "EXECSNOOP_SEQ"));
		CHECK_INT(number(&sent[i], "EXECSNOOP_FIRST_SEQ"), next);
		next = number(&sent[i], "EXECSNOOP_LAST_SEQ") + 1;
		CHECK_INT(number(&sent[i], "EXECSNOOP_COUNT"), next - number(&sent[i], "EXECSNOOP_FIRST_SEQ"));
		lost += number(&sent[i], "EXECSNOOP_COUNT");
	}
	CHECK_INT(next, last + 1);
	return lost;
}

TEST(full_queue_reports_its_loss_without_a_later_event)
{
	struct journal *journal = joined(20000);
	struct journal_stats stats;

	set_gate(true);
	for (int i = 0; i < 1000; i++) {
		write_started(journal, 1);
		flush(journal);
		if (i == 0)
			wait_until_inside();
	}
	journal_stats(journal, &stats);
	CHECK_INT(stats.written, 0);
	CHECK(stats.lost > 900 && stats.lost < 1000);
	CHECK(stats.queue <= 20000 && stats.queue > 15000);
	CHECK_INT(stats.queue, stats.queue_peak);
	set_gate(false);
	wait_for_sent(1000 - stats.lost + 1);
	CHECK_INT(check_whole(1, 1000), stats.lost);
	CHECK_STR(field(&sent[n_sent - 1], "EXECSNOOP_TYPE"), "lost");
	CHECK_STR(field(&sent[n_sent - 1], "PRIORITY"), "4");
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 1000 - stats.lost + 1);
}

TEST(loss_is_reported_once_the_queue_is_half_empty)
{
	struct journal *journal = joined(20000);
	struct journal_stats stats;
	size_t first;

	set_gate(true);
	write_started(journal, 100);
	flush(journal);
	set_gate(false);
	wait_for_sent(2);
	journal_stats(journal, &stats);
	CHECK(stats.lost > 50);
	/* All that fitted, then the `lost`, then what comes now. */
	first = 100 - (size_t)stats.lost;
	wait_for_sent(first + 1);
	write_started(journal, 1);
	flush(journal);
	wait_for_sent(first + 2);
	CHECK_STR(field(&sent[first], "EXECSNOOP_TYPE"), "lost");
	CHECK_INT(check_whole(1, 101), stats.lost);
	CHECK(journal_free(journal, 10000) == NULL);
}

TEST(every_event_is_written_or_counted_at_any_pace)
{
	enum { COUNT = 60000 };
	struct journal *journal = joined(60000);
	uint64_t lost;

	srand(4);
	for (int i = 0; i < COUNT; i++) {
		if (rand() % 300 == 0)
			set_gate(rand() % 2);
		if (rand() % 100 == 0)
			sched_yield();
		write_started(journal, 1);
		if (rand() % 20 == 0)
			flush(journal);
	}
	set_gate(false);
	CHECK(journal_free(journal, 20000) == NULL);
	lost = check_whole(1, COUNT);
	printf("# %zu entries, %" PRIu64 " events lost\n", n_sent, lost);
	CHECK(lost > 0 && lost < COUNT);
}

static uint64_t last_sent(struct journal *journal)
{
	struct journal_stats stats;

	journal_stats(journal, &stats);
	return stats.last_seq;
}

TEST(last_number_is_that_of_an_entry_that_journald_took)
{
	struct journal *journal = joined(20000);

	CHECK_INT(last_sent(journal), 0);
	write_started(journal, 3);
	flush(journal);
	wait_for_sent(3);
	while (last_sent(journal) != 3)
		sched_yield();
	/* One is on its way, others wait, and some are dropped. */
	set_gate(true);
	write_started(journal, 1);
	flush(journal);
	wait_until_inside();
	CHECK_INT(last_sent(journal), 3);
	write_started(journal, 100);
	CHECK_INT(last_sent(journal), 3);
	set_gate(false);
	/* The `lost` of the others has their numbers. */
	while (last_sent(journal) != 104)
		sched_yield();
	CHECK(journal_free(journal, 10000) == NULL);
}

TEST(entry_larger_than_the_queue_is_accepted_alone)
{
	static char args[100000];
	struct process process = curl();
	struct event event = event_of(EVENT_STARTED, &process);
	struct journal *journal = joined(5000);

	memset(args, 'x', sizeof(args) - 1);
	process.image.args = (struct bytes){ args, sizeof(args) };
	set_gate(true);
	write_event(journal, &event);
	write_started(journal, 1);
	set_gate(false);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 2);
	CHECK_INT(number(&sent[0], "EXECSNOOP_SEQ"), 1);
	CHECK_INT(check_whole(1, 2), 1);
}

TEST(refused_entry_is_tried_again)
{
	struct journal *journal = joined(1 << 20);
	struct journal_stats stats;

	refuse(2);
	write_started(journal, 1);
	flush(journal);
	wait_for_sent(1);
	CHECK_INT(n_calls, 3);
	journal_stats(journal, &stats);
	CHECK_INT(stats.lost, 0);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 1);
}

TEST(entry_refused_for_good_is_reported_lost_in_its_place)
{
	struct journal *journal = joined(1 << 20);
	struct journal_stats stats;

	refuse(5); /* four times the first entry, once the `lost` */
	write_started(journal, 3);
	flush(journal);
	wait_for_sent(3);
	journal_stats(journal, &stats);
	CHECK_INT(stats.lost, 1);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 3);
	CHECK_STR(field(&sent[0], "EXECSNOOP_TYPE"), "lost");
	CHECK_INT(check_whole(1, 3), 1);
}

TEST(lost_of_the_kernel_is_an_ordinary_entry)
{
	struct journal *journal = joined(1 << 20);
	struct event lost;

	write_started(journal, 1);
	lost = event_of(EVENT_LOST, NULL);
	lost.lost.where = LOST_KERNEL;
	lost.lost.count = 9;
	write_event(journal, &lost);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 2);
	CHECK_INT(number(&sent[1], "EXECSNOOP_SEQ"), 2);
	CHECK_INT(number(&sent[1], "EXECSNOOP_COUNT"), 9);
}

TEST(lost_of_the_kernel_that_is_refused_counts_with_all_its_events)
{
	struct journal *journal = joined(1 << 20);
	struct event lost;

	lost = event_of(EVENT_LOST, NULL);
	lost.lost.where = LOST_KERNEL;
	lost.lost.count = 9;
	refuse(4);
	write_event(journal, &lost);
	flush(journal);
	wait_for_sent(1);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 1);
	CHECK_STR(field(&sent[0], "EXECSNOOP_WHERE"), "journal");
	CHECK_INT(number(&sent[0], "EXECSNOOP_COUNT"), 9);
}

TEST(free_writes_the_queue)
{
	struct journal *journal = joined(1 << 20);

	write_started(journal, 100); /* and no flush */
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 100);
	CHECK(journal_free(NULL, 0) == NULL);
}

TEST(stop_marks_the_last_number)
{
	struct journal *journal = joined(1 << 20);
	struct archive *archive;
	unsigned n = 100;

	write_started(journal, n);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(marked, number(&sent[99], "EXECSNOOP_SEQ"));

	/* So does a stop that hands over what is left, where the thread runs in time. */
	do {
		n += 3;
		journal = joined(1 << 20);
		write_started(journal, 3);
		flush(journal);
		wait_for_sent(n);
		CHECK_INT(archive_new(&archive), 0);
		CHECK_INT(journal_archive(journal, table, archive), 0);
		CHECK(journal_free(journal, 0) == NULL);
		archive_free(archive);
	} while (marked != number(&sent[n - 1], "EXECSNOOP_SEQ") && n < 130);
	CHECK_INT(marked, number(&sent[n - 1], "EXECSNOOP_SEQ"));

	/* Nothing was written, or not all of it. */
	marked = 0;
	CHECK(journal_free(joined(1 << 20), 10000) == NULL);
	journal = joined(1 << 20);
	write_started(journal, 1);
	refuse(1000);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(marked, 0);
}

/* A reload that switches the journal off waits for nothing. */
TEST(stop_waits_for_no_journald)
{
	struct journal *journal = joined(1 << 20);

	set_gate(true);
	write_started(journal, 10);
	flush(journal);
	wait_until_inside();
	journal_stop(journal);
	CHECK(!journal_has_ended(journal));
	set_gate(false);
	while (!journal_has_ended(journal))
		usleep(1000);
	CHECK_INT(n_sent, 10);
	CHECK_INT(marked, number(&sent[9], "EXECSNOOP_SEQ"));
	journal_free(journal, 0);
}

TEST(free_leaves_a_blocked_sender)
{
	struct journal *journal = joined(1 << 20);
	uint64_t begin;

	set_gate(true);
	write_started(journal, 100);
	flush(journal);
	wait_until_inside();
	begin = clock_ms(CLOCK_MONOTONIC);
	CHECK(journal_free(journal, 200) == NULL);
	CHECK(clock_ms(CLOCK_MONOTONIC) - begin >= 200);
	CHECK(clock_ms(CLOCK_MONOTONIC) - begin < 60000);
	/* Should it come back, it touches nothing that is gone, and sends no more. */
	set_gate(false);
	wait_for_sent(1);
	journal = joined(1 << 20);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 1);
}

TEST(free_ends_in_time_where_journald_refuses_all)
{
	struct journal *journal = joined(1 << 20);
	uint64_t begin = clock_ms(CLOCK_MONOTONIC);

	refuse(UINT32_MAX);
	write_started(journal, 1000);
	flush(journal);
	CHECK(journal_free(journal, 60000) == NULL);
	CHECK(clock_ms(CLOCK_MONOTONIC) - begin < 60000);
	CHECK_INT(n_sent, 0);
}

TEST(thread_blocks_all_signals)
{
	struct process process = curl();
	struct event event = event_of(EVENT_STARTED, &process);
	sigset_t mine;

	entry_of(&event);
	CHECK(sigismember(&mask_of_thread, SIGTERM) == 1 && sigismember(&mask_of_thread, SIGHUP) == 1);
	CHECK(sigismember(&mask_of_thread, SIGPIPE) == 1 && sigismember(&mask_of_thread, SIGUSR1) == 1);
	pthread_sigmask(SIG_SETMASK, NULL, &mine);
	CHECK(sigismember(&mine, SIGTERM) == 0);
}

/* What an entry follows: seq - EXECSNOOP_SEQ_STEP, which is 1 where it is absent. */
static uint64_t follows(const struct sent *entry, const char *seq)
{
	const char *step = field(entry, "EXECSNOOP_SEQ_STEP");

	return number(entry, seq) - (uint64_t)(step ? strtoll(step, NULL, 10) : 1);
}

TEST(entries_are_chained_over_what_is_left_out)
{
	static const struct process process = { .tgid = 1, .comm = BYTES("x") };
	struct journal *journal = joined(1 << 20);
	static const uint64_t seqs[] = { 3, 4, 9, 10 };

	for (size_t i = 0; i < sizeof(seqs) / sizeof(seqs[0]); i++) {
		struct event event = event_of(EVENT_STARTED, &process);

		event.seq = seqs[i];
		write_event(journal, &event);
	}
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 4);
	for (size_t i = 0; i < n_sent; i++) {
		CHECK_INT(follows(&sent[i], "EXECSNOOP_SEQ"), i > 0 ? seqs[i - 1] : 0);
		CHECK_INT(strlen(field(&sent[i], "EXECSNOOP_STREAM")), 16);
	}
	CHECK(!field(&sent[1], "EXECSNOOP_SEQ_STEP"));
}

TEST(chain_continues_over_a_lost_entry)
{
	struct journal *journal = joined(1 << 20);
	size_t after;

	write_started(journal, 1);
	flush(journal);
	wait_for_sent(1);
	refuse(4);
	write_started(journal, 1);
	flush(journal);
	wait_for_sent(2);
	write_started(journal, 1);
	CHECK(journal_free(journal, 10000) == NULL);
	after = n_sent - 1;
	CHECK_INT(n_sent, 3);
	CHECK_STR(field(&sent[1], "EXECSNOOP_TYPE"), "lost");
	CHECK_INT(follows(&sent[1], "EXECSNOOP_FIRST_SEQ"), number(&sent[0], "EXECSNOOP_SEQ"));
	CHECK_INT(follows(&sent[after], "EXECSNOOP_SEQ"), number(&sent[1], "EXECSNOOP_LAST_SEQ"));
}

TAP_MAIN
