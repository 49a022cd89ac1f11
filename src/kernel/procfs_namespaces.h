/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The namespaces of a process that the kernel's list does not have; used by procfs.c only. */
#pragma once

#include "model/process.h"

/* dir: /proc/PID. One that cannot be read is unchanged. */
void procfs_read_namespaces(int dir, struct process *process);
