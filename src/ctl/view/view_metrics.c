/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/view/view_metrics.h"
#include <inttypes.h>

#include <string.h>

#define PATH_DEPTH 3

enum kind { COUNTER, GAUGE };

/* A number, or an object of numbers, of which each is a sample with its name as a label. */
static const struct family {
	enum kind kind;
	const char *name; /* without _total */
	const char *label;
	double scale;
	const char *path[PATH_DEPTH];
	const char *help;
} families[] = {
	{ GAUGE, "execsnoopd_uptime_seconds", NULL, 1, { "uptime_s" }, "Time since the daemon started" },
	{ COUNTER, "execsnoopd_cpu_seconds", NULL, 1e-9, { "cpu_ns" }, "CPU time of the daemon" },
	{ GAUGE, "execsnoopd_resident_memory_bytes", NULL, 1, { "memory_bytes" }, "Resident memory of the daemon" },
	{ COUNTER, "execsnoopd_events", "type", 1, { "events" }, "Events by type" },
	{ COUNTER, "execsnoopd_kernel_lost", "kind", 1, { "lost" }, "Losses in the kernel and after it, by kind" },
	{ COUNTER, "execsnoopd_probe_records", NULL, 1, { "probes", "records" }, "Records that were read" },
	{ COUNTER, "execsnoopd_probe_runs", NULL, 1, { "probes", "runs" }, "Runs of the probes; 0 unless counted" },
	{ COUNTER,
	  "execsnoopd_probe_seconds",
	  NULL,
	  1e-9,
	  { "probes", "run_time_ns" },
	  "Run time of the probes; 0 unless counted" },
	{ GAUGE,
	  "execsnoopd_ring_buffer_bytes",
	  NULL,
	  1,
	  { "probes", "ring_buffer_bytes" },
	  "Size of the ring buffer" },
	{ GAUGE,
	  "execsnoopd_ring_buffer_used_bytes",
	  NULL,
	  1,
	  { "probes", "ring_buffer_used" },
	  "Bytes that wait in it" },
	{ GAUGE, "execsnoopd_table_processes", NULL, 1, { "table", "processes" }, "Processes that are alive" },
	{ GAUGE, "execsnoopd_table_args_bytes", NULL, 1, { "table", "args_bytes" }, "Memory of their arguments" },
	{ COUNTER, "execsnoopd_subscriber_lost", NULL, 1, { "subscribers_lost" }, "Events that subscribers lost" },
	{ COUNTER, "execsnoopd_connections_accepted", NULL, 1, { "accepted" }, "Connections that were accepted" },
	{ COUNTER, "execsnoopd_connections_refused", NULL, 1, { "refused" }, "Connections that were refused" },
	{ COUNTER,
	  "execsnoopd_accept_pauses",
	  NULL,
	  1,
	  { "accept_pauses" },
	  "Pauses of accepting, without descriptors or memory" },
	{ COUNTER, "execsnoopd_journal_written", NULL, 1, { "journal", "written" }, "Entries written to the journal" },
	{ COUNTER, "execsnoopd_journal_lost", NULL, 1, { "journal", "lost" }, "Events that the journal lost" },
	{ GAUGE, "execsnoopd_journal_queue_bytes", NULL, 1, { "journal", "queue" }, "Queue of the journal" },
	{ COUNTER, "execsnoop_exits", "result", 1, { "machine", "results" }, "Processes that ended, by result" },
	{ COUNTER, "execsnoop_exec_errors", "error", 1, { "machine", "exec_errors" }, "Failed execs by error" },
	{ COUNTER,
	  "execsnoop_secureexec",
	  NULL,
	  1,
	  { "machine", "secureexec" },
	  "Programs started with raised privileges (set-id, file capabilities)" },
	{ COUNTER,
	  "execsnoop_memfd_execs",
	  NULL,
	  1,
	  { "machine", "memfd_execs" },
	  "Programs started from a file in memory" },
};

struct metrics {
	FILE *out;
	yajl_val stats;
	bool openmetrics;
};

static yajl_val at(yajl_val from, const char *const path[], size_t depth)
{
	const char *part[PATH_DEPTH + 1] = { NULL };

	memcpy(part, path, depth * sizeof(*path));
	return yajl_tree_get(from, part, yajl_t_any);
}

static yajl_val member(yajl_val from, const char *name)
{
	return at(from, (const char *const[]){ name }, 1);
}

/* Of an integer; others are 0. */
static double number(yajl_val value)
{
	return value && YAJL_IS_INTEGER(value) ? (double)YAJL_GET_INTEGER(value) : 0;
}

static void put_family(const struct metrics *m, const char *name, const char *type, const char *suffix,
		       const char *help)
{
	if (m->openmetrics)
		suffix = "";
	fprintf(m->out, "# HELP %s%s %s.\n# TYPE %s%s %s\n", name, suffix, help, name, suffix, type);
}

/* Backslash, quote and newline are escaped in the value of a label; other control characters do not come through. */
static void put_label(FILE *out, const char *name, const char *value)
{
	fprintf(out, "{%s=\"", name);
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			fputc('\\', out);
		if (*value == '\n')
			fputs("\\n", out);
		else if ((unsigned char)*value >= ' ' && *value != 0x7f)
			fputc(*value, out);
	}
	fputs("\"}", out);
}

static void put_value(FILE *out, yajl_val value, double scale)
{
	if (scale == 1 && value && YAJL_IS_NUMBER(value))
		fprintf(out, " %s\n", YAJL_GET_NUMBER(value));
	else
		fprintf(out, " %.9f\n", number(value) * scale);
}

