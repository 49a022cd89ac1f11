/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "fake_journald.h"
#include "output/message_id.h"
#include "tap.h"
#include "util/cleanup.h"

static struct entry *add(uint32_t tgid, uint32_t ppid)
{
	struct process process = { .tgid = tgid,
				   .start = tgid,
				   .ppid = ppid,
				   .parent_start = ppid,
				   .comm = BYTES("x"),
				   .start_time = 1000000000,
				   .source = SOURCE_PROC };
	struct entry *entry;

	CHECK_INT(proctable_add(table, &entry, &process), 0);
	return entry;
}

static void write_exit(struct journal *journal, const struct entry *entry)
{
	struct event event = event_of(EVENT_EXITED, &entry->process);

	event.born = entry->born;
	event.announced = entry->announced;
	event.position = proctable_clock(table);
	write_event(journal, &event);
}

static void write_start(struct journal *journal, struct entry *entry)
{
	struct event event = event_of(EVENT_STARTED, &entry->process);

	entry->announced = proctable_clock(table);
	event.announced = entry->announced;
	write_event(journal, &event);
}

TEST(journal_writes_nothing_before_it_joins)
{
	struct process process = curl();
	struct event event = event_of(EVENT_STARTED, &process), live = { .type = EVENT_LIVE };
	struct journal *journal = journal_with(1 << 20, false, NULL);

	CHECK_INT(proctable_new(&table, 1 << 20), 0);
	write_event(journal, &event);
	CHECK_INT(journal_join(journal, table), 0);
	write_event(journal, &live);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 0);
}

TEST(exited_is_written_only_for_announced_processes)
{
	struct journal *journal = journal_with(1 << 20, false, NULL);
	struct entry *old, *announced, *silent;

	CHECK_INT(proctable_new(&table, 1 << 20), 0);
	old = add(1, 0);
	old->announced = proctable_clock(table);
	CHECK_INT(journal_join(journal, table), 0);
	announced = add(2, 1);
	write_start(journal, announced);
	silent = add(3, 1);
	write_exit(journal, old);
	write_exit(journal, silent);
	write_exit(journal, announced);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 2);
	CHECK_INT(number(&sent[1], "EXECSNOOP_PID"), 2);
	CHECK_STR(field(&sent[1], "EXECSNOOP_TYPE"), "exited");
}

/* A crash, with a stopped journald: the next daemon reports what waited, and knows which processes were reported. */
TEST(entries_queued_at_a_crash_are_reported_lost)
{
	struct checkpoint_stream checkpoint = {}, left;
	struct journal_config config = {
		.queue = 1 << 20,
		.args_limit = UINT64_MAX,
		.keys = KEYS_ALL,
		.send = fake_send,
		.checkpoint = &checkpoint,
	};
	struct journal *journal, *dead;
	struct entry *before, *announced, *silent;

	CHECK_INT(proctable_new(&table, 1 << 20), 0);
	CHECK_INT(journal_new(&dead, &config), 0);
	CHECK_INT(journal_join(dead, table), 0);
	CHECK(checkpoint.joined && !checkpoint.had_snapshot && checkpoint.joined_ns > 0);
	set_gate(true);
	for (unsigned pid = 1; pid <= 10; pid++)
		write_start(dead, add(pid, 0));
	flush(dead);
	wait_until_inside();
	CHECK_INT(checkpoint.waiting, 10);
	left = checkpoint;
	CHECK(journal_free(dead, 0) == NULL);
	set_gate(false);
	wait_for_sent(1);
	table = proctable_free(table);
	/* One that had begun before the journal joined, one that called exec after it, and one that did not. */
	CHECK_INT(proctable_new(&table, 1 << 20), 0);
	before = add(1, 0);
	before->process.execed = true;
	announced = add(2, 1);
	announced->process.start = left.joined_ns + 1;
	announced->process.execed = true;
	silent = add(3, 1);
	silent->process.start = left.joined_ns + 1;
	config.checkpoint = NULL;
	CHECK_INT(journal_new(&journal, &config), 0);
	journal_resume(journal, table, &left);
	write_exit(journal, before);
	write_exit(journal, silent);
	write_exit(journal, announced);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 3);
	CHECK_STR(field(&sent[1], "EXECSNOOP_TYPE"), "lost");
	CHECK_INT(number(&sent[1], "EXECSNOOP_COUNT"), 10);
	CHECK_INT(number(&sent[1], "EXECSNOOP_FIRST_SEQ"), left.first_seq);
	CHECK_INT(number(&sent[1], "EXECSNOOP_LAST_SEQ"), left.first_seq + 9);
	CHECK_INT(number(&sent[2], "EXECSNOOP_PID"), 2);
}

