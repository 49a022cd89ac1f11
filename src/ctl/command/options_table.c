/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/command/options_table.h"

#include <errno.h>
#include <pwd.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include "config.h"
#include "ctl/source/boots.h"
#include "ctl/source/source_hosts.h"
#include "ctl/text/time_spec.h"
#include "util/time_span.h"
#include "util/quote.h"

#define FILES_MAX 64
#define DELAY_MIN_NS 10000000
#define BY "exe unit user spawner container args comm status host program command"
#define SORT "started ended failed cpu longest rss running short mean read write name io"
#define COLORS "auto always never"

int options_bad(const struct option_row *row, const char *value, const char *reason)
{
	char safe[256];
	struct text text;

	text_begin(&text, safe, sizeof(safe));
	text_name(&text, bytes_of(value));
	fprintf(stderr, "execsnoopctl: --%s%s%s: %s\n", row->name, *value ? " " : "", *value ? safe : "", reason);
	return CTL_USAGE;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* detail: the offset of a bool. */
static int set_flag(struct options *o, const struct option_row *row, const char *value)
{
	*(bool *)((char *)o + row->detail) = true;
	return -1;
}

/* detail: the offset of a string, which is borrowed. */
static int set_text(struct options *o, const struct option_row *row, const char *value)
{
	*(const char **)((char *)o + row->detail) = value;
	return -1;
}

/* The same, of a source: there is one. */
static int set_source(struct options *o, const struct option_row *row, const char *value)
{
	const char **at = (const char **)((char *)o + row->detail);

	if (*at)
		return options_bad(row, value, "it is given twice, and events come from one source");
	return *value ? set_text(o, row, value) : options_bad(row, value, "an empty name");
}

static int set_journal(struct options *o, const struct option_row *row, const char *value)
{
	o->from_journal = true;
	return set_source(o, row, value);
}

static int set_boot(struct options *o, const struct option_row *row, const char *value)
{
	/* For `top`, which has no boots. */
	o->batch |= !value;
	if (value && !is_boot_name(value) && (!*value || strspn(value, "0123456789") < strlen(value)))
		return options_bad(row, value, "not the name of a boot, see journalctl(1), --boot");
	o->from_journal = true;
	return set_text(o, row, value ? value : "0");
}

static int set_socket(struct options *o, const struct option_row *row, const char *value)
{
	o->from_socket = true;
	return set_text(o, row, value);
}

static int set_hosts(struct options *o, const struct option_row *row, const char *value)
{
	o->from_socket = true;
	o->hosts = value;
	return hosts_are_valid(value) ? -1 : options_bad(row, value, "not names of hosts");
}

static int set_all_hosts(struct options *o, const struct option_row *row, const char *value)
{
	o->from_journal = o->journal.merge = true;
	return -1;
}

static int add_file(struct options *o, const struct option_row *row, const char *value)
{
	static char *files[FILES_MAX + 1];
	static size_t count;

	if (count == FILES_MAX)
		return options_bad(row, value, "too many");
	files[count++] = (char *)value;
	o->journal.files = files;
	o->from_journal = true;
	return -1;
}

/* detail: a filter key. */
static int set_filter(struct options *o, const struct option_row *row, const char *value)
{
	const char *reason = "out of memory";

	return query_add(o->query, (enum filter_key)row->detail, value, &reason) < 0 ? options_bad(row, value, reason)
										     : -1;
}

/* The same, of a key whose values have no comma: there may be several. */
static int set_filters(struct options *o, const struct option_row *row, const char *value)
{
	for (;;) {
		size_t size = strcspn(value, ",");
		_cleanup_free_ char *one = strndup(value, size);
		int r = one ? set_filter(o, row, one) : CTL_FAILED;

		if (r >= 0 || value[size] == '\0')
			return r;
		value += size + 1;
	}
}

static int set_type(struct options *o, const struct option_row *row, const char *value)
{
	o->events = true;
	return set_filters(o, row, value);
}

static int set_user(struct options *o, const struct option_row *row, const char *value)
{
	const char *name = value + (*value == '!');
	const struct passwd *user = strspn(name, "0123456789") == strlen(name) ? NULL : getpwnam(name);
	char number[16];

	if (!user && *name && (strspn(name, "0123456789") < strlen(name)))
		return options_bad(row, value, "no such user");
	if (user) {
		snprintf(number, sizeof(number), "%s%u", *value == '!' ? "!" : "", user->pw_uid);
		value = number;
	}
	return set_filter(o, row, value);
}

static int set_regex(struct options *o, const struct option_row *row, const char *value)
{
	const char *reason = "out of memory";

	return query_set_regex(o->query, value, &reason) < 0 ? options_bad(row, value, reason) : -1;
}

static int set_failed(struct options *o, const struct option_row *row, const char *value)
{
	query_set_bounds(o->query)->failed = true;
	return -1;
}

/* detail: the offset in the bounds. */
static int set_span(struct options *o, const struct option_row *row, const char *value)
{
	if (!time_span_parse(value, (uint64_t *)((char *)query_set_bounds(o->query) + row->detail)))
		return options_bad(row, value, "not a time span, see systemd.time(7)");
	return -1;
}

/* detail: the offset of the time. */
static int set_time(struct options *o, const struct option_row *row, const char *value)
{
	bool is_end = row->detail == offsetof(struct options, until);

	if (!time_spec_parse(value, now_ns(), is_end, (uint64_t *)((char *)o + row->detail)))
		return options_bad(row, value, "not a time, see systemd.time(7)");
	return -1;
}

static int set_at(struct options *o, const struct option_row *row, const char *value)
{
	o->at = value;
	return set_time(o, row, value);
}

static int set_delay(struct options *o, const struct option_row *row, const char *value)
{
	if (!time_span_parse(value, &o->delay_ns) || o->delay_ns == 0)
		return options_bad(row, value, "not a time span, see systemd.time(7)");
	if (o->delay_ns < DELAY_MIN_NS)
		return options_bad(row, value, "less than 10ms");
	return -1;
}

/* The place of a word among those of the row. */
static bool find_word(const struct option_row *row, const char *value, unsigned *ret)
{
	const char *at = row->values;
	size_t size = strlen(value);

	for (unsigned i = 0; *at; i++) {
		size_t length = strcspn(at, " ");

		if (length == size && memcmp(at, value, size) == 0) {
			*ret = i;
			return true;
		}
		at += length + (at[length] == ' ');
	}
	return false;
}

/* detail: the offset of an enum in the order of the words. */
static int set_word(struct options *o, const struct option_row *row, const char *value)
{
	char reason[160];
	unsigned i;

	snprintf(reason, sizeof(reason), "not one of: %s", row->values);
	if (!find_word(row, value, &i))
		return options_bad(row, value, reason);
	*(unsigned *)((char *)o + row->detail) = i;
	return -1;
}

/* A command may have formats of its own: then this is FORMAT_OTHER. */
static int set_output(struct options *o, const struct option_row *row, const char *value)
{
	unsigned i;

	o->output = value;
	o->format = find_word(row, value, &i) ? (enum format)i : FORMAT_OTHER;
	return -1;
}

static int set_lines(struct options *o, const struct option_row *row, const char *value)
{
	char *end;

	o->lines_set = true;
	if (strcmp(value, "all") == 0) {
		o->lines = UINT64_MAX;
		return -1;
	}
	errno = 0;
	o->lines = strtoull(value, &end, 10);
	return errno || *end || end == value || *value == '-' ? options_bad(row, value, "not a number") : -1;
}

/* As the daemon takes names of durable subscriptions (execsnoopd(8)). */
static int set_name(struct options *o, const struct option_row *row, const char *value)
{
	size_t size = strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:@-");

	o->name = value;
	return size == 0 || size > 64 || value[size] ? options_bad(row, value, "not 1 to 64 letters, digits, ._:@-")
						     : -1;
}

static int set_merge(struct options *o, const struct option_row *row, const char *value)
{
	o->merge = strcmp(value, "yes") == 0;
	o->merge_set = true;
	return o->merge || strcmp(value, "no") == 0 ? -1 : options_bad(row, value, "not yes or no");
}

static int set_no_legend(struct options *o, const struct option_row *row, const char *value)
{
	o->view.legend = false;
	return -1;
}

static int print_version(struct options *o, const struct option_row *row, const char *value)
{
	puts("execsnoopctl " PACKAGE_VERSION);
	return CTL_OK;
}

_Static_assert(sizeof(enum format) == sizeof(unsigned) && sizeof(enum color_mode) == sizeof(unsigned),
	       "set_word() stores an unsigned");

#define OF(member) offsetof(struct options, member)
#define BOUND(member) offsetof(struct query_bounds, member)

/* clang-format off */
const struct option_row option_rows[] = {
	{ 0,   "socket", "PATH", "@file", "Ask the daemon at this socket", set_socket, OF(socket) },
	{ 'H', "host", "HOST", "@host", "Ask the daemons of these hosts, by ssh", set_hosts, 0 },
	{ 'i', "input", "FILE", "@file", "Read lines of JSON from a file; - is standard input", set_source, OF(input) },
	{ 'D', "directory", "DIR", "@directory", "Read the journal files of a directory", set_journal,
	  OF(journal.directory) },
	{ 0,   "file", "GLOB", "@file", "Read these journal files", add_file, 0 },
	{ 0,   "namespace", "NAMESPACE", NULL, "Read the journal of this namespace", set_journal,
	  OF(journal.name_space) },
	{ 'm', "merge-hosts", NULL, NULL, "Read the journals of all machines", set_all_hosts, 0 },
	{ 'S', "since", "TIME", "today yesterday -1h -5min", "Show what happened from this time on", set_time, OF(since) },
	{ 'U', "until", "TIME", "now today -5min", "Show what happened before this time", set_time, OF(until) },
	{ 'b', "boot", "[=ID]", "0 -1", "Show one boot, this one by default; -1: the one before", set_boot, OF(journal.boot) },
	{ 'n', "lines", "N", "all", "Show the last N lines", set_lines, 0 },
	{ 'r', "reverse", NULL, NULL, "Show the newest first", set_flag, OF(reverse) },
	{ 'f', "follow", NULL, NULL, "Continue with what happens", set_flag, OF(follow) },
	{ 't', "type", "TYPE", "started exited error forked lost", "Show events of this type, a line each", set_type,
	  FILTER_TYPES },
	{ 'u', "unit", "UNIT", "@unit", "Show programs of this unit", set_filters, FILTER_UNIT },
	{ 0,   "uid", "USER", "@user", "Show programs of this user, by name or number", set_user, FILTER_UID },
	{ 0,   "pid", "PID", NULL, "Show this process", set_filters, FILTER_PID },
	{ 0,   "tree", "PID", NULL, "Show this process and its descendants", set_filter, FILTER_TREE },
	{ 0,   "container", "ID", NULL, "Show programs of this container", set_filters, FILTER_CONTAINER_ID },
	{ 0,   "args", "GLOB", NULL, "Show programs with an argument that matches", set_filter, FILTER_ARGS },
	{ 'g', "grep", "REGEX", NULL, "Show programs whose command line matches", set_regex, 0 },
	{ 0,   "failed", NULL, NULL, "Show execs that failed and programs that did not end in success", set_failed, 0 },
	{ 0,   "slower", "SPAN", "100ms 1s 10s 1min", "Show programs that ran this long or longer", set_span, BOUND(slower) },
	{ 0,   "cpu", "SPAN", "100ms 1s 10s 1min", "Show programs that used this much CPU time or more", set_span, BOUND(cpu) },
	{ 0,   "at", "TIME", "today -1h -5min", "Show the tree of this moment", set_at, OF(until) },
	{ 'o', "output", "FORMAT", FORMATS, "One of: " FORMATS, set_output, 0 },
	{ 0,   "by", "LIST", BY, "Group by: " BY, set_text, OF(by) },
	{ 0,   "sort", "SUM", SORT, "Sort groups by: " SORT, set_text, OF(sort) },
	{ 'd', "delay", "SPAN", "1s 3s 10s", "Time between two tables of top", set_delay, 0 },
	{ 0,   "batch", NULL, NULL, "Print the tables of top one after the other (or -b)", set_flag, OF(batch) },
	{ 0,   "weight", "SUM", "cpu wall count", "Of folded stacks: cpu, wall, count", set_word, OF(weight) },
	{ 'w', "write", "FILE", "@file", "Write the events to a file, or what --output names", set_text, OF(write) },
	{ 0,   "wait", NULL, NULL, "Wait for all that the command started", set_flag, OF(wait) },
	{ 0,   "scope", NULL, NULL, "Run the command in a scope unit of its own", set_flag, OF(scope) },
	{ 0,   "name", "NAME", NULL, "Of cat: a durable subscription; what was written is acknowledged", set_name, 0 },
	{ 0,   "connect", "ADDRESS", NULL, "Of cat: write to unix:PATH or HOST:PORT", set_text, OF(connect) },
	{ 0,   "cursor-file", "FILE", "@file", "Of cat: keep how far it has come; fill gaps from the journal", set_text, OF(cursor_file) },
	{ 0,   "columns", "LIST", NULL, "Show these columns or keys", set_text, OF(view.columns) },
	{ 0,   "merge", "BOOL", "yes no", "One line for a program that ends within 100 ms", set_merge, 0 },
	{ 'l', "full", NULL, NULL, "Do not cut lines", set_flag, OF(full) },
	{ 0,   "json", NULL, NULL, "Print JSON", set_flag, OF(json) },
	{ 0,   "http", NULL, NULL, "Respond to one HTTP request on standard input", set_flag, OF(http) },
	{ 0,   "utc", NULL, NULL, "Show times in UTC", set_flag, OF(view.utc) },
	{ 0,   "numeric", NULL, NULL, "Show numbers instead of names of users", set_flag, OF(view.numeric) },
	{ 0,   "color", "WHEN", COLORS, "One of: " COLORS, set_word, OF(color) },
	{ 0,   "no-pager", NULL, NULL, "Do not start a pager", set_flag, OF(no_pager) },
	{ 0,   "no-legend", NULL, NULL, "No heading", set_no_legend, 0 },
	{ 'q', "quiet", NULL, NULL, "No hints", set_flag, OF(quiet) },
	{ 'h', "help", NULL, NULL, "Show this help", options_print_help, 0 },
	{ 0,   "version", NULL, NULL, "Show the version", print_version, 0 },
	{ 0,   "completion-table", NULL, NULL, NULL, options_print_table, 0 },
	{ 0 },
};
/* clang-format on */
