/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What happened over a time: five short lists, or one table. */
#pragma once

#include "ctl/collect/groups.h"
#include "ctl/text/terminal.h"

struct stats_options {
	uint64_t first_ns, last_ns; /* times of the first and the last event; 0: not known */
	uint64_t lost;		    /* events, as far as they were reported */
	size_t lines;		    /* of a list */
	bool utc, legend;
};

/* Most started, most CPU, most failed, longest, largest. */
void view_stats_lists(const struct terminal *terminal, struct groups *groups, const struct stats_options *options);
void view_stats_table(const struct terminal *terminal, struct groups *groups, enum group_order order,
		      const struct stats_options *options);
/* "1,204" */
void count_format(char *ret, size_t size, uint64_t count);
