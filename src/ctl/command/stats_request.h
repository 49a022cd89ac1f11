/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's reply to {"stats":true}; execsnoopd(8), "Statistics". */
#pragma once

#include "ctl/command/options.h"

/* *ret: the line, without its newline; free(3) it. An exit status, or 0; errors are reported. */
int stats_request(const struct options *options, char **ret);
