/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One line an event, in columns. Whatever an event holds is shown harmlessly (quote.h). */
#pragma once

#include "ctl/event/parsed.h"
#include "ctl/text/terminal.h"
#include "util/cleanup.h"

struct view_line;

struct view_options {
	bool utc;
	bool numeric;	     /* user ids instead of names */
	bool date;	     /* the day before the time of day */
	bool legend;	     /* a heading line */
	const char *started; /* status of a process that has not ended; NULL: none */
	const char *columns; /* "time,pid,command"; names of columns or keys; NULL: the usual ones */
};

/* The terminal and the options are borrowed. -EINVAL: *ret_reason names what is no column. */
int view_line_new(struct view_line **ret, const struct terminal *terminal, const struct view_options *options,
		  const char **ret_reason);
struct view_line *view_line_free(struct view_line *view);
DEFINE_CLEANUP(struct view_line *, view_line_free);

/* Prints the heading, if there is one to be printed. */
void view_line_head(struct view_line *view);
/* Prints the event; the heading before the first one. -errno: of writing. */
int view_line_event(struct view_line *view, const struct parsed *parsed);

/* The names of columns, for --help; NULL after the last. */
const char *view_line_column(size_t i);
