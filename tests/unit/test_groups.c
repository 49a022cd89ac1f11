/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/collect/groups.h"

#include "ctl/event/event_parser.h"
#include "tap.h"

#define MS UINT64_C(1000000)

static struct groups *groups;
static struct event_parser *parser;

static void begin(void)
{
	const struct groups_options by_exe = { .keys = { GROUP_EXE }, .key_count = 1, .max = 8 };

	CHECK_INT(groups_new(&groups, &by_exe), 0);
	CHECK_INT(event_parser_new(&parser), 0);
}

SETUP(begin)

static void end(void)
{
	groups_free(groups);
	event_parser_free(parser);
}
TEARDOWN(end)

static void add(const char *line)
{
	struct parsed parsed;
	const char *reason;

	CHECK_INT(event_parser_line(parser, bytes_of(line), &parsed, &reason), 0);
	CHECK_INT(groups_add(groups, &parsed), 0);
}

static void start(const char *id, const char *exe)
{
	char line[512];

	snprintf(line, sizeof(line), "{\"type\":\"started\",\"id\":\"%s\",\"exe\":\"%s\"}", id, exe);
	add(line);
}

static void fail(const char *id, const char *exe, int error)
{
	char line[512];

	snprintf(line, sizeof(line), "{\"type\":\"error\",\"id\":\"%s\",\"exe\":\"%s\",\"error_code\":%d}", id, exe,
		 -error);
	add(line);
}

static void stop(const char *id, const char *exe, uint64_t running_ms, uint64_t cpu_ms, int status)
{
	char line[512];

	snprintf(line, sizeof(line),
		 "{\"type\":\"exited\",\"id\":\"%s\",\"exe\":\"%s\",\"running_time_ns\":%" PRIu64
		 ",\"exit_code\":%d,\"cpu_user_ns\":%" PRIu64 ",\"cpu_system_ns\":0,\"max_rss_bytes\":4096}",
		 id, exe, running_ms * MS, status, cpu_ms * MS);
	add(line);
}

/* NULL: `other`. */
static const struct group *find(const char *name)
{
	size_t count;
	struct group *const *all = groups_sort(groups, ORDER_NAME, &count);

	for (size_t i = 0; i < count; i++)
		if (name ? all[i]->names[0] && strcmp(all[i]->names[0], name) == 0 : !all[i]->names[0])
			return all[i];
	printf("# no group %s\n", name ? name : "other");
	exit(1);
}

TEST(sums_of_a_group_are_those_of_its_ends)
{
	const struct sums *sums;

	start("a", "/x");
	start("b", "/x");
	stop("a", "/x", 50, 40, 0);
	stop("b", "/x", 1500, 1000, 3);
	start("c", "/x");
	sums = &find("/x")->sums;
	CHECK_INT(sums->started, 3);
	CHECK_INT(sums->ended, 2);
	CHECK_INT(sums->failed, 1);
	CHECK_INT(sums->below_100ms, 1);
	CHECK_INT(sums->below_1s, 1);
	CHECK_INT(sums->cpu_ns, 1040 * MS);
	CHECK_INT(sums->below_1s_cpu_ns, 40 * MS);
	CHECK_INT(sums->longest_ns, 1500 * MS);
	CHECK_INT(find("/x")->running, 1);
}

TEST(exec_moves_a_process_to_its_new_group)
{
	start("a", "/bin/sh");
	start("a", "/bin/ls");
	CHECK_INT(find("/bin/sh")->running, 0);
	CHECK_INT(find("/bin/ls")->running, 1);
	CHECK_INT(groups_running(groups), 1);
	stop("a", "/bin/ls", 1, 1, 0);
	CHECK_INT(find("/bin/ls")->running, 0);
	CHECK_INT(groups_running(groups), 0);
}

TEST(process_that_was_there_is_running_but_not_started)
{
	add("{\"type\":\"started\",\"snapshot\":true,\"source\":\"proc\",\"id\":\"a\",\"exe\":\"/x\"}");
	add("{\"type\":\"started\",\"source\":\"resync\",\"id\":\"b\",\"exe\":\"/x\"}");
	CHECK_INT(find("/x")->sums.started, 1);
	CHECK_INT(find("/x")->running, 2);
}

