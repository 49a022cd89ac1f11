/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/command/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#include "ctl/command/commands.h"
#include "ctl/command/option_commands.h"
#include "ctl/command/options_table.h"
#include "ctl/source/source_hosts.h"
#include "ctl/source/boots.h"
#include "util/quote.h"

#define ROWS_MAX 128
#define FOLLOW_LINES 10 /* as journalctl(1) */
#define IDLE_MAX 16
#define HOST_COLUMNS "host,time,user,pid,parent,status,took,command"

/* Options that the command has no use for. */
struct idle {
	const char *names[IDLE_MAX];
	size_t count;
};

/* For getopt_long(3): each long option is its row's number + 256, each letter itself. */
static size_t make_tables(struct option *longs, char *shorts, bool runs_program)
{
	size_t i;

	if (runs_program)
		*shorts++ = '+';
	for (i = 0; option_rows[i].name; i++) {
		const struct option_row *row = &option_rows[i];
		int kind = !row->argument	     ? no_argument
			   : row->argument[0] == '[' ? optional_argument
						     : required_argument;

		ASSERT(i < ROWS_MAX);
		longs[i] = (struct option){ row->name, kind, NULL, 256 + (int)i };
		if (!row->letter)
			continue;
		*shorts++ = row->letter;
		for (int n = kind == optional_argument ? 2 : kind == required_argument; n > 0; n--)
			*shorts++ = ':';
	}
	*shorts = '\0';
	return i;
}

static const struct option_row *row_of(int id)
{
	if (id >= 256)
		return &option_rows[id - 256];
	for (const struct option_row *row = option_rows; row->name; row++)
		if (row->letter == id)
			return row;
	return NULL;
}

/* "-b -1", as journalctl(1) takes it: the next argument is the option's, though it is an optional one. */
static bool takes_next(const struct option_row *row, int argc, char *const argv[])
{
	return row->argument && row->argument[0] == '[' && !optarg && optind < argc && is_boot_name(argv[optind]);
}

int options_command(int argc, char *argv[])
{
	struct option longs[ROWS_MAX + 1] = { 0 };
	char shorts[3 * ROWS_MAX + 2];
	int id, at;

	make_tables(longs, shorts, true);
	opterr = 0;
	while ((id = getopt_long(argc, argv, shorts, longs, NULL)) >= 0) {
		const struct option_row *row = id == '?' ? NULL : row_of(id);

		if (row && takes_next(row, argc, argv))
			optind++;
	}
	at = optind < argc && strcmp(argv[optind - 1], "--") != 0 ? optind : 0;
	opterr = 1;
	optind = 0; /* getopt(3), NOTES: it starts over */
	return at;
}

/* The socket is theirs, and each line has its host. */
static int use_hosts(struct options *o)
{
	if (!hosts_path_is_valid(o->socket)) {
		fprintf(stderr, "execsnoopctl: --socket %s: with --host, only letters, digits and /._-@:\n", o->socket);
		return CTL_USAGE;
	}
	if (asprintf(&o->remote, HOSTS_PREFIX "%s%s", o->hosts, o->socket) < 0) {
		o->remote = NULL;
		return CTL_FAILED;
	}
	o->socket = o->remote;
	if (!o->view.columns)
		o->view.columns = HOST_COLUMNS;
	return -1;
}

/* An exit status, or -1. */
static int set(struct options *o, const struct option_row *row, char *value, struct idle *idle)
{
	switch (option_use(row->name, o->command->name)) {
	case OPTION_REFUSED:
		fprintf(stderr, "execsnoopctl: --%s is no option of \"%s\", see execsnoopctl %s --help\n", row->name,
			o->command->name, o->command->name);
		return CTL_USAGE;
	case OPTION_IDLE:
		if (idle->count < IDLE_MAX)
			idle->names[idle->count++] = row->name;
		break;
	case OPTION_TAKEN:
		break;
	}
	return row->set(o, row, value);
}

static int read_options(struct options *o, int argc, char *argv[], struct idle *idle)
{
	struct option longs[ROWS_MAX + 1] = { 0 };
	char shorts[3 * ROWS_MAX + 2];
	int id, r;

	make_tables(longs, shorts, o->command->runs_program);
	while ((id = getopt_long(argc, argv, shorts, longs, NULL)) >= 0) {
		const struct option_row *row = row_of(id);

		if (!row && optopt >= '0' && optopt <= '9')
			fputs("execsnoopctl: a time that begins with - comes after --, as in: diff -- -2h..-1h -1h..\n",
			      stderr);
		if (!row)
			return CTL_USAGE;
		if (takes_next(row, argc, argv))
			optarg = argv[optind++];
		r = set(o, row, optarg, idle);
		if (r >= 0)
			return r;
	}
	return -1;
}

/* Events come from one place. An exit status, or -1. */
static int check_sources(const struct options *o)
{
	const struct journal_options *journal = &o->journal;
	const char *names[] = { o->input ? "--input" : NULL,
				o->from_socket && o->hosts    ? "--host"
				: o->from_socket && o->socket ? "--socket"
							      : NULL,
				journal->directory ? "--directory" : NULL,
				journal->files ? "--file" : NULL,
				journal->name_space ? "--namespace" : NULL,
				NULL };
	const char *first = NULL;

	if (!journal->directory && !journal->files && !journal->name_space)
		names[5] = journal->boot ? "--boot" : journal->merge ? "--merge-hosts" : NULL;
	/* A boot of `top` is --batch. */
	if (option_use("directory", o->command->name) != OPTION_TAKEN)
		names[5] = NULL;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (first && names[i]) {
			fprintf(stderr, "execsnoopctl: %s and %s are two sources, and events come from one\n", first,
				names[i]);
			return CTL_USAGE;
		}
		first = first ?: names[i];
	}
	return -1;
}

