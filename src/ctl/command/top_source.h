/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The events that `top` sums up: with the keys that it needs, if it is known which these are. */
#pragma once

#include "ctl/collect/groups.h"
#include "ctl/command/options.h"

/* *ret_local: what the daemon sends is to be asked for query_pass(). An exit status, or 0. */
int top_source_open(struct event_source **ret, const struct options *options, const struct groups_options *by,
		    bool *ret_local);
