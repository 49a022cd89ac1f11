/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a command, or whatever was recorded, ran and used: the page of execsnoopctl run. */
#pragma once

#include "ctl/collect/recording.h"
#include "ctl/text/terminal.h"

#define REPORT_WIDTH 160 /* in a file */

/* What is known from outside the events. All zero: nothing. */
struct report_facts {
	const char *command; /* for people; NULL: the recording is of no single command */
	const char *status;  /* "exit 2"; NULL: not known */
	uint64_t running_ns;
	uint64_t cpu_user_ns, cpu_system_ns; /* of the command and all that it waited for, also without an exec */
	unsigned cpus;			     /* that it could use; 0: not known */
	bool ends_early;		     /* the events do: what has no end may have ended */
	const char *scope;		     /* the unit that it ran in; NULL: none */
	bool scope_of_user;		     /* of the user's service manager */
	size_t scope_count;		     /* processes that are still in it */
};

/* 0 or -ENOMEM. */
int view_report(const struct terminal *terminal, struct recording *recording, const struct report_facts *facts);
