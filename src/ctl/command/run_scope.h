/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A transient scope unit for a command, as `systemd-run --scope` makes one: of the system's service manager for root,
 * else of the user's own. What the command starts stays in it, also what leaves its session and its parent.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct run_scope {
	char name[64]; /* "": none */
	char *procs;   /* its file cgroup.procs; NULL: not found */
	bool is_of_user;
};

/* Moves the process into a new scope. An exit status, or 0. Errors are reported. */
int run_scope_start(struct run_scope *ret, pid_t pid, const char *description);
/* Processes that are in it. */
size_t run_scope_count(const struct run_scope *scope);
void run_scope_finish(struct run_scope *scope);
