/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's stream, for ever: `cat` of the socket. */
#pragma once

#include "ctl/command/options.h"

/* The exit status; errors are reported. */
int cat_stream(struct options *options);
