/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of execsnoopctl(1). The options are in options_table.h. */
#pragma once

#include "ctl/event/query.h"
#include "ctl/source/source.h"
#include "ctl/text/terminal.h"
#include "ctl/view/view_line.h"

enum {
	CTL_OK = 0,
	CTL_NOTHING = 1, /* nothing matched */
	CTL_USAGE = 2,
	CTL_DATA = 65, /* what was read was not all readable; sysexits(3) */
	CTL_UNAVAILABLE = 69,
	CTL_FAILED = 71,
	CTL_NOPERM = 77,
};

/* In the order of the names in options_table.c. */
enum format {
	FORMAT_SHORT,
	FORMAT_JSON,
	FORMAT_JSON_PRETTY,
	FORMAT_SH,
	FORMAT_CAT,
	FORMAT_VERBOSE,
	FORMAT_CSV,
	FORMAT_OTHER
};

struct command;

struct options {
	const struct command *command;
	bool has_command; /* it was named */
	const char *socket;
	const char *hosts; /* NULL: this one */
	char *remote;	   /* then `socket` is this */
	const char *input; /* a file of JSON lines; NULL: none */
	struct journal_options journal;
	bool from_journal; /* by an option */
	bool from_socket;
	bool fold_searches; /* along PATH, by the daemon: one event for what was found */
	uint64_t lines;	    /* UINT64_MAX: all */
	bool lines_set, reverse, follow, quiet, no_pager, full, events, merge, merge_set, json, http;
	enum format format;
	const char *output; /* the format by name; FORMAT_OTHER: the command knows it, or it is a file */
	const char *by, *sort;
	uint64_t delay_ns; /* 0: not set */
	bool batch;
	const char *write; /* a file; NULL: none */
	unsigned weight;   /* enum weight */
	bool wait, scope;
	const char *name, *cursor_file, *connect; /* of `cat`; NULL: none */
	enum color_mode color;
	struct view_options view;
	uint64_t since, until; /* ns since the epoch; 0: none */
	const char *at;
	struct query *query;
	char **arguments; /* after the command and its options; NULL at the end */
};

/* Index of the first argument that is no option and no option's value: the command. 0: there is none. */
int options_command(int argc, char *argv[]);

/* The exit status to end with, or -1: the command is to run. Errors and --help are printed.
 * command NULL: the default one. */
int options_parse(struct options *options, int argc, char *argv[], const struct command *command);
void options_finish(struct options *options);

/* A pid: decimal digits, of 1 and more. */
bool options_pid(const char *text, uint32_t *ret);
/* "execsnoopctl: TEXT: REASON" on standard error; the text is escaped. CTL_USAGE. */
int options_refuse(const char *text, const char *reason);
/* The arguments, as programs and pairs. An exit status, or 0. */
int options_add_programs(const struct options *options);

/* The exit status for what source_open_socket() returns. */
int options_status(int error);
/* The same of source_open_file() and source_open_journal(). */
int options_file_status(int error);

/* Opens what the options name; the socket where they name nothing and `live`, else the journal. An exit status, or 0.
 */
int options_open(const struct options *options, bool live, bool snapshot, struct event_source **ret);