/* An exit status, or -1. */
static int check_format(const struct options *o)
{
	const char *formats = command_formats(o->command->name);

	if (!o->output || o->command->own_formats || strcmp(o->output, "short") == 0 ||
	    (formats && has_word(formats, o->output)))
		return -1;
	fprintf(stderr, "execsnoopctl: --output %s: no such format; \"%s\" has: %s\n", o->output, o->command->name,
		formats ?: "short");
	return CTL_USAGE;
}

int options_parse(struct options *o, int argc, char *argv[], const struct command *command)
{
	struct idle idle = { 0 };
	int r;

	*o = (struct options){ .command = command ?: commands,
			       .has_command = command != NULL,
			       .socket = "/run/execsnoopd/events.sock",
			       .lines = UINT64_MAX,
			       .view.legend = true };
	r = query_new(&o->query);
	if (r < 0)
		return CTL_FAILED;
	r = read_options(o, argc, argv, &idle);
	if (r < 0)
		r = check_sources(o);
	if (r < 0)
		r = check_format(o);
	if (r >= 0)
		return r;
	for (size_t i = 0; i < idle.count && !o->quiet; i++)
		fprintf(stderr, "execsnoopctl: \"%s\" has no use for --%s\n", o->command->name, idle.names[i]);
	if (o->follow && !o->lines_set)
		o->lines = FOLLOW_LINES;
	query_set_bounds(o->query)->since = o->since;
	query_set_bounds(o->query)->until = o->until;
	o->arguments = argv + optind;
	if (o->journal.merge && !o->view.columns && o->format != FORMAT_CSV)
		o->view.columns = HOST_COLUMNS;
	return o->hosts ? use_hosts(o) : -1;
}

void options_finish(struct options *o)
{
	o->query = query_free(o->query);
	free(o->remote);
}

bool options_pid(const char *text, uint32_t *ret)
{
	unsigned long long number;

	if (*text == '\0' || text[strspn(text, "0123456789")] != '\0')
		return false;
	errno = 0;
	number = strtoull(text, NULL, 10);
	if (errno != 0 || number == 0 || number > UINT32_MAX)
		return false;
	*ret = (uint32_t)number;
	return true;
}

int options_refuse(const char *text, const char *reason)
{
	char safe[256];
	struct text to;

	text_begin(&to, safe, sizeof(safe));
	text_name(&to, bytes_of(text));
	fprintf(stderr, "execsnoopctl: %s: %s\n", safe, reason);
	return CTL_USAGE;
}

int options_add_programs(const struct options *options)
{
	const char *reason = "out of memory";

	for (char **argument = options->arguments; *argument; argument++) {
		int r = strchr(*argument, '=') ? query_add_pair(options->query, *argument, &reason)
					       : query_add_program(options->query, *argument, &reason);

		if (r < 0)
			return options_refuse(*argument, reason);
	}
	return 0;
}

int options_status(int error)
{
	switch (error) {
	case -ENOENT:
	case -ECONNREFUSED:
	case -ECONNRESET:
	case -EPIPE:
		return CTL_UNAVAILABLE;
	case -EACCES:
	case -EPERM:
		return CTL_NOPERM;
	case -EPROTO:
		return CTL_USAGE;
	default:
		return CTL_FAILED;
	}
}

int options_file_status(int error)
{
	switch (error) {
	case -EACCES:
	case -EPERM:
		return CTL_NOPERM;
	case -ENODATA: /* the journal has no such boot */
		return CTL_NOTHING;
	default:
		return CTL_FAILED;
	}
}

/* Of a request, a JSON object. */
static int add_folding(char **request)
{
	char *folding = NULL;

	if (asprintf(&folding, "{\"path_search\":\"fold\",%s", *request + 1) < 0)
		return -ENOMEM;
	free(*request);
	*request = folding;
	return 0;
}

int options_open(const struct options *o, bool live, bool snapshot, struct event_source **ret)
{
	_cleanup_free_ char *request = NULL;
	struct journal_options journal = o->journal;
	int r;

	if (o->input) {
		r = source_open_file(ret, o->input);
		return r < 0 ? options_file_status(r) : 0;
	}
	if (o->from_journal || (!live && !o->from_socket)) {
		journal.reverse = o->reverse;
		if (query_has_tree(o->query) && o->reverse) {
			fputs("execsnoopctl: --tree reads the journal forwards: not with -n, -r or -f\n", stderr);
			return CTL_USAGE;
		}
		journal.from_start |= query_has_tree(o->query);
		r = source_open_journal(ret, &journal, o->query);
		return r < 0 ? options_file_status(r) : 0;
	}
	r = query_request(o->query, snapshot, &request);
	if (r >= 0 && o->fold_searches)
		r = add_folding(&request);
	if (r < 0)
		return CTL_FAILED;
	r = source_open_socket(ret, o->socket, request);
	return r < 0 ? options_status(r) : 0;
}
