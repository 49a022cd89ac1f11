/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One interval of `top`: a head of two lines, and a table. */
#pragma once

#include "ctl/collect/groups.h"
#include "ctl/text/terminal.h"

struct top_view {
	uint64_t interval_ns;
	unsigned cpus; /* 0: not known */
	uint64_t lost; /* events */
	enum group_order order;
	const char *filter; /* groups with this text in a name; "": all */
	const char *note;   /* at the end of the second line; NULL: none */
	size_t lines;	    /* of all; 0: no limit */
	bool legend;
};

void view_top(const struct terminal *terminal, struct groups *groups, const struct top_view *view);
