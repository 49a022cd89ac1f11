/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/view/view_status.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <yajl/yajl_tree.h>

#include "ctl/text/event_text.h"
#include "ctl/text/time_spec.h"
#include "util/cleanup.h"

static uint64_t number(yajl_val stats, const char *first, const char *second)
{
	const char *path[] = { first, second, NULL };
	yajl_val value = yajl_tree_get(stats, path, yajl_t_number);

	return value && YAJL_IS_INTEGER(value) ? (uint64_t)YAJL_GET_INTEGER(value) : 0;
}

/* Safe for a terminal; `none` where there is none. */
static void string(char *ret, size_t size, yajl_val stats, const char *first, const char *second, const char *none)
{
	const char *path[] = { first, second, NULL };
	yajl_val value = yajl_tree_get(stats, path, yajl_t_string);
	struct text text;

	text_begin(&text, ret, size);
	text_name(&text, bytes_of(value ? YAJL_GET_STRING(value) : none));
}

static void put_lost(const struct terminal *terminal, uint64_t kernel, uint64_t readers, uint64_t journal)
{
	bool complete = kernel == 0 && readers == 0 && journal == 0;

	terminal_color(terminal, complete ? COLOR_GREEN : COLOR_RED);
	fputs(terminal->utf8 ? "●" : "*", terminal->out);
	terminal_color(terminal, COLOR_NONE);
	if (complete)
		fprintf(terminal->out, " execsnoopd is running; no event was lost\n");
	else
		fprintf(terminal->out, " execsnoopd is running; events were lost\n");
	fprintf(terminal->out,
		"    Lost: %" PRIu64 " in the kernel, %" PRIu64 " by readers, %" PRIu64 " by the journal\n", kernel,
		readers, journal);
}

static uint64_t lost_by_readers(yajl_val stats)
{
	const char *path[] = { "subscribers", NULL };
	yajl_val list = yajl_tree_get(stats, path, yajl_t_array);
	uint64_t sum = 0;

	for (size_t i = 0; list && i < YAJL_GET_ARRAY(list)->len; i++)
		sum += number(YAJL_GET_ARRAY(list)->values[i], "lost", NULL);
	return sum;
}

static void put_readers(const struct terminal *terminal, bool numeric, yajl_val stats)
{
	const char *path[] = { "subscribers", NULL };
	yajl_val list = yajl_tree_get(stats, path, yajl_t_array);
	char user[64], queue[16], peak[16];
	struct text text;

	fprintf(terminal->out, " Readers: %zu\n", list ? YAJL_GET_ARRAY(list)->len : 0);
	if (!list || YAJL_GET_ARRAY(list)->len == 0)
		return;
	fprintf(terminal->out, "          %-8s %7s %12s %10s %8s %8s\n", "USER", "PID", "EVENTS", "LOST", "QUEUE",
		"PEAK");
	for (size_t i = 0; i < YAJL_GET_ARRAY(list)->len; i++) {
		yajl_val one = YAJL_GET_ARRAY(list)->values[i];

		text_begin(&text, user, sizeof(user));
		text_user(&text, (uint32_t)number(one, "uid", NULL), numeric);
		size_format(queue, sizeof(queue), number(one, "queue", NULL));
		size_format(peak, sizeof(peak), number(one, "queue_peak", NULL));
		fputs("          ", terminal->out);
		terminal_cell(terminal, user, 8, false);
		fprintf(terminal->out, " %7" PRIu64 " %12" PRIu64 " %10" PRIu64 " %8s %8s\n", number(one, "pid", NULL),
			number(one, "events", NULL), number(one, "lost", NULL), queue, peak);
	}
}

static void put_page(const struct terminal *terminal, bool numeric, yajl_val stats)
{
	uint64_t kernel = number(stats, "lost", "fork") + number(stats, "lost", "exec") +
			  number(stats, "lost", "exit") + number(stats, "lost", "error") +
			  number(stats, "lost", "skipped");
	uint64_t runs = number(stats, "probes", "runs");
	char first[32], second[32], text[64];
	FILE *out = terminal->out;

	put_lost(terminal, kernel, lost_by_readers(stats), number(stats, "journal", "lost"));
	time_span_format(first, sizeof(first), number(stats, "uptime_s", NULL) * 1000000000);
	string(text, sizeof(text), stats, "version", NULL, "");
	fprintf(out, "      Up: %s%s%s\n", first, *text ? ", version " : "", text);
	fprintf(out, "  Events: %" PRIu64 " started, %" PRIu64 " exited, %" PRIu64 " could not be executed\n",
		number(stats, "events", "started"), number(stats, "events", "exited"),
		number(stats, "events", "error"));
	size_format(first, sizeof(first), number(stats, "probes", "ring_buffer_used"));
	size_format(second, sizeof(second), number(stats, "probes", "ring_buffer_bytes"));
	string(text, sizeof(text), stats, "probes", "errors", "?");
	fprintf(out, "  Probes: failed execs by %s, ring buffer %s of %s", text, first, second);
	if (runs > 0)
		fprintf(out, ", %.1f us a run", (double)number(stats, "probes", "run_time_ns") / (double)runs / 1000);
	size_format(first, sizeof(first), number(stats, "table", "args_bytes"));
	fprintf(out, "\n   Table: %" PRIu64 " processes, %s of arguments\n", number(stats, "table", "processes"),
		first);
	size_format(first, sizeof(first), number(stats, "memory_bytes", NULL));
	fprintf(out, "  Memory: %s\n", first);
	size_format(first, sizeof(first), number(stats, "journal", "queue"));
	size_format(second, sizeof(second), number(stats, "journal", "queue_peak"));
	fprintf(out, " Journal: %" PRIu64 " written, queue %s, at most %s\n", number(stats, "journal", "written"),
		first, second);
	put_readers(terminal, numeric, stats);
}

int view_status(const struct terminal *terminal, struct bytes line, bool numeric)
{
	_cleanup_free_ char *copy = strndup(line.data, line.size);
	char error[128];
	yajl_val stats = copy ? yajl_tree_parse(copy, error, sizeof(error)) : NULL;

	if (!stats)
		return copy ? -EBADMSG : -ENOMEM;
	put_page(terminal, numeric, stats);
	yajl_tree_free(stats);
	return 0;
}
