/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What runs already: every process, from the kernel's own list, bit by bit. Each that is there from the first read to the last is
 * given once, in the order of pids.
 */
#ifndef EXECSNOOP_TASK_LIST_H
#define EXECSNOOP_TASK_LIST_H

#include <stddef.h>

#include "record.h"
#include "util/cleanup.h"

struct bpf_program;
struct task_list;

/* By an iterator's program, loaded. 0 or -errno. */
int task_list_new(struct task_list **ret, const struct bpf_program *iterate);
/* By a program that writes the whole list into a ring of its own, when it is run: both by descriptor, borrowed; ring_size: in bytes.
 * 0; -ENOSPC if the ring is too small; -errno. */
int task_list_new_plain(struct task_list **ret, int program, int ring, size_t ring_size);
struct task_list *task_list_free(struct task_list *tasks);
DEFINE_CLEANUP(struct task_list *, task_list_free);

/* Some more of them, valid until the next call: how many; 0 at the end; -errno. */
int task_list_read(struct task_list *tasks, const struct record_running **ret);

#endif
