/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The journal holds errors of searches along $PATH, and limits the arguments of an entry. */
#include "fake_journald.h"
#include "tap.h"

static struct checkpoint_stream checkpoint;

static struct journal *folding(size_t queue)
{
	struct journal_config config = {
		.queue = queue,
		.args_limit = 4096,
		.keys = KEYS_ALL,
		.folds = true,
		.boot = 0xb007,
		.send = fake_send,
		.checkpoint = &checkpoint,
	};
	struct journal *journal = NULL;

	CHECK_INT(journal_new(&journal, &config), 0);
	if (!table)
		CHECK_INT(proctable_new(&table, 1 << 20), 0);
	CHECK_INT(journal_join(journal, table), 0);
	CHECK(journal_sink(journal)->ops->folds(journal_sink(journal)));
	return journal;
}

/* Returns its seq. */
static uint64_t write_error(struct journal *journal, unsigned search, uint32_t tries)
{
	const struct process process = curl();
	struct event event = event_of(EVENT_ERROR, &process);

	event.error = ENOENT;
	event.search = search;
	event.path_tries = tries;
	write_event(journal, &event);
	return event.seq;
}

static void end_search(struct journal *journal, unsigned search, bool found)
{
	struct sink *sink = journal_sink(journal);

	sink->ops->search_end(sink, search, found);
}

TEST(error_of_a_search_is_written_at_its_end)
{
	struct journal *journal = folding(1 << 20);
	uint64_t seq;

	write_error(journal, 3, 1);
	write_error(journal, 4, 1);
	seq = write_error(journal, 3, 2);
	end_search(journal, 4, true);
	write_started(journal, 1);
	end_search(journal, 3, false);
	end_search(journal, 5, false);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 2);
	CHECK_STR(field(&sent[0], "EXECSNOOP_TYPE"), "started");
	CHECK_INT(number(&sent[1], "EXECSNOOP_SEQ"), seq);
	CHECK_INT(number(&sent[1], "EXECSNOOP_PATH_TRIES"), 2);
	CHECK_STR(field(&sent[1], "PRIORITY"), "5");
}

TEST(journal_that_does_not_fold_writes_each_error)
{
	struct journal *journal = joined(1 << 20);

	CHECK(!journal_sink(journal)->ops->folds(journal_sink(journal)));
	write_error(journal, 3, 1);
	write_error(journal, 3, 2);
	end_search(journal, 3, true);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 2);
	CHECK(!field(&sent[1], "EXECSNOOP_PATH_TRIES"));
}

TEST(filter_comes_before_the_search)
{
	struct journal *journal = folding(1 << 20);
	struct process process = curl();
	struct event event = event_of(EVENT_ERROR, &process);
	struct filter *filter = NULL;
	const char *reason;

	CHECK_INT(filter_new(&filter), 0);
	CHECK_INT(filter_add(filter, FILTER_ERROR, BYTES("EACCES"), &reason), 0);
	journal_configure(journal, KEYS_ALL, true, filter);
	event.error = EACCES;
	event.search = 1;
	write_event(journal, &event);
	write_error(journal, 1, 2);
	write_error(journal, 2, 1);
	end_search(journal, 1, false);
	end_search(journal, 2, false);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 1);
	CHECK_INT(number(&sent[0], "EXECSNOOP_SEQ"), event.seq);
}

TEST(stop_writes_what_is_held)
{
	struct journal *journal = folding(1 << 20);
	uint64_t first = write_error(journal, 7, 1), second = write_error(journal, 2, 1);

	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 2);
	CHECK_INT(number(&sent[0], "EXECSNOOP_SEQ"), first);
	CHECK_INT(number(&sent[1], "EXECSNOOP_SEQ"), second);
}

/* Each error is written, or in the count of a `lost`, once. */
TEST(held_errors_are_charged_to_the_queue)
{
	struct journal *journal = folding(64 << 10);
	struct journal_stats stats;
	uint64_t lost = 0, written = 0;

	for (unsigned search = 1; search <= 500; search++)
		write_error(journal, search, 1);
	journal_stats(journal, &stats);
	CHECK(stats.lost > 400 && stats.lost < 500);
	for (unsigned search = 1; search <= 500; search++)
		end_search(journal, search, false);
	CHECK(journal_free(journal, 10000) == NULL);
	for (size_t i = 0; i < n_sent; i++) {
		if (strcmp(field(&sent[i], "EXECSNOOP_TYPE"), "lost") == 0)
			lost += number(&sent[i], "EXECSNOOP_COUNT");
		else
			written++;
	}
	CHECK_INT(written + lost, 500);
	CHECK(written > 0);
}