static void put_sample(const struct metrics *m, const struct family *family, const char *label, yajl_val value)
{
	fprintf(m->out, "%s%s", family->name, family->kind == COUNTER ? "_total" : "");
	if (label)
		put_label(m->out, family->label, label);
	put_value(m->out, value, family->scale);
}

static void put_families(const struct metrics *m)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		const struct family *family = &families[i];
		yajl_val value = at(m->stats, family->path, 1 + (family->path[1] != NULL));

		if (!value || (family->label ? !YAJL_IS_OBJECT(value) : !YAJL_IS_INTEGER(value)))
			continue;
		put_family(m, family->name, family->kind == COUNTER ? "counter" : "gauge",
			   family->kind == COUNTER ? "_total" : "", family->help);
		if (!family->label)
			put_sample(m, family, NULL, value);
		for (size_t n = 0; family->label && n < YAJL_GET_OBJECT(value)->len; n++)
			if (YAJL_IS_INTEGER(YAJL_GET_OBJECT(value)->values[n]))
				put_sample(m, family, YAJL_GET_OBJECT(value)->keys[n],
					   YAJL_GET_OBJECT(value)->values[n]);
	}
}

static void put_build(const struct metrics *m)
{
	yajl_val version = member(m->stats, "version");

	if (!version || !YAJL_IS_STRING(version))
		return;
	put_family(m, "execsnoopd_build", m->openmetrics ? "info" : "gauge", "_info", "Version of the daemon");
	fputs("execsnoopd_build_info", m->out);
	put_label(m->out, "version", YAJL_GET_STRING(version));
	fputs(" 1\n", m->out);
}

static void put_subscribers(const struct metrics *m)
{
	yajl_val list = member(m->stats, "subscribers");
	double fullest = 0;

	if (!list || !YAJL_IS_ARRAY(list))
		return;
	for (size_t i = 0; i < YAJL_GET_ARRAY(list)->len; i++) {
		yajl_val one = YAJL_GET_ARRAY(list)->values[i];
		double limit = number(member(one, "queue_limit")), queue = number(member(one, "queue"));

		if (limit > 0 && queue / limit > fullest)
			fullest = queue / limit;
	}
	put_family(m, "execsnoopd_subscribers", "gauge", "", "Subscribers that are connected");
	fprintf(m->out, "execsnoopd_subscribers %.0f\n",
		(double)YAJL_GET_ARRAY(list)->len + number(member(m->stats, "subscribers_not_listed")));
	put_family(m, "execsnoopd_subscriber_queue_max_ratio", "gauge", "", "How full the fullest queue is");
	fprintf(m->out, "execsnoopd_subscriber_queue_max_ratio %.6g\n", fullest);
}

/* Floats as OpenMetrics wants them in `le`: with a point. */
static void put_bound(FILE *out, yajl_val bound)
{
	double seconds = number(bound) / 1e9;

	if (!bound)
		fputs("+Inf", out);
	else if (seconds == (double)(uint64_t)seconds)
		fprintf(out, "%.1f", seconds);
	else
		fprintf(out, "%g", seconds);
}

static void put_lifetimes(const struct metrics *m)
{
	static const char name[] = "execsnoop_process_lifetime_seconds";
	yajl_val list = at(m->stats, (const char *const[]){ "machine", "lifetimes" }, 2);
	double sum = 0;

	if (!list || !YAJL_IS_ARRAY(list))
		return;
	put_family(m, name, "histogram", "", "How long processes lived");
	for (size_t i = 0; i < YAJL_GET_ARRAY(list)->len; i++) {
		yajl_val one = YAJL_GET_ARRAY(list)->values[i];

		sum += number(member(one, "processes"));
		fprintf(m->out, "%s_bucket{le=\"", name);
		put_bound(m->out, member(one, "up_to_ns"));
		fprintf(m->out, "\"} %.0f\n", sum);
	}
	fprintf(m->out, "%s_count %.0f\n%s_sum %.9f\n", name, sum, name,
		number(at(m->stats, (const char *const[]){ "machine", "lifetime_ns" }, 2)) / 1e9);
}

/* Classes that exclude one another: "0-0.1", "0.1-1", "60-", in seconds. */
static void put_cpu(const struct metrics *m)
{
	static const char name[] = "execsnoop_process_cpu_seconds";
	yajl_val list = at(m->stats, (const char *const[]){ "machine", "cpu" }, 2);
	double from = 0;

	if (!list || !YAJL_IS_ARRAY(list))
		return;
	put_family(m, name, "counter", "_total", "CPU time of processes that ended, by how many seconds they lived");
	for (size_t i = 0; i < YAJL_GET_ARRAY(list)->len; i++) {
		yajl_val one = YAJL_GET_ARRAY(list)->values[i], bound = member(one, "up_to_ns");
		double to = number(bound) / 1e9;

		fprintf(m->out, "%s_total{lifetime=\"%g-", name, from);
		if (bound)
			fprintf(m->out, "%g", to);
		fputs("\"}", m->out);
		put_value(m->out, member(one, "cpu_ns"), 1e-9);
		from = to;
	}
}

void view_metrics(FILE *out, yajl_val stats, bool openmetrics)
{
	const struct metrics m = { .out = out, .stats = stats, .openmetrics = openmetrics };

	put_build(&m);
	put_families(&m);
	put_subscribers(&m);
	put_lifetimes(&m);
	put_cpu(&m);
	if (openmetrics)
		fputs("# EOF\n", out);
}
