/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads from /proc what the kernel's iterator does not have of a process that is already running.
 * The root is a parameter, so that tests and fuzzers bring their own tree.
 */
#pragma once

#include <stddef.h>

#include "model/process.h"
#include "record.h"
#include "util/cleanup.h"

/* Holds the bytes that procfs_read's result points to; reused from call to call. */
struct procfs;

/* What is read of a process, in this order. */
enum procfs_part {
	PROCFS_EXE,
	PROCFS_CWD,
	PROCFS_CGROUP,
	PROCFS_ARGS,
	PROCFS_ENV,
	PROCFS_EXE_DEV, /* where the kernel's list has another than stat(2) */
	PROCFS_MAX
};
#define PROCFS_BIT(part) (1u << (part))
/* The parts that may wait for the process: procfs.c has the reasons. */
#define PROCFS_WAITING (PROCFS_BIT(PROCFS_ARGS) | PROCFS_BIT(PROCFS_ENV) | PROCFS_BIT(PROCFS_EXE_DEV))

/* root: a descriptor of /proc (kept, not owned). args_limit: the most bytes of arguments read. */
int procfs_new(struct procfs **ret, int root, size_t args_limit);
struct procfs *procfs_free(struct procfs *procfs);
DEFINE_CLEANUP(struct procfs *, procfs_free);

/* Takes all the memory that reading may need now. */
int procfs_reserve(struct procfs *procfs);
/* The bytes that one result has at most. */
size_t procfs_result_max(const struct procfs *procfs);

/*
 * Fills image (exe, args, cwd, cgroup and what belongs to them) of *process, whose identity and ids
 * are there already; all it points to lives until the next call. A kernel thread gets none. listed:
 * its record in the kernel's list; NULL: it is not in there. skip: PROCFS_BITs of parts that are
 * not read, but named in image.incomplete.
 *
 * 0; -ESRCH: that process is gone (it ended, or its pid is another process's now: field 22 of
 * /proc/PID/stat, proc(5), is compared with process->start at the resolution it has); -errno where
 * /proc itself can't be read. A part that cannot be read (no permission, a zombie) stays unknown.
 * args: /proc/PID/cmdline; args_truncated beyond args_limit, argc and args_size then from what was
 * counted.
 */
int procfs_read(struct procfs *procfs, struct process *process, const struct record_running *listed, unsigned skip);

/* Where to write which part is being read (enum procfs_part), for a watching process; PROCFS_MAX:
 * none. NULL: nowhere. */
void procfs_show_part(struct procfs *procfs, uint32_t *part);

/* Read the environment too, as image.env, all of it (up to args_limit bytes). At first it is not. */
void procfs_want_env(struct procfs *procfs, bool wanted);

/* It is there, and not a zombie. */
bool procfs_is_alive(struct procfs *procfs, const struct process *process);
/* The same of the process that was read last, as it was then. */
bool procfs_was_alive(const struct procfs *procfs);

/*
 * For a process of which only tgid, start and comm are known (as another's parent): fills the ids
 * that /proc/PID/status gives: ppid, uid, gid, euid, egid, caps. 0; -ESRCH as above; -errno.
 */
int procfs_identify(struct procfs *procfs, struct process *process);
