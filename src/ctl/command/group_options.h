/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options --by and --sort. */
#ifndef EXECSNOOP_GROUP_OPTIONS_H
#define EXECSNOOP_GROUP_OPTIONS_H

#include "ctl/collect/groups.h"
#include "ctl/command/options.h"

/* 0, or an exit status, with the reason printed. Without --by: by exe. */
int group_options(struct groups_options *ret, const struct options *options);

#endif
