/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The subscription to a child of this process and all that descends from it. The daemon knows processes by their pids
 * in the initial pid namespace, which a process of another one does not know: it is found by its namespace and the pid
 * there.
 */
#pragma once

#include <sys/types.h>

#include "ctl/source/source.h"

struct run_tree {
	struct event_source *source;
	pid_t pid;
	uint32_t pid_ns; /* 0: the initial one */
};

/* Returns once the daemon has confirmed it: an exit status, or 0. Errors are reported. */
int run_tree_open(struct run_tree *ret, const char *socket, pid_t pid);
/* False of this process itself, which is subscribed to where its child cannot be. */
bool run_tree_has(const struct run_tree *tree, const struct process *process);
/* Whether that is the child itself. */
bool run_tree_is_child(const struct run_tree *tree, const struct process *process);
