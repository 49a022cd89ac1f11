/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/options.h"

#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdlib.h>
#include <systemd/sd-id128.h>
#include <time.h>

#include "config.h"
#include "ctl/time_spec.h"

#define FILES_MAX 64

enum id {
	ID_SOCKET = 256,
	ID_FILE,
	ID_NAMESPACE,
	ID_COLUMNS,
	ID_NO_PAGER,
	ID_NO_LEGEND,
	ID_UTC,
	ID_NUMERIC,
	ID_COLOR,
	ID_UID,
	ID_PID,
	ID_TREE,
	ID_CONTAINER,
	ID_ARGS,
	ID_FAILED,
	ID_SLOWER,
	ID_CPU,
	ID_AT,
	ID_MERGE,
	ID_JSON,
	ID_VERSION,
};

static const struct option_row {
	int id; /* a letter, or ID_x */
	const char *name, *argument, *help;
} rows[] = {
	{ ID_SOCKET, "socket", "PATH", "Ask the daemon at this socket" },
	{ 'i', "input", "FILE", "Read lines of JSON from a file; - is standard input" },
	{ 'D', "directory", "DIR", "Read the journal files of a directory" },
	{ ID_FILE, "file", "GLOB", "Read these journal files" },
	{ ID_NAMESPACE, "namespace", "NAMESPACE", "Read the journal of this namespace" },
	{ 'm', "merge-hosts", NULL, "Read the journals of all machines" },
	{ 'S', "since", "TIME", "Show what happened from this time on" },
	{ 'U', "until", "TIME", "Show what happened before this time" },
	{ 'b', "boot", "ID", "Show one boot; without ID: this one" },
	{ 'n', "lines", "N", "Show the last N lines" },
	{ 'r', "reverse", NULL, "Show the newest first" },
	{ 'f', "follow", NULL, "Go on with what happens" },
	{ 't', "type", "TYPE", "Show events of this type, a line each" },
	{ 'u', "unit", "UNIT", "Show programs of this unit" },
	{ ID_UID, "uid", "USER", "Show programs of this user, by name or number" },
	{ ID_PID, "pid", "PID", "Show this process" },
	{ ID_TREE, "tree", "PID", "Show this process and what descends from it" },
	{ ID_CONTAINER, "container", "ID", "Show programs of this container" },
	{ ID_ARGS, "args", "GLOB", "Show programs with an argument that matches" },
	{ 'g', "grep", "REGEX", "Show programs whose command line matches" },
	{ ID_FAILED, "failed", NULL, "Show what could not be executed or did not end in success" },
	{ ID_SLOWER, "slower", "SPAN", "Show programs that ran this long or longer" },
	{ ID_CPU, "cpu", "SPAN", "Show programs that used this much CPU time or more" },
	{ ID_AT, "at", "TIME", "Show the tree of this moment" },
	{ 'o', "output", "FORMAT", "short, json, json-pretty, verbose, sh, cat" },
	{ ID_COLUMNS, "columns", "LIST", "Show these columns or keys" },
	{ ID_MERGE, "merge", "BOOL", "One line for a program that ends within 100 ms" },
	{ 'l', "full", NULL, "Do not cut lines" },
	{ ID_JSON, "json", NULL, "Print JSON" },
	{ ID_UTC, "utc", NULL, "Show times in UTC" },
	{ ID_NUMERIC, "numeric", NULL, "Show numbers instead of names of users" },
	{ ID_COLOR, "color", "WHEN", "auto, always, never" },
	{ ID_NO_PAGER, "no-pager", NULL, "Do not start a pager" },
	{ ID_NO_LEGEND, "no-legend", NULL, "No heading" },
	{ 'q', "quiet", NULL, "No hints" },
	{ 'h', "help", NULL, "Show this help" },
	{ ID_VERSION, "version", NULL, "Show the version" },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static int print_help(void)
{
	puts("execsnoopctl [COMMAND] [OPTION...] [PROGRAM|KEY=VALUE...]\n\n"
	     "Show what runs and ran on this machine, as execsnoopd(8) reports it.\n\n"
	     "Commands:\n"
	     "  watch            Show programs as they start, fail and end (default)\n"
	     "  log              Show what ran, from the journal\n"
	     "  show PID|ID...   Show all about a process, and why it ran\n"
	     "  tree [PID|UNIT]  Show processes below their parents\n"
	     "  status           Show the state of the daemon\n"
	     "  cat              Print the daemon's lines of JSON\n\n"
	     "Options:");
	for (size_t i = 0; i < ROWS; i++) {
		char left[64], letter[5] = "   ";

		if (rows[i].id < 256)
			snprintf(letter, sizeof(letter), "-%c ", rows[i].id);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, rows[i].name, rows[i].argument ? "=" : "",
			 rows[i].argument ? rows[i].argument : "");
		printf("  %-28s %s\n", left, rows[i].help);
	}
	puts("\nSee execsnoopctl(1).");
	return CTL_OK;
}

