/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tracefs, which has the numbers of tracepoints. Where it is not mounted, a mount is made that has no
 * place in the file tree (fsmount(2)), so nothing on the machine changes.
 */
#pragma once

/* Its descriptor, the caller's. -EACCES: it is mounted, and may not be searched. */
int tracefs_open(void);

/* The number of a tracepoint of the group "syscalls". */
int tracefs_syscall_event(int tracefs, const char *name);
