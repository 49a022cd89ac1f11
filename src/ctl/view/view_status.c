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
		"    Lost: %" PRIu64 " in the kernel, %" PRIu64 " by readers, %" PRIu64 " by the journal%s\n", kernel,
		readers, journal, complete ? "" : "; when: execsnoopctl log -t lost");
}

/* Also by those that are gone. Daemons of before count those that are there only. */
static uint64_t lost_by_readers(yajl_val stats)
{
	const char *path[] = { "subscribers", NULL };
	yajl_val list = yajl_tree_get(stats, path, yajl_t_array);
	uint64_t sum = number(stats, "subscribers_lost", NULL);

	if (sum > 0)
		return sum;

	for (size_t i = 0; list && i < YAJL_GET_ARRAY(list)->len; i++)
		sum += number(YAJL_GET_ARRAY(list)->values[i], "lost", NULL);
	return sum;
}

static bool is_away(yajl_val named)
{
	static const char *path[] = { "connected", NULL };

	return !YAJL_IS_TRUE(yajl_tree_get(named, path, yajl_t_any));
}

static void put_reader(const struct terminal *terminal, bool numeric, yajl_val reader, bool away)
{
	char user[64], pid[24], name[80], queue[16], peak[16];
	struct text text;

	text_begin(&text, user, sizeof(user));
	text_user(&text, (uint32_t)number(reader, "uid", NULL), numeric);
	snprintf(pid, sizeof(pid), "%" PRIu64, number(reader, "pid", NULL));
	string(name, sizeof(name), reader, "name", NULL, "");
	size_format(queue, sizeof(queue), number(reader, "queue", NULL));
	size_format(peak, sizeof(peak), number(reader, "queue_peak", NULL));
	fputs("          ", terminal->out);
	terminal_cell(terminal, user, 8, false);
	fprintf(terminal->out, " %7s %12" PRIu64 " %10" PRIu64 " %8s %8s%s", away ? "-" : pid,
		number(reader, "events", NULL), number(reader, "lost", NULL), queue, away ? "-" : peak,
		*name ? "  " : "");
	terminal_put(terminal, name, 0);
	fputc('\n', terminal->out);
}

/* A name for which events are kept while its reader is away is one, too. */
static void put_readers(const struct terminal *terminal, bool numeric, yajl_val stats)
{
	static const char *here_path[] = { "subscribers", NULL }, *named_path[] = { "named", NULL };
	yajl_val here = yajl_tree_get(stats, here_path, yajl_t_array),
		 named = yajl_tree_get(stats, named_path, yajl_t_array);
	size_t listed = here ? YAJL_GET_ARRAY(here)->len : 0, names = named ? YAJL_GET_ARRAY(named)->len : 0, away = 0;
	uint64_t others = number(stats, "subscribers_not_listed", NULL);

	for (size_t i = 0; i < names; i++)
		away += is_away(YAJL_GET_ARRAY(named)->values[i]);
	fprintf(terminal->out, " Readers: %" PRIu64, listed + others);
	if (away > 0)
		fprintf(terminal->out, ", and %zu away", away);
	fputc('\n', terminal->out);
	if (listed + away > 0)
		fprintf(terminal->out, "          %-8s %7s %12s %10s %8s %8s%s\n", "USER", "PID", "EVENTS", "LOST",
			"QUEUE", "PEAK", names > 0 ? "  NAME" : "");
	for (size_t i = 0; i < listed; i++)
		put_reader(terminal, numeric, YAJL_GET_ARRAY(here)->values[i], false);
	for (size_t i = 0; i < names; i++)
		if (is_away(YAJL_GET_ARRAY(named)->values[i]))
			put_reader(terminal, numeric, YAJL_GET_ARRAY(named)->values[i], true);
	if (others > 0)
		fprintf(terminal->out, "          and %" PRIu64 " more\n", others);
}

static void put_page(const struct terminal *terminal, bool numeric, yajl_val stats)
{
	uint64_t kernel = number(stats, "lost", "fork") + number(stats, "lost", "exec") +
			  number(stats, "lost", "exit") + number(stats, "lost", "error") +
			  number(stats, "lost", "skipped") + number(stats, "lost", "untold") +
			  number(stats, "lost", "malformed");
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
