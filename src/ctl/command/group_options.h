/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options --by and --sort. */
#pragma once

#include "ctl/collect/groups.h"
#include "ctl/command/options.h"

/* 0, or an exit status, with the reason printed. Without --by: by exe. */
int group_options(struct groups_options *ret, const struct options *options);
