/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What watch, log and cat share: event after event is printed in a format. */
#pragma once

#include <signal.h>

#include "ctl/command/options.h"
#include "ctl/export/event_csv.h"
#include "ctl/view/view_json.h"

struct lines {
	struct options *options;
	struct terminal terminal;
	struct view_line *view;
	struct view_json *json;
	struct event_csv *csv;
	bool headed;	  /* CSV: its heading is printed */
	uint64_t printed; /* lines */
	uint64_t shown;	  /* of them, those that are no losses */
};

/* The number of SIGINT or SIGTERM, once they are caught; calls that wait return EINTR then. */
extern volatile sig_atomic_t interrupted;
void catch_signals(void);
/* Ends the process by the signal that interrupted it, if one did. */
void die_of_signal(void);

/* 0, or an exit status. */
int lines_open(struct lines *lines, struct options *options, bool pager);
/* Prints the heading, if the format has one that was not printed; so does the first event. */
void lines_head(struct lines *lines);
/* Whether events of unknown types are printed: a line of JSON is, as it came, if no filter is to be asked about it. */
bool lines_pass_unknown(const struct options *options);
int lines_print(struct lines *lines, const struct parsed *parsed);
/* The exit status. r: what reading ended with, 0 or -errno, -EPROTO: the daemon rejects the request. */
int lines_close(struct lines *lines, int r);
