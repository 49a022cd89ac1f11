/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Groups as a table, one a line. */
#pragma once

#include "ctl/collect/groups.h"
#include "ctl/text/terminal.h"

enum group_column {
	GROUP_COL_STARTED,
	GROUP_COL_START_RATE,
	GROUP_COL_RUNNING,
	GROUP_COL_FAILED,
	GROUP_COL_ERRORS,
	GROUP_COL_FAIL_RATE, /* of both */
	GROUP_COL_SEARCHED,
	GROUP_COL_CPU,
	GROUP_COL_CPU_SHARE, /* of one CPU */
	GROUP_COL_SHORT,
	GROUP_COL_MEAN,
	GROUP_COL_LONGEST,
	GROUP_COL_RSS,
	GROUP_COL_READ,
	GROUP_COL_WRITE,
	GROUP_COL_NAMES, /* of the keys, a column each; the last of a table */
	GROUP_COL_LONGEST_COMMAND,
	GROUP_COL_LARGEST_COMMAND,
	GROUP_COLS,
};

struct group_table {
	const enum group_column *columns; /* the last one takes what is left of the line */
	size_t count;
	uint64_t interval_ns; /* for what is a second */
	bool legend;
};

/* Prints `count` groups; the columns that fit. */
void view_groups(const struct terminal *terminal, const struct group_table *table, const struct groups_options *keys,
		 struct group *const *groups, size_t count);

/* An object a line; or values separated by commas, with a heading (RFC 4180, but lines end in a newline only). */
void view_groups_json(FILE *out, const struct groups_options *keys, struct group *const *groups, size_t count);
void view_groups_csv(FILE *out, const struct groups_options *keys, struct group *const *groups, size_t count);