TEST(held_errors_are_handed_over)
{
	_cleanup_(archive_free_p) struct archive *to = NULL, *from = NULL;
	_cleanup_close_ int fd = -1;
	struct journal *journal = folding(1 << 20);
	uint64_t first = write_error(journal, 7, 1), second = write_error(journal, SEARCHES_MAX, 3);

	write_error(journal, 8, 3);
	CHECK_INT(checkpoint.waiting, 3);
	CHECK_INT(archive_new(&to), 0);
	CHECK_INT(journal_archive(journal, table, to), 0);
	CHECK_INT(archive_seal(to, &fd), 0);
	CHECK(journal_free(journal, 0) == NULL);
	CHECK_INT(n_sent, 0);
	checkpoint = (struct checkpoint_stream){};
	journal = folding(1 << 20);
	CHECK_INT(archive_open(&from, fd), 0);
	CHECK_INT(journal_archive(journal, table, from), 0);
	CHECK_INT(checkpoint.waiting, 3);
	CHECK_INT(checkpoint.first_seq, first);
	/* What is sent no longer waits. */
	set_gate(true);
	end_search(journal, 8, true);
	end_search(journal, SEARCHES_MAX, false);
	end_search(journal, 7, false);
	CHECK_INT(checkpoint.waiting, 2);
	set_gate(false);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 2);
	CHECK_INT(number(&sent[0], "EXECSNOOP_SEQ"), second);
	CHECK_INT(number(&sent[0], "EXECSNOOP_PATH_TRIES"), 3);
	CHECK_INT(number(&sent[1], "EXECSNOOP_SEQ"), first);
}

TEST(held_errors_are_reported_lost_after_a_crash)
{
	struct journal *dead = folding(1 << 20), *journal;
	struct checkpoint_stream left;
	uint64_t first = write_error(dead, 7, 1), last = write_error(dead, 2, 1);
	size_t before;

	write_started(dead, 1);
	flush(dead);
	wait_for_sent(1);
	/* It is saved after it is sent. */
	while (__atomic_load_n(&checkpoint.waiting, __ATOMIC_RELAXED) != 2)
		usleep(100);
	end_search(dead, 9, true);
	left = checkpoint;
	CHECK_INT(left.waiting, 2);
	CHECK_INT(left.first_seq, first);
	CHECK(left.last_seq >= last);
	before = n_sent;
	journal = journal_with(1 << 20, false, NULL);
	journal_resume(journal, table, &left);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, before + 1);
	CHECK_STR(field(&sent[before], "EXECSNOOP_TYPE"), "lost");
	CHECK_INT(number(&sent[before], "EXECSNOOP_COUNT"), 2);
	CHECK_INT(number(&sent[before], "EXECSNOOP_FIRST_SEQ"), first);
	/* Not before: it sends what it holds. */
	CHECK(journal_free(dead, 10000) == NULL);
}

/* An entry without a number is refused, after one with a higher number than all that was written was held, and dropped.
 */
TEST(loss_without_a_number_gets_none_at_a_crash)
{
	const struct process process = curl();
	struct journal *dead = folding(1 << 20);
	struct event exited = event_of(EVENT_EXITED, &process);

	write_error(dead, 7, 1);
	end_search(dead, 7, true);
	exited.seq = 0;
	set_gate(true);
	write_event(dead, &exited);
	flush(dead);
	wait_until_inside();
	CHECK_INT(checkpoint.waiting, 1);
	CHECK_INT(checkpoint.first_seq, 0);
	CHECK_INT(checkpoint.last_seq, 0);
	CHECK_INT(checkpoint.previous_seq, 0);
	set_gate(false);
	CHECK(journal_free(dead, 10000) == NULL);
	CHECK_INT(n_sent, 1);
}

TEST(arguments_are_cut_between_two)
{
	static char args[3 * 2000];
	struct journal *journal = folding(1 << 20);
	struct process process = curl();
	struct event event = event_of(EVENT_STARTED, &process);
	size_t size;

	memset(args, 'x', sizeof(args));
	for (size_t i = 1; i <= 3; i++)
		args[2000 * i - 1] = '\0';
	process.image.args = (struct bytes){ args, sizeof(args) };
	process.image.argc = 3;
	process.image.args_size = sizeof(args);
	write_event(journal, &event);
	/* One that does not fit by itself. */
	memset(args, 'x', 5000);
	write_event(journal, &event);
	process = curl();
	write_event(journal, &event);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 3);
	for (size_t i = 0; i < 2; i++) {
		CHECK_STR(field(&sent[i], "EXECSNOOP_ARGS_TRUNCATED"), "true");
		CHECK_INT(number(&sent[i], "EXECSNOOP_ARGC"), 3);
		CHECK_INT(number(&sent[i], "EXECSNOOP_ARGS_SIZE"), sizeof(args));
	}
	CHECK_INT(count(&sent[0], "EXECSNOOP_ARG"), 2);
	CHECK(nth(&sent[0], "EXECSNOOP_ARG", 1, &size) && size == 1999);
	CHECK_INT(strlen(field(&sent[0], "EXECSNOOP_ARGS")), 2 * 1999 + 1);
	CHECK_INT(count(&sent[1], "EXECSNOOP_ARG"), 0);
	CHECK_STR(field(&sent[1], "EXECSNOOP_ARGS"), "");
	CHECK(!field(&sent[2], "EXECSNOOP_ARGS_TRUNCATED"));
}

TAP_MAIN