/* The daemon ends in a crash while journald is stopped; what the next one reports. */
static const struct sent *lost_after_a_crash(struct journal *dead, const struct checkpoint_stream *checkpoint)
{
	const struct checkpoint_stream left = *checkpoint;
	struct journal *journal;
	size_t before;

	CHECK(journal_free(dead, 0) == NULL);
	set_gate(false);
	pthread_mutex_lock(&lock);
	while (n_inside > 0)
		pthread_cond_wait(&changed, &lock);
	before = n_sent;
	pthread_mutex_unlock(&lock);
	journal = journal_with(1 << 20, false, NULL);
	journal_resume(journal, table, &left);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, before + 1);
	CHECK_STR(field(&sent[before], "EXECSNOOP_TYPE"), "lost");
	return &sent[before];
}

/* Entries of a snapshot have no number. */
TEST(lost_after_a_crash_has_the_numbers_behind_a_snapshot)
{
	static struct checkpoint_stream checkpoint;
	struct journal_config config = {
		.queue = 1 << 20,
		.args_limit = UINT64_MAX,
		.keys = KEYS_ALL,
		.snapshot = true,
		.send = fake_send,
		.checkpoint = &checkpoint,
	};
	const struct sent *lost;
	struct journal *dead;
	uint64_t last;

	CHECK_INT(proctable_new(&table, 1 << 20), 0);
	for (uint32_t pid = 1; pid <= 500; pid++)
		add(pid, 0);
	set_gate(true);
	CHECK_INT(journal_new(&dead, &config), 0);
	CHECK_INT(journal_join(dead, table), 0);
	CHECK(journal_write_snapshot(dead, UINT_MAX));
	wait_until_inside();
	write_started(dead, 3);
	last = checkpoint.last_seq;
	CHECK_INT(checkpoint.waiting, 3);
	lost = lost_after_a_crash(dead, &checkpoint);
	CHECK_INT(number(lost, "EXECSNOOP_COUNT"), 3);
	CHECK_INT(number(lost, "EXECSNOOP_FIRST_SEQ"), last - 2);
	CHECK_INT(number(lost, "EXECSNOOP_LAST_SEQ"), last);
}

TEST(snapshot_is_complete_with_a_small_queue)
{
	enum { COUNT = 500 };
	struct journal *journal = journal_with(5000, true, NULL);
	struct process process = curl();
	struct event event = event_of(EVENT_STARTED, &process);
	struct entry *first;

	CHECK_INT(proctable_new(&table, 1 << 20), 0);
	first = add(1, 0);
	for (uint32_t i = 2; i <= COUNT; i++)
		add(i, 1);
	set_gate(true);
	CHECK_INT(journal_join(journal, table), 0);
	CHECK(journal_write_snapshot(journal, UINT_MAX));
	wait_until_inside();
	write_event(journal, &event);
	write_exit(journal, first);
	set_gate(false);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, COUNT + 2);
	for (uint32_t i = 0; i < COUNT; i++) {
		CHECK_INT(number(&sent[i], "EXECSNOOP_PID"), i + 1);
		CHECK_STR(field(&sent[i], "EXECSNOOP_SNAPSHOT"), "true");
		CHECK(!field(&sent[i], "EXECSNOOP_SEQ"));
	}
	CHECK(!field(&sent[COUNT], "EXECSNOOP_SNAPSHOT"));
	CHECK_STR(field(&sent[COUNT + 1], "EXECSNOOP_TYPE"), "exited");
}

