/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What runs already: every process, from the kernel's own list, bit by bit. Each that is there from the first read to the last is
 * given once, in the order of pids.
 */
#ifndef EXECSNOOP_RUNNING_H
#define EXECSNOOP_RUNNING_H

#include <stddef.h>

#include "cleanup.h"
#include "record.h"

struct bpf_program;
struct running;

/* By an iterator's program, loaded. 0 or -errno. */
int running_new(struct running **ret, const struct bpf_program *iterate);
/* By a program that writes the whole list into a ring of its own, when it is run: both by descriptor, borrowed; ring_size: in bytes.
 * 0; -ENOSPC if the ring is too small; -errno. */
int running_new_plain(struct running **ret, int program, int ring, size_t ring_size);
struct running *running_free(struct running *running);
DEFINE_CLEANUP(struct running *, running_free);

/* Some more of them, valid until the next call: how many; 0 at the end; -errno. */
int running_read(struct running *running, const struct record_running **ret);

#endif