/* What dash and execvp(3) do for "convert" along /usr/local/bin:/usr/bin. */
TEST(search_along_path_is_no_failure_if_the_program_is_found)
{
	fail("a", "/usr/local/bin/convert", 2);
	fail("a", "/opt/bin/convert", 13);
	start("a", "/usr/bin/convert");
	CHECK_INT(groups_total(groups)->errors, 0);
	CHECK_INT(groups_total(groups)->searched, 2);
	CHECK_INT(find("/usr/local/bin/convert")->sums.errors, 0);
}

/* As an output with path_search = fold has them. */
TEST(folded_searches_are_counted_by_their_tries)
{
	add("{\"type\":\"started\",\"id\":\"a\",\"exe\":\"/usr/bin/x\",\"path_tries\":5}");
	add("{\"type\":\"error\",\"id\":\"a\",\"exe\":\"/bin/y\",\"error_code\":-2,\"path_tries\":3}");
	CHECK_INT(groups_total(groups)->errors, 1);
	CHECK_INT(groups_total(groups)->searched, 6);
	CHECK_INT(find("/usr/bin/x")->sums.searched, 4);
}

TEST(search_that_finds_nothing_is_one_failure)
{
	fail("a", "/usr/local/bin/convert", 2);
	fail("a", "/usr/bin/convert", 2);
	fail("a", "/bin/convert", 2);
	start("a", "/bin/other");
	CHECK_INT(groups_total(groups)->errors, 1);
	CHECK_INT(groups_total(groups)->searched, 2);
	CHECK_INT(find("/bin/convert")->sums.errors, 1);
}

/* ENOEXEC and other names are no step of a search, and so is what another process does. */
TEST(other_failures_are_no_search)
{
	fail("a", "/usr/bin/script", 8);
	start("a", "/usr/bin/script");
	fail("b", "/bin/one", 2);
	fail("b", "/bin/two", 2);
	fail("c", "/bin/two", 2);
	CHECK_INT(groups_total(groups)->errors, 4);
	CHECK_INT(groups_total(groups)->searched, 0);
}

TEST(groups_beyond_the_limit_are_summed_up)
{
	uint64_t started = 0, running = 0;
	struct group *const *all;
	char id[16], exe[16];
	size_t count;

	for (int i = 0; i < 1000; i++) {
		snprintf(id, sizeof(id), "p%d", i);
		snprintf(exe, sizeof(exe), "/x%d", i);
		start(id, i % 2 ? "/large" : exe);
	}
	all = groups_sort(groups, ORDER_STARTED, &count);
	CHECK(count <= 9);
	for (size_t i = 0; i < count; i++) {
		started += all[i]->sums.started;
		running += all[i]->running;
	}
	CHECK_INT(started, 1000);
	CHECK_INT(running, 1000);
	CHECK_INT(find("/large")->sums.started, 500);
	/* Their ends find the groups that they are in now. */
	for (int i = 0; i < 1000; i++) {
		snprintf(id, sizeof(id), "p%d", i);
		snprintf(exe, sizeof(exe), "/x%d", i);
		stop(id, i % 2 ? "/large" : exe, 1, 1, 0);
	}
	CHECK_INT(groups_running(groups), 0);
	CHECK_INT(find("/large")->running, 0);
	CHECK_INT(find(NULL)->running, 0);
	CHECK_INT(groups_total(groups)->ended, 1000);
}

TEST(reset_keeps_what_runs)
{
	size_t count;

	start("a", "/stays");
	start("b", "/goes");
	stop("b", "/goes", 1, 1, 0);
	groups_reset(groups);
	groups_sort(groups, ORDER_NAME, &count);
	CHECK_INT(count, 1);
	CHECK_INT(find("/stays")->running, 1);
	CHECK_INT(find("/stays")->sums.started, 0);
	CHECK_INT(groups_total(groups)->ended, 0);
	stop("a", "/stays", 1, 1, 0);
	groups_reset(groups);
	groups_sort(groups, ORDER_NAME, &count);
	CHECK_INT(count, 0);
}

/* More processes than the first table has room for, ended in another order. */
TEST(many_processes_are_followed)
{
	char id[16];

	for (int i = 0; i < 20000; i++) {
		snprintf(id, sizeof(id), "%d", i);
		start(id, "/x");
	}
	CHECK_INT(find("/x")->running, 20000);
	for (int i = 0; i < 20000; i++) {
		snprintf(id, sizeof(id), "%d", i * 7919 % 20000);
		stop(id, "/x", 1, 1, 0);
	}
	CHECK_INT(find("/x")->running, 0);
	CHECK_INT(groups_running(groups), 0);
}

TAP_MAIN