/* As a reload has it. The queue is too small for what happens in the meantime. */
TEST(snapshot_in_portions_precedes_later_events)
{
	enum { COUNT = 500 };
	struct journal *journal = journal_with(5000, true, NULL);
	struct entry *last = NULL;
	unsigned portions = 0;

	CHECK_INT(proctable_new(&table, 1 << 20), 0);
	for (uint32_t i = 1; i <= COUNT; i++)
		last = add(i, 1);
	CHECK_INT(journal_join(journal, table), 0);
	write_exit(journal, last);
	proctable_remove(table, last);
	for (; !journal_write_snapshot(journal, 1); portions++) {
		CHECK(portions <= COUNT);
		write_start(journal, add(COUNT + 1 + portions, 1));
		flush(journal);
	}
	CHECK(portions > 20);
	CHECK(journal_free(journal, 10000) == NULL);
	for (uint32_t i = 0; i < COUNT; i++) {
		CHECK_INT(number(&sent[i], "EXECSNOOP_PID"), i + 1);
		CHECK_STR(field(&sent[i], "EXECSNOOP_SNAPSHOT"), "true");
	}
	CHECK_STR(field(&sent[COUNT], "EXECSNOOP_TYPE"), "exited");
	CHECK_INT(number(&sent[COUNT], "EXECSNOOP_PID"), COUNT);
	CHECK_INT(number(&sent[COUNT + 1], "EXECSNOOP_PID"), COUNT + 1);
	CHECK_STR(field(&sent[n_sent - 1], "EXECSNOOP_TYPE"), "lost");
	CHECK_INT(number(&sent[n_sent - 1], "EXECSNOOP_COUNT") + n_sent - 1, COUNT + 1 + portions);
}

static struct filter *filter_of(enum filter_key key, const char *entry)
{
	struct filter *filter = NULL;
	const char *reason;

	CHECK_INT(filter_new(&filter), 0);
	CHECK_INT(filter_add(filter, key, bytes_of(entry), &reason), 0);
	return filter;
}

TEST(filter_follows_its_tree)
{
	struct journal *journal = journal_with(1 << 20, true, filter_of(FILTER_TREE, "2"));
	struct sink *sink = journal_sink(journal);
	struct entry *child, *grandchild;

	CHECK_INT(proctable_new(&table, 1 << 20), 0);
	add(1, 0);
	add(2, 1);
	child = add(3, 2);
	CHECK_INT(journal_join(journal, table), 0);
	CHECK(journal_write_snapshot(journal, UINT_MAX));
	grandchild = add(4, 3);
	sink->ops->fork(sink, &grandchild->process);
	write_exit(journal, child);
	sink->ops->exit(sink, &child->process);
	write_start(journal, grandchild);
	write_start(journal, add(5, 1));
	/* A reload, which finds the tree in the table. */
	journal_configure(journal, KEYS_ALL, false, filter_of(FILTER_TREE, "1"));
	write_start(journal, add(6, 5));
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 5);
	CHECK_INT(number(&sent[0], "EXECSNOOP_PID"), 2);
	CHECK_INT(number(&sent[1], "EXECSNOOP_PID"), 3);
	CHECK_STR(field(&sent[2], "EXECSNOOP_TYPE"), "exited");
	CHECK_INT(number(&sent[3], "EXECSNOOP_PID"), 4);
	CHECK_INT(number(&sent[4], "EXECSNOOP_PID"), 6);
}

/* With sd_journal_sendv: a /run of our own, with and without a socket in it. */

