/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes that the kernel's list leaves out: real ones, with a list of the test's own, which is empty. */
#include "census.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "records.h"
#include "tap.h"

int probe_running(struct probe *probe, struct running **ret)
{
	(void)probe;
	*ret = NULL;
	return 0;
}

struct running *running_free(struct running *running)
{
	return running;
}

int running_read(struct running *running, const struct record_running **ret)
{
	(void)running;
	*ret = NULL;
	return 0;
}

static struct event ends[16];
static size_t ended;

static void on_event(struct sink *sink, const struct event *event, struct encoder *encoder)
{
	(void)sink;
	(void)encoder;
	if (event->type == EVENT_EXITED)
		ends[ended++] = *event;
}

static const struct sink_ops ops = { .event = on_event };
static struct sink sink = { .ops = &ops };
static struct pipeline *pipeline;
static struct census *census;
static struct settings settings = { .probes.args_limit = 4096 };

static unsigned long long start_of(pid_t pid)
{
	char path[64], text[1024] = "", *at;
	unsigned long long ticks = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	CHECK(f && fread(text, 1, sizeof(text) - 1, f) > 0);
	fclose(f);
	at = strrchr(text, ')') + 2;
	for (int field = 3; field < 22; field++)
		at = strchr(at, ' ') + 1;
	ticks = strtoull(at, NULL, 10);
	return ticks * (1000000000ull / (unsigned long long)sysconf(_SC_CLK_TCK));
}

static void feed(void)
{
	CHECK_INT(pipeline_record(pipeline, &record, record.head.size), 0);
}

/* The list is read, and nothing but it and /proc has been asked. */
static void begin(pid_t pid)
{
	const struct pipeline_config config = { .args_limit = 4096, .table_memory = 1 << 20 };

	CHECK_INT(pipeline_new(&pipeline, &config), 0);
	pipeline_add_sink(pipeline, &sink);
	CHECK_INT(census_new(&census, NULL, pipeline, &settings), 0);
	pipeline_go_live(pipeline);
	make_exec((unsigned)pid, start_of(pid), 2000, "x", 2, 1);
	feed();
	CHECK_INT(census_begin(census), 0);
	CHECK_INT(census_step(census, true, 3000), 0);
	CHECK_INT(census_step(census, true, 3000), 0);
}

static void end(void)
{
	census = census_free(census);
	pipeline = pipeline_free(pipeline);
}

/* Until it waits for a ring that is empty, or is over. */
static void step(void)
{
	for (int i = 0; i < 10; i++)
		CHECK_INT(census_step(census, false, 3000), 0);
}

static pid_t waiting_child(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	return pid;
}

static void kill_child(pid_t pid)
{
	siginfo_t info;

	CHECK_INT(kill(pid, SIGKILL), 0);
	CHECK_INT(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

/* Its end was in the ring all the time. */
TEST(an_end_that_is_recorded_is_told_as_it_was)
{
	pid_t pid = waiting_child();
	unsigned long long start = start_of(pid);

	begin(pid);
	kill_child(pid);
	step();
	CHECK_INT(ended, 0);
	make_exit((unsigned)pid, start, 2500, 9);
	feed();
	CHECK_INT(census_step(census, true, 3000), 0);
	CHECK(!census_is_under_way(census));
	CHECK_INT(ended, 1);
	CHECK(ends[0].end.status_known);
	CHECK_INT(ends[0].end.status, 9);
	CHECK_INT(waitpid(pid, NULL, 0), pid);
	end();
}

TEST(an_end_that_is_lost_is_told_once)
{
	pid_t pid = waiting_child();

	begin(pid);
	kill_child(pid);
	step();
	CHECK_INT(ended, 0);
	CHECK_INT(census_step(census, true, 3000), 0);
	CHECK(!census_is_under_way(census));
	CHECK_INT(ended, 1);
	CHECK(!ends[0].end.status_known);
	CHECK_INT(ends[0].source, SOURCE_RESYNC);
	CHECK_INT(waitpid(pid, NULL, 0), pid);
	end();
}

TEST(a_hidden_process_is_not_gone)
{
	pid_t pid = waiting_child();

	begin(pid);
	step();
	CHECK_INT(census_step(census, true, 3000), 0);
	CHECK(!census_is_under_way(census));
	CHECK_INT(ended, 0);
	kill_child(pid);
	CHECK_INT(waitpid(pid, NULL, 0), pid);
	end();
}

static void *wait_in_thread(void *argument)
{
	(void)argument;
	pause();
	return NULL;
}

/* Its leader is a zombie. */
TEST(a_process_whose_leader_has_ended_is_not_gone)
{
	char path[64], text[512] = "";
	pid_t pid = fork();
	FILE *f;

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
	begin(pid);
	step();
	CHECK_INT(census_step(census, true, 3000), 0);
	CHECK(!census_is_under_way(census));
	CHECK_INT(ended, 0);
	CHECK_INT(kill(pid, SIGKILL), 0);
	CHECK_INT(waitpid(pid, NULL, 0), pid);
	end();
}

TAP_MAIN
