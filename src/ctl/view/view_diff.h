/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What two sets of events have not in common. */
#pragma once

#include "ctl/collect/groups.h"
#include "ctl/text/terminal.h"

struct diff_options {
	const char *names[2]; /* of the two sides, for a terminal */
	size_t lines;	      /* of a section */
	bool legend;
};

/* Groups by GROUP_PROGRAM and GROUP_COMMAND, in this order. 1: they differ; 0: they do not; -ENOMEM. */
int view_diff(const struct terminal *terminal, struct groups *a, struct groups *b, const struct diff_options *options);
