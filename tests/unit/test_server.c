/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Snapshots, queues and limits of all peers together; reload; the end. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "output/subscriber.h"
#include "records.h"
#include "server_fixture.h"

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
}

/* Also where events wait behind the snapshot, which are not in it. */
TEST(live_has_the_number_of_the_last_event_before_the_snapshot)
{
	int fd;

	begin("");
	execs(1, 5000);
	fd = client();
	settle();
	execs(6000, 2);
	take(fd);
	CHECK_INT(count_of("\"snapshot\":true"), 5000);
	CHECK_INT(count_of("\"stream\":\"0000000000000123\",\"last_seq\":5000,"), 1);
	CHECK(strstr(last_line(), "\"seq\":5002,"));
	execs(6002, 3);
	ask(fd, "{\"comm\":\"nobody\"}\n");
	take(fd);
	CHECK_INT(count_of("\"seq\":"), 3);
	CHECK(strstr(last_line(), "\"type\":\"subscribed\""));
	CHECK(strstr(last_line(), "\"stream\":\"0000000000000123\",\"last_seq\":5005}"));
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
}

TEST(loss_is_reported_exactly_in_its_place)
{
	unsigned long long next = 1, seq, count, first, last;
	const unsigned rounds = getenv("VALGRIND") ? 2 : 20;
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
}

/* To find the first one among all subscribers may take as long as a turn. */
TEST(each_turn_of_a_reload_renews_some)
{
	struct settings *new;
	int plain[3];

	begin("snapshot = no\n");
	for (unsigned i = 0; i < 3; i++)
		plain[i] = client();
	settle();
	/* The latest is looked at first. */
	for (unsigned i = 0; i < 5; i++)
		ask(client(), "{\"fields\":[\"pid\"]}\n");
	settle();
	new = settings_of("snapshot = no\nfields = comm\n");
	CHECK_INT(server_reload(server, new), 0);
	cpu_step_us = 1000000;
	for (unsigned turns = 0; server_is_reloading(server); turns++) {
		CHECK(turns < 5);
		CHECK(sd_event_run(event, 0) > 0);
	}
	cpu_step_us = 0;
	settings_free(settings);
	settings = new;
	for (unsigned i = 0; i < 3; i++)
		take(plain[i]);
	execs(1, 1);
	for (unsigned i = 0; i < 3; i++) {
		take(plain[i]);
		CHECK_STR(text, "{\"type\":\"started\",\"comm\":\"ls\"}\n");
	}
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

/* A stream that had a snapshot of `count` processes: what is not there is said in its place, and numbers have no silent
 * gap. */
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
	/* An end is not reported to a subscriber that may not see the beginning. */
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
	/* In one turn only so long is written. */
	if (getenv("VALGRIND"))
		settle();
	CHECK_INT(stats().subscribers, 0);
	/* It reads no more, but may still send. */
	fd = client();
	take(fd);
	shutdown(fd, SHUT_RD);
	execs(20001, 1);
	CHECK_INT(stats().subscribers, 0);
	settle();
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

/* A descriptor that was not asked for. */
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
	int times = tap_rounds(2000), good;
	size_t memory;
	unsigned fds;

	begin("queue = 64K\n");
	execs(1, 300);
	attack_times(200);
	memory = mallinfo2().uordblks;
	fds = count_fds();
	attack_times((unsigned)times);
	CHECK_INT(count_fds(), fds);
	/* But for what malloc(3) keeps at hand of each size; a leak would be 16 bytes a connection at least. */
	CHECK(mallinfo2().uordblks <= memory + 16384);
	CHECK_INT(proctable_retained(pipeline_table(pipeline)), 0);
	CHECK_INT(stats().accepted, 200 + times);
	good = client();
	take(good);
	CHECK_INT(count_of("\"snapshot\":true"), 300);
}

static struct checkpoint_page *left;
static struct checkpoint_work at_work;

static void see_work(void)
{
	if (left->work.slot > 0)
		at_work = left->work;
}

/* A daemon that dies meanwhile has a successor that does not resume it. */
TEST(subscriber_is_known_while_it_is_resumed)
{
	static const char *const name = STORE_PREFIX STORE_VERSION "-subscriber-7";
	struct checkpoint *checkpoint;
	struct fdstore *store;
	int fds[2];

	CHECK_INT(checkpoint_new(&checkpoint, 1), 0);
	left = checkpoint_page(checkpoint);
	left->subscribers[3] = (struct checkpoint_subscriber){
		.slot = 7, .cred.uid = getuid(), .subscription = "{}", .subscription_size = 2, .stream.joined = true
	};
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	CHECK_INT(fdstore_new_of(&store, fds, &name, 1), 0);
	begin("snapshot = no\n");
	on_clock = see_work;
	CHECK_INT(server_resume(server, left, store), 1);
	on_clock = NULL;
	CHECK(at_work.slot == 7 && at_work.is_own && at_work.fault);
	CHECK_INT(left->work.slot, 0);
	exec_of(1);
	pipeline_flush(pipeline);
	take(fds[1]);
	CHECK_INT(count_of("\"type\":\"started\""), 1);
	close(fds[1]);
	settle();
	fdstore_free(store);
	checkpoint_free(checkpoint);
}

TAP_MAIN
