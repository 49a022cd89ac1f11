/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The arguments of a process, by /proc. */
#pragma once

#include "model/process.h"
#include "util/bytebuf.h"

/* dir: of /proc/PID, or of a thread. Sets the args, argc, args_size and args_truncated of *image:
 * at most `limit` bytes of them, in *buffer. 0 or -errno. */
int procfs_read_args(struct bytebuf *buffer, int dir, size_t limit, struct image *image);
