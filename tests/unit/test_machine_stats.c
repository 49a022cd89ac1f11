/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pipeline/machine_stats.h"

#include <errno.h>
#include <yajl/yajl_tree.h>

#include "tap.h"

#define MS UINT64_C(1000000)

static struct machine_stats stats;
static struct process process;

static void end_after(uint64_t ns, uint32_t status, uint64_t cpu_ns)
{
	struct event event = { .type = EVENT_EXITED, .process = &process };

	event.end.running_ns = ns;
	event.end.status_known = status != UINT32_MAX;
	event.end.status = status;
	event.end.cpu_known = cpu_ns > 0;
	event.end.cpu_user_ns = cpu_ns / 2;
	event.end.cpu_system_ns = cpu_ns - cpu_ns / 2;
	machine_stats_event(&stats, &event);
}

static void fail(int error)
{
	const struct event event = { .type = EVENT_ERROR, .process = &process, .error = error };

	machine_stats_event(&stats, &event);
}

TEST(ends_are_counted_by_result)
{
	end_after(1, 0, 0);
	end_after(1, 3 << 8, 0);
	end_after(1, 3 << 8, 0);
	end_after(1, 9, 0);
	end_after(1, 0x80 | 11, 0);
	end_after(1, UINT32_MAX, 0);
	CHECK_INT(stats.results[RESULT_SUCCESS], 1);
	CHECK_INT(stats.results[RESULT_EXIT_CODE], 2);
	CHECK_INT(stats.results[RESULT_SIGNAL], 1);
	CHECK_INT(stats.results[RESULT_CORE_DUMP], 1);
	CHECK_INT(stats.results[RESULT_UNKNOWN], 1);
}

/* A bound belongs to the class below it, as `le` of a histogram. */
TEST(lifetimes_are_classed_by_their_bounds)
{
	end_after(0, 0, 10);
	end_after(MS, 0, 10);
	end_after(MS + 1, 0, 10);
	end_after(100 * MS, 0, 10);
	end_after(100 * MS + 1, 0, 7);
	end_after(3600 * 1000 * MS, 0, 5);
	end_after(3600 * 1000 * MS + 1, 0, 0);
	CHECK_INT(stats.lifetimes[0], 2);
	CHECK_INT(stats.lifetimes[1], 1);
	CHECK_INT(stats.lifetimes[4], 1);
	CHECK_INT(stats.lifetimes[5], 1);
	CHECK_INT(stats.lifetimes[MACHINE_LIFETIMES - 2], 1);
	CHECK_INT(stats.lifetimes[MACHINE_LIFETIMES - 1], 1);
	CHECK_INT(stats.cpu_ns[0], 40);
	CHECK_INT(stats.cpu_ns[1], 7);
	CHECK_INT(stats.cpu_ns[MACHINE_CPU_LIFETIMES - 1], 5);
}

TEST(errors_beyond_the_table_are_counted_together)
{
	yajl_gen gen = yajl_gen_alloc(NULL);
	const unsigned char *text;
	char error[64];
	size_t size;
	yajl_val tree;

	fail(ENOENT);
	fail(ENOENT);
	fail(EHWPOISON);
	fail(4000);
	fail(41); /* no error has this number */
	machine_stats_gen(&stats, gen);
	CHECK_INT(yajl_gen_get_buf(gen, &text, &size), yajl_gen_status_ok);
	tree = yajl_tree_parse((const char *)text, error, sizeof(error));
	CHECK(tree);
#define COUNT(name) YAJL_GET_INTEGER(yajl_tree_get(tree, (const char *[]){ "exec_errors", name, NULL }, yajl_t_number))
	CHECK_INT(COUNT("ENOENT"), 2);
	CHECK_INT(COUNT("EHWPOISON"), 1);
	CHECK_INT(COUNT("other"), 2);
	yajl_tree_free(tree);
	yajl_gen_free(gen);
}

TEST(starts_with_privileges_and_from_memory_are_counted)
{
	const struct event event = { .type = EVENT_STARTED, .process = &process };

	machine_stats_event(&stats, &event);
	process.image.secureexec = true;
	machine_stats_event(&stats, &event);
	machine_stats_event(&stats, &event);
	process.image.exe_memfd = true;
	machine_stats_event(&stats, &event);
	CHECK_INT(stats.secureexec, 3);
	CHECK_INT(stats.memfd_execs, 1);
}

TAP_MAIN
