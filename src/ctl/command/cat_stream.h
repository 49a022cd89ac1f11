/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's stream, for ever: `cat` of the socket. */
#ifndef EXECSNOOP_CAT_STREAM_H
#define EXECSNOOP_CAT_STREAM_H

#include "ctl/command/options.h"

/* The exit status; errors are reported. */
int cat_stream(struct options *options);

#endif