static int usage(const char *option, const char *value, const char *reason)
{
	fprintf(stderr, "execsnoopctl: %s%s%s: %s\n", option, *option && *value ? " " : "", value, reason);
	return CTL_USAGE;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int set_filter(struct options *o, enum filter_key key, const char *option, const char *value)
{
	const char *reason = "out of memory";

	return query_add(o->query, key, value, &reason) < 0 ? usage(option, value, reason) : -1;
}

static int set_user(struct options *o, const char *value)
{
	const char *name = value + (*value == '!');
	const struct passwd *user = strspn(name, "0123456789") == strlen(name) ? NULL : getpwnam(name);
	char number[16];

	if (user) {
		snprintf(number, sizeof(number), "%s%u", *value == '!' ? "!" : "", user->pw_uid);
		value = number;
	}
	return set_filter(o, FILTER_UID, "--uid", value);
}

static int set_time(const char *option, const char *value, uint64_t *ret)
{
	return time_spec_parse(value, now_ns(), ret) ? -1 : usage(option, value, "not a time, see systemd.time(7)");
}

static int set_span(struct options *o, const char *option, const char *value, void (*set)(struct query *, uint64_t))
{
	uint64_t ns;

	if (!time_span_parse(value, &ns))
		return usage(option, value, "not a time span, see systemd.time(7)");
	set(o->query, ns);
	return -1;
}

static int set_format(struct options *o, const char *value)
{
	static const char *const names[] = { "short", "json", "json-pretty", "sh", "cat", "verbose" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(value, names[i]) == 0) {
			o->format = (enum format)i;
			return -1;
		}
	}
	return usage("--output", value, "not one of short, json, json-pretty, verbose, sh, cat");
}

static int set_color(struct options *o, const char *value)
{
	static const char *const names[] = { "auto", "always", "never" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(value, names[i]) == 0) {
			o->color = (enum color_mode)i;
			return -1;
		}
	}
	return usage("--color", value, "not one of auto, always, never");
}

static int set_lines(struct options *o, const char *value)
{
	char *end;

	errno = 0;
	o->lines = strtoull(value, &end, 10);
	return errno || *end || end == value || *value == '-' ? usage("--lines", value, "not a number") : -1;
}

static int set_boot(struct options *o, const char *value)
{
	static char id[33];
	sd_id128_t boot;

	if (value && sd_id128_from_string(value, &boot) < 0)
		return usage("--boot", value, "not the id of a boot, see journalctl --list-boots");
	if (!value && sd_id128_get_boot(&boot) < 0)
		return usage("--boot", "", "the boot is not known");
	o->journal.boot = sd_id128_to_string(boot, id);
	o->from_journal = true;
	return -1;
}

static int add_file(struct options *o, const char *value)
{
	static char *files[FILES_MAX + 1];
	static size_t count;

	if (count == FILES_MAX)
		return usage("--file", value, "too many");
	files[count++] = (char *)value;
	o->journal.files = files;
	o->from_journal = true;
	return -1;
}

static int set_merge(struct options *o, const char *value)
{
	o->merge = strcmp(value, "yes") == 0;
	o->merge_set = true;
	return o->merge || strcmp(value, "no") == 0 ? -1 : usage("--merge", value, "not yes or no");
}

static int set_regex(struct options *o, const char *value)
{
	const char *reason = "out of memory";

	return query_set_regex(o->query, value, &reason) < 0 ? usage("--grep", value, reason) : -1;
}

static int set_source(struct options *o, int id, const char *value)
{
	switch (id) {
	case ID_SOCKET:
		o->socket = value;
		o->from_socket = true;
		return -1;
	case 'i':
		o->input = value;
		return -1;
	case ID_FILE:
		return add_file(o, value);
	case 'b':
		return set_boot(o, value);
	case 'D':
		o->journal.directory = value;
		break;
	case ID_NAMESPACE:
		o->journal.name_space = value;
		break;
	default:
		o->journal.merge = true;
	}
	o->from_journal = true;
	return -1;
}

static int set_shown(struct options *o, int id, const char *value)
{
	switch (id) {
	case 't':
		o->events = true;
		return set_filter(o, FILTER_TYPES, "--type", value);
	case 'u':
		return set_filter(o, FILTER_UNIT, "--unit", value);
	case ID_UID:
		return set_user(o, value);
	case ID_PID:
		return set_filter(o, FILTER_PID, "--pid", value);
	case ID_TREE:
		return set_filter(o, FILTER_TREE, "--tree", value);
	case ID_CONTAINER:
		return set_filter(o, FILTER_CONTAINER_ID, "--container", value);
	case ID_ARGS:
		return set_filter(o, FILTER_ARGS, "--args", value);
	case 'g':
		return set_regex(o, value);
	case ID_FAILED:
		query_set_failed(o->query);
		return -1;
	case ID_SLOWER:
		return set_span(o, "--slower", value, query_set_slower);
	default:
		return set_span(o, "--cpu", value, query_set_cpu);
	}
}

