/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes below their parents. */
#pragma once

#include "ctl/collect/history.h"
#include "ctl/text/terminal.h"

struct tree_options {
	uint32_t pid;	  /* the root; 0: all */
	const char *unit; /* only trees of this unit; NULL: all */
	bool numeric, legend;
	bool fold; /* siblings of one shape in one line, with how many they are; needs history_set_shapes() */
};

/* Of those that are marked (history_mark_shown()). 1: something was shown; 0: nothing; -errno. */
int view_tree(const struct terminal *terminal, const struct history *history, const struct tree_options *options);
