/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Real processes, with a list and a ring of the test's own. */
#include "pipeline/resync.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_ring.h"
#include "fake_sink.h"
#include "tap.h"

static struct record_running list[16];
static size_t listed;
static struct fake_ring producer;
static struct ringbuf *ring;

/* The list as it is now. */
static int list_tasks(struct probe *probe, struct task_list **ret)
{
	int fd = fake_map(0);

	CHECK_INT(pwrite(fd, list, listed * sizeof(list[0]), 0), (ssize_t)(listed * sizeof(list[0])));
	return task_list_new_from(ret, fd);
}

static struct event ends[16];
static size_t started, ended;
static enum source source; /* of the last that started */

static void on_event(struct sink *sink, const struct event *event, struct encoder *encoder)
{
	if (event->type == EVENT_EXITED)
		ends[ended++] = *event;
	if (event->type == EVENT_STARTED) {
		started++;
		source = event->source;
	}
}

static struct resync *resync;
static struct settings settings = { .probes.args_limit = 4096 };
static pid_t pid; /* a process that waits */

static unsigned long long start_of(pid_t process)
{
	char path[64], text[1024] = "", *at;
	unsigned long long ticks = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)process);
	f = fopen(path, "re");
	CHECK(f && fread(text, 1, sizeof(text) - 1, f) > 0);
	fclose(f);
	at = strrchr(text, ')') + 2;
	for (int field = 3; field < 22; field++)
		at = strchr(at, ' ') + 1;
	ticks = strtoull(at, NULL, 10);
	return ticks * (1000000000ull / (unsigned long long)sysconf(_SC_CLK_TCK));
}