static int set_look(struct options *o, int id, const char *value)
{
	switch (id) {
	case ID_COLUMNS:
		o->view.columns = value;
		return -1;
	case ID_COLOR:
		return set_color(o, value);
	case ID_MERGE:
		return set_merge(o, value);
	case 'o':
		return set_format(o, value);
	case 'n':
		return set_lines(o, value);
	case 'S':
		return set_time("--since", value, &o->since);
	case 'U':
		return set_time("--until", value, &o->until);
	case ID_AT:
		o->at = value;
		return set_time("--at", value, &o->until);
	default:
		return -1;
	}
}

static int set_switch(struct options *o, int id)
{
	switch (id) {
	case 'h':
		return print_help();
	case ID_VERSION:
		puts("execsnoopctl " PACKAGE_VERSION);
		return CTL_OK;
	case 'r':
		o->reverse = true;
		break;
	case 'f':
		o->follow = true;
		break;
	case 'l':
		o->full = true;
		break;
	case 'q':
		o->quiet = true;
		break;
	case ID_JSON:
		o->json = true;
		break;
	case ID_UTC:
		o->view.utc = true;
		break;
	case ID_NUMERIC:
		o->view.numeric = true;
		break;
	case ID_NO_PAGER:
		o->no_pager = true;
		break;
	case ID_NO_LEGEND:
		o->view.legend = false;
		break;
	default:
		break;
	}
	return -1;
}

static int set(struct options *o, int id, const char *value)
{
	switch (id) {
	case ID_SOCKET:
	case 'i':
	case 'D':
	case ID_FILE:
	case ID_NAMESPACE:
	case 'm':
	case 'b':
		return set_source(o, id, value);
	case 't':
	case 'u':
	case ID_UID:
	case ID_PID:
	case ID_TREE:
	case ID_CONTAINER:
	case ID_ARGS:
	case 'g':
	case ID_FAILED:
	case ID_SLOWER:
	case ID_CPU:
		return set_shown(o, id, value);
	case ID_COLUMNS:
	case ID_COLOR:
	case ID_MERGE:
	case 'o':
	case 'n':
	case 'S':
	case 'U':
	case ID_AT:
		return set_look(o, id, value);
	case '?':
		return CTL_USAGE;
	default:
		return set_switch(o, id);
	}
}

int options_parse(struct options *o, int argc, char *argv[])
{
	struct option longs[ROWS + 1] = { 0 };
	char shorts[3 * ROWS + 1], *at = shorts;
	int id, r;

	*o = (struct options){ .socket = "/run/execsnoopd/events.sock", .lines = UINT64_MAX, .view.legend = true };
	r = query_new(&o->query);
	if (r < 0)
		return CTL_FAILED;
	for (size_t i = 0; i < ROWS; i++) {
		bool optional = rows[i].id == 'b';

		longs[i] = (struct option){ rows[i].name,
					    !rows[i].argument ? no_argument
					    : optional	      ? optional_argument
							      : required_argument,
					    NULL, rows[i].id };
		if (rows[i].id < 256) {
			*at++ = (char)rows[i].id;
			for (int n = !rows[i].argument ? 0 : optional ? 2 : 1; n > 0; n--)
				*at++ = ':';
		}
	}
	*at = '\0';
	while ((id = getopt_long(argc, argv, shorts, longs, NULL)) >= 0) {
		r = set(o, id, optarg);
		if (r >= 0)
			return r;
	}
	query_set_times(o->query, o->since, o->until);
	o->arguments = argv + optind;
	return -1;
}

void options_finish(struct options *o)
{
	o->query = query_free(o->query);
}

static int status_of(int error)
{
	switch (error) {
	case -ENOENT:
	case -ECONNREFUSED:
		return CTL_UNAVAILABLE;
	case -EACCES:
	case -EPERM:
		return CTL_NOPERM;
	default:
		return CTL_FAILED;
	}
}

int options_open(const struct options *o, bool live, bool snapshot, struct event_source **ret)
{
	_cleanup_free_ char *request = NULL;
	struct journal_options journal = o->journal;
	int r;

	if (o->input) {
		r = source_open_file(ret, o->input);
		return r < 0 ? status_of(r) : 0;
	}
	if (o->from_journal || (!live && !o->from_socket)) {
		journal.reverse = o->reverse;
		journal.follow = o->follow;
		r = source_open_journal(ret, &journal, o->query);
		return r < 0 ? status_of(r) : 0;
	}
	r = query_request(o->query, snapshot, &request);
	if (r < 0)
		return CTL_FAILED;
	r = source_open_socket(ret, o->socket, request);
	return r < 0 ? status_of(r) : 0;
}
