/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where events come from: the daemon's socket, the journal, a file or a pipe. */
#pragma once

#include "ctl/event/query.h"

struct event_source;

#define UNKNOWN_TYPES_MAX 8

/* Types of events that this version does not know: each is reported at the first, and counted. */
struct unknown_types {
	struct {
		char name[32]; /* as for a terminal */
		uint64_t count;
	} list[UNKNOWN_TYPES_MAX]; /* the last one is that of all others */
	size_t count;
};

/* Lines of one connection after the other that cannot be read: a reason is printed when it is another than before, and
 * the others are counted. */
struct bad_lines {
	char reason[128];
	unsigned printed;
	uint64_t more; /* that were not */
};

struct source_ops {
	int (*next)(struct event_source *source, const struct parsed **ret);
	int (*wait)(struct event_source *source, int timeout_ms);
	void (*free)(struct event_source *source);
};

/* The beginning of each kind of source. */
struct event_source {
	const struct source_ops *ops;
	const char *name;	    /* for messages */
	uint64_t line;		    /* of the last event; 0: what is read has no lines */
	int fd;			    /* readable when there is more; -1: there is none */
	bool passes_unknown;	    /* events of unknown types are shown as they are: they are not reported */
	struct unknown_types types; /* those that were */
	struct bad_lines *bad;	    /* not owned; NULL: each source reports its own */
};

/* An event of a type that this version does not know. */
bool source_is_unknown(const struct parsed *parsed);
/* Of all sources: lines and entries that could not be read, each of which was reported and passed over. */
uint64_t sources_bad(void);
void sources_add_bad(void);

/* 1: *ret is the next event, or another line of the daemon's, valid until the next call. 0: there are no more. -EINTR:
 * a signal came. Other errors were reported on standard error. What cannot be read is reported and passed over. */
int source_next(struct event_source *source, const struct parsed **ret);
/* Waits until source_next() need not wait for long. 1; 0: the time is over; -EINTR. timeout_ms < 0: none. */
int source_wait(struct event_source *source, int timeout_ms);
struct event_source *source_free(struct event_source *source);
DEFINE_CLEANUP(struct event_source *, source_free);

/* Before a message on standard error about what is read: lines that were printed come first, and whole, where both are
 * one terminal. */
void source_begin_message(void);

/* For messages on a terminal: a file's name may come from anybody. To be freed; NULL: no memory. */
char *source_safe_name(const char *name);

/* path "-": standard input. Errors are reported. */
int source_open_file(struct event_source **ret, const char *path);

/*
 * The daemon's socket; request: sent at once (query_request), NULL: none. All lines up to its reply are left out. The
 * errors are reported with the command that mends them: -ECONNREFUSED or -ENOENT where there is no daemon or no reply
 * of one, -EACCES where this user may not read, -EPROTO where the daemon rejects the request, which source_next() may
 * return later, too, of several hosts.
 */
int source_open_socket(struct event_source **ret, const char *path, const char *request);

/*
 * The same for a program that connects again: errors are not reported, the reply is returned as well, a last line that
 * is not whole is left out, and source_next() returns -EAGAIN instead of waiting. The descriptor is source->fd.
 */
int source_subscribe(struct event_source **ret, const char *path, const char *request);
/* Reports that the connection ended before all of a snapshot came; returns -ECONNRESET. */
int source_broken(const struct event_source *source);
/* A reply `rejected`, with its reason. */
void source_report_rejected(const struct parsed *parsed);
/* Something listens, but does not answer as the daemon does. error: 0 or -errno, of its connection. */
bool source_is_mute(int error);
const char *source_error(int error);
/* What source_open_socket() reports. */
void source_explain_socket(const char *path, int error);

/* The same in two steps: several daemons can be asked before the first reply is there. */
int source_ask(struct event_source **ret, const char *path, const char *request);
int source_await_reply(struct event_source *source);

struct journal_options {
	const char *directory;	/* NULL: this machine's */
	char *const *files;	/* globs, NULL at the end; NULL: none */
	const char *name_space; /* NULL: the unit's own if it has one, and the default one */
	bool merge;		/* of other machines too */
	const char *boot;	/* a name of boots.h; NULL: any */
	bool reverse;
	bool from_start;      /* read from the first entry, also where the query has a beginning */
	char *const *matches; /* "FIELD=VALUE" for the index, NULL at the end; NULL: none */
	key_set keys;	      /* that the caller needs, in addition to those of the query; 0: all */
};
/* Reports files of the journal that this user may not read; false: there are none. */
bool source_explain_journal(const struct journal_options *options);
/* Reports files that are cut, damaged or none of the journal, over which sd_journal_open_directory(3) passes in
 * silence; each counts as in sources_bad(). */
void source_report_damaged_files(const struct journal_options *options);
/* Reports open files of the journal in which a chain of entries is broken, as source_report_damaged_files(). All
 * entries are looked at. */
void source_report_broken_files(void);
/* query: bounds in time, and what the index can do, are taken from it; it must outlive the source. -ENODATA: there is
 * no such boot. */
int source_open_journal(struct event_source **ret, const struct journal_options *options, const struct query *query);
/* Of a journal that was read backwards: from now on source_next() returns what was written after the first entry that
 * it read, and waits for more. */
int source_journal_turn(struct event_source *source);