static pid_t waiting_child(void)
{
	pid_t child = fork();

	if (child == 0) {
		/* Where a check fails, it would keep the test's standard output open. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	return child;
}

static void begin(void)
{
	const struct pipeline_config config = { .args_limit = 4096, .table_memory = 1 << 20 };

	pid = waiting_child();
	fake_ring_begin(&producer);
	CHECK_INT(ringbuf_new(&ring, producer.fd, FAKE_RING_SIZE), 0);
	pipeline_begin(&config);
	CHECK_INT(resync_new(&resync,
			     &(struct resync_config){
				     .ring = ring,
				     .list_tasks = list_tasks,
				     .pipeline = pipeline,
				     .settings = &settings,
			     }),
		  0);
}
SETUP(begin)

/* It is in the table and not in the list, which is read. */
static void begin_resync(void)
{
	pipeline_go_live(pipeline);
	make_exec((unsigned)pid, start_of(pid), 2000, "x", 2, 1);
	feed();
	CHECK_INT(resync_begin(resync), 0);
	CHECK_INT(resync_step(resync, 3000), 0);
}

static void end(void)
{
	resync = resync_free(resync);
	pipeline = pipeline_free(pipeline);
	ring = ringbuf_free(ring);
	fake_ring_end(&producer);
	kill(pid, SIGKILL);
	CHECK_INT(waitpid(pid, NULL, 0), pid);
}
TEARDOWN(end)

/* Until it waits for the ring, or is over; what the last step returned. */
static int step(void)
{
	int r;

	do
		r = resync_step(resync, 3000);
	while (r == 0 && resync_is_under_way(resync) && !resync_waits(resync));
	return r;
}

static uint32_t *incomplete;

static void reserve_record(void)
{
	incomplete = fake_ring_reserve(&producer, "", 1);
}

static int drop(void *userdata, const void *data, size_t size)
{
	return 0;
}

static void drain_record(void)
{
	fake_ring_commit(incomplete);
	CHECK_INT(ringbuf_consume(ring, 1, drop, NULL), 1);
}

static void list_it(pid_t process, uint64_t exec_id, uint64_t flags)
{
	struct record_running *running = &list[listed++];

	*running = (struct record_running){ .flags = flags };
	record_process(&running->process, (unsigned)process, start_of(process), 1, 1, "listed");
	running->process.exec_id = exec_id;
	running->process.flags = PROCESS_F_EXECED;
}

static void kill_child(void)
{
	siginfo_t info;

	CHECK_INT(kill(pid, SIGKILL), 0);
	CHECK_INT(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

/* Its end is recorded, behind a record that is not complete for long. */
TEST(end_after_an_incomplete_record_has_its_status)
{
	unsigned long long start = start_of(pid);

	begin_resync();
	kill_child();
	reserve_record();
	for (int i = 0; i < 1000; i++)
		step();
	CHECK_INT(ended, 0);
	CHECK(resync_is_under_way(resync) && resync_waits(resync));
	make_exit((unsigned)pid, start, 2500, 9);
	feed();
	drain_record();
	step();
	CHECK(!resync_is_under_way(resync));
	CHECK_INT(ended, 1);
	CHECK(ends[0].end.status_known);
	CHECK_INT(ends[0].end.status, 9);
}

/* The list was read before that record was complete: what is behind it may be the end of what is listed. */
TEST(comparison_waits_for_records_made_during_the_listing)
{
	pipeline_go_live(pipeline);
	list_it(pid, 5, 0);
	reserve_record();
	CHECK_INT(resync_begin(resync), 0);
	for (int i = 0; i < 1000; i++)
		step();
	CHECK_INT(started, 0);
	make_exec((unsigned)pid, start_of(pid), 5, "x", 2, 1);
	feed();
	drain_record();
	step();
	CHECK(!resync_is_under_way(resync));
	CHECK_INT(started, 1);
	CHECK_INT(source, SOURCE_PROBE);
}

/* /proc may show its arguments already, as if they were of the exec that the list says. */
TEST(exec_between_listing_and_lookup_is_reported_once)
{
	pipeline_go_live(pipeline);
	list_it(pid, 5, 0);
	CHECK_INT(resync_begin(resync), 0);
	for (int i = 0; i < 2; i++)
		CHECK_INT(resync_step(resync, 3000), 0);
	reserve_record();
	while (!resync_waits(resync))
		CHECK_INT(resync_step(resync, 3000), 0);
	CHECK_INT(started, 0);
	make_exec((unsigned)pid, start_of(pid), 6, "x", 2, 1);
	feed();
	drain_record();
	while (resync_is_under_way(resync))
		CHECK_INT(resync_step(resync, 3000), 0);
	CHECK_INT(started, 1);
	CHECK_INT(source, SOURCE_PROBE);
}

TEST(lost_end_is_reported_once)
{
	begin_resync();
	kill_child();
	step();
	CHECK(!resync_is_under_way(resync));
	CHECK_INT(ended, 1);
	CHECK(!ends[0].end.status_known);
	CHECK_INT(ends[0].source, SOURCE_RESYNC);
}

/* Its start was lost, and its end comes after the list was read. The tracepoint may be passed long before /proc shows a
 * zombie. */
TEST(end_of_a_missed_process_adds_no_phantom)
{
	for (int while_reading = 0; while_reading < 2; while_reading++) {
		if (while_reading) {
			end();
			begin();
		}
		pipeline_go_live(pipeline);
		list_it(pid, 5, 0);
		CHECK_INT(resync_begin(resync), 0);
		if (!while_reading)
			CHECK_INT(resync_step(resync, 3000), 0);
		make_exit((unsigned)pid, start_of(pid), 2500, 9);
		feed();
		step();
		CHECK(!resync_is_under_way(resync));
		CHECK_INT(started, 0);
		CHECK_INT(proctable_count(pipeline_table(pipeline)), 0);
		listed = 0;
	}
}

TEST(exec_under_way_is_reported_by_its_record)
{
	begin_resync();
	started = 0;
	list_it(pid, 2001, RUNNING_F_EXECING);
	step();
	CHECK_INT(resync_begin(resync), 0);
	CHECK_INT(step(), RESYNC_AGAIN);
	CHECK_INT(started, 0);
	make_exec((unsigned)pid, start_of(pid), 2001, "x", 2, 1);
	feed();
	CHECK_INT(started, 1);
	CHECK_INT(source, SOURCE_PROBE);
	CHECK_INT(resync_begin(resync), 0);
	CHECK_INT(step(), 0);
	CHECK_INT(started, 1);
}

TEST(exec_with_a_lost_record_is_reported_once_it_is_over)
{
	begin_resync();
	started = 0;
	list_it(pid, 2001, RUNNING_F_EXECING);
	step();
	CHECK_INT(resync_begin(resync), 0);
	CHECK_INT(step(), RESYNC_AGAIN);
	CHECK_INT(started, 0);
	list[0].flags = 0;
	CHECK_INT(resync_begin(resync), 0);
	CHECK_INT(step(), 0);
	CHECK_INT(started, 1);
	CHECK_INT(source, SOURCE_RESYNC);
}

/* Its record may be lost or yet to come. Here it is lost. */
TEST(end_under_way_is_reported_once_it_is_over)
{
	begin_resync();
	step();
	list_it(pid, 2000, RUNNING_F_ENDING);
	CHECK_INT(resync_begin(resync), 0);
	CHECK_INT(step(), RESYNC_AGAIN);
	CHECK_INT(ended, 0);
	listed = 0;
	kill_child();
	CHECK_INT(resync_begin(resync), 0);
	CHECK_INT(step(), 0);
	CHECK_INT(ended, 1);
}

/* Nor as the parent that a child of it names: it may have passed the tracepoint before it had a probe. */
TEST(process_ending_at_the_start_is_not_added)
{
	pid_t child = waiting_child();

	list_it(pid, 5, RUNNING_F_ENDING);
	list_it(child, 5, 0);
	list[1].process.ppid = (unsigned)pid;
	list[1].process.parent_start = start_of(pid);
	CHECK_INT(resync_load(resync, UINT64_MAX), 0);
	CHECK_INT(proctable_count(pipeline_table(pipeline)), 1);
	CHECK(proctable_find(pipeline_table(pipeline), (unsigned)child, 0));
	kill(child, SIGKILL);
}

/* Another one, whose file does not answer. */
TEST(unfinished_exec_hides_the_previous_for_a_limited_time)
{
	int r = RESYNC_AGAIN;

	begin_resync();
	started = 0;
	list_it(pid, 2001, RUNNING_F_EXECING);
	step();
	for (int i = 0; r == RESYNC_AGAIN && i < 100; i++) {
		CHECK_INT(resync_begin(resync), 0);
		r = step();
	}
	CHECK_INT(r, 0);
	CHECK_INT(started, 1);
}

TEST(exec_under_way_at_the_start_is_reported_by_its_record)
{
	list_it(pid, 5, RUNNING_F_EXECING);
	CHECK_INT(resync_load(resync, UINT64_MAX), 0);
	pipeline_go_live(pipeline);
	for (int i = 0; i < 2; i++) {
		make_exec((unsigned)pid, start_of(pid), 5, "x", 2, 1);
		feed();
		CHECK_INT(started, 1);
	}
}

TEST(hidden_process_is_not_reported_gone)
{
	begin_resync();
	step();
	CHECK(!resync_is_under_way(resync));
	CHECK_INT(ended, 0);
}

static void *wait_in_thread(void *argument)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pause();
	return NULL;
}

/* Its leader is a zombie. */
TEST(process_with_an_ended_leader_is_not_reported_gone)
{
	char path[64], text[512] = "";
	FILE *f;

	pid = fork();
	if (pid == 0) {
		pthread_t thread;

		pthread_create(&thread, NULL, wait_in_thread, NULL);
		pthread_exit(NULL);
	}
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	while (!strstr(text, ") Z ")) {
		f = fopen(path, "re");
		CHECK(f && fgets(text, sizeof(text), f));
		fclose(f);
	}
	begin_resync();
	step();
	CHECK(!resync_is_under_way(resync));
	CHECK_INT(ended, 0);
}

TAP_MAIN