static bool write_file(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* Without privilege: as root of a user namespace, whose ids must be mapped or no file can be made. */
static bool own_users(void)
{
	char uids[32], gids[32];

	snprintf(uids, sizeof(uids), "0 %u 1", (unsigned)getuid());
	snprintf(gids, sizeof(gids), "0 %u 1", (unsigned)getgid());
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_file("/proc/self/setgroups", "deny") &&
	       write_file("/proc/self/uid_map", uids) && write_file("/proc/self/gid_map", gids);
}

static bool own_run(void)
{
	return (unshare(CLONE_NEWNS) == 0 || own_users()) &&
	       mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", "/run", "tmpfs", 0, "mode=0777") == 0;
}

static struct journal *real_journal(void)
{
	struct journal_config config = { .queue = 32 << 20, .args_limit = UINT64_MAX, .keys = KEYS_ALL };
	struct journal *journal = NULL;

	if (!table)
		CHECK_INT(proctable_new(&table, 1 << 20), 0);
	CHECK_INT(journal_new(&journal, &config), 0);
	CHECK_INT(journal_join(journal, table), 0);
	return journal;
}

TEST(entries_without_journald_are_counted_lost)
{
	struct journal_stats stats = { 0 };
	struct journal *journal;

	if (!own_run()) {
		printf("# skipped: no mount namespace\n");
		return;
	}
	tap_limit(30);
	journal = real_journal();
	write_started(journal, 1);
	flush(journal);
	while (stats.lost == 0) {
		usleep(1000);
		journal_stats(journal, &stats);
	}
	CHECK_INT(stats.lost, 1);
	CHECK_INT(stats.written, 0);
	CHECK(journal_free(journal, 10000) == NULL);
}

/* One datagram, or the memfd that came instead of it: journald's native protocol. */
static size_t receive(int fd, char **ret)
{
	static char data[16 << 20], control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { data, sizeof(data) };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	ssize_t n = recvmsg(fd, &message, 0);
	int file;
	off_t size;

	CHECK(n >= 0);
	*ret = data;
	if (n > 0)
		return (size_t)n;
	CHECK(CMSG_FIRSTHDR(&message) != NULL);
	memcpy(&file, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(file));
	size = lseek(file, 0, SEEK_END);
	*ret = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, file, 0);
	CHECK(*ret != MAP_FAILED);
	return (size_t)size;
}

TEST(journald_receives_the_entries)
{
	static char args[5000000];
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct process process = curl();
	struct event event = event_of(EVENT_STARTED, &process);
	struct journal_stats stats;
	struct journal *journal;
	char *data;
	size_t size;

	if (!own_run()) {
		printf("# skipped: no mount namespace\n");
		return;
	}
	tap_limit(30);
	CHECK(mkdir("/run/systemd", 0755) == 0 && mkdir("/run/systemd/journal", 0755) == 0);
	CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	journal = real_journal();
	write_event(journal, &event);
	flush(journal);
	size = receive(fd, &data);
	CHECK(memmem(data, size, "EXECSNOOP_EXE=/usr/bin/curl\n", 28) != NULL);
	CHECK(memmem(data, size, "SYSLOG_IDENTIFIER=execsnoopd\n", 29) != NULL);
	CHECK(memmem(data, size, "MESSAGE_ID=" MESSAGE_ID_STARTED "\n", 44) != NULL);
	/* Bytes that the line protocol could not carry. */
	process.comm = BYTES("a\nb\xff");
	write_event(journal, &event);
	flush(journal);
	size = receive(fd, &data);
	CHECK(memmem(data, size, "EXECSNOOP_COMM\n\4\0\0\0\0\0\0\0a\nb\xff\n", 28) != NULL);
	/* Larger than a datagram may be. */
	memset(args, 'x', sizeof(args) - 1);
	process.image.args = (struct bytes){ args, sizeof(args) };
	write_event(journal, &event);
	flush(journal);
	size = receive(fd, &data);
	CHECK(size > 2 * sizeof(args));
	CHECK(memmem(data, size, args, sizeof(args) - 1) != NULL);
	/* As many fields as it ever has. */
	process.image.args = process.ancestors = process.image.env = many("a\n");
	write_event(journal, &event);
	flush(journal);
	size = receive(fd, &data);
	CHECK(memmem(data, size, "EXECSNOOP_ENV\n\2\0\0\0\0\0\0\0a\n\n", 25) != NULL);
	/* journald dies and leaves its socket. */
	close(fd);
	write_event(journal, &event);
	CHECK(journal_free(TAKE_PTR(journal), 20000) == NULL);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	unlink(address.sun_path);
	journal = real_journal();
	write_event(journal, &event);
	flush(journal);
	do {
		usleep(1000);
		journal_stats(journal, &stats);
	} while (stats.lost == 0);
	/* It comes back: the loss is reported first, with no event in between. */
	CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	size = receive(fd, &data);
	CHECK(memmem(data, size, "EXECSNOOP_TYPE=lost\n", 20) != NULL);
	CHECK(memmem(data, size, "EXECSNOOP_COUNT=1\n", 18) != NULL);
	CHECK(journal_free(journal, 10000) == NULL);
	close(fd);
}

TAP_MAIN
