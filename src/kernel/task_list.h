/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The list of processes from the kernel, read in parts. Each process that exists from the first
 * read to the last is in it once, in the order of pids.
 */
#pragma once

#include <stddef.h>

#include "record.h"
#include "util/cleanup.h"

struct bpf_program;
struct task_list;

/* By an iterator's program, loaded. */
int task_list_new(struct task_list **ret, const struct bpf_program *iterate);
/* From a descriptor that gives struct record_running, one after another; owned, also on failure. */
int task_list_new_from(struct task_list **ret, int fd);
/* By a program that writes the whole list into a ring of its own when it is run: both by
 * descriptor, borrowed; ring_size: in bytes. -ENOSPC: the ring is too small. */
int task_list_new_fallback(struct task_list **ret, int program, int ring, size_t ring_size);
struct task_list *task_list_free(struct task_list *tasks);
DEFINE_CLEANUP(struct task_list *, task_list_free);

/* The next processes, valid until the next call. Returns how many; 0 at the end; -errno. */
int task_list_read(struct task_list *tasks, const struct record_running **ret);
