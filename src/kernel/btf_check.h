/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the probes read of the daemon itself, against what it knows of itself: a file with another
 * kernel's type information ([probes] btf) leads them to other memory, and nothing else would tell.
 */
#ifndef EXECSNOOP_BTF_CHECK_H
#define EXECSNOOP_BTF_CHECK_H

#include <stdbool.h>

#include "record.h"

/* Whether the record is this process's, by its pid in its own namespace (pid_namespaces(7)). */
bool btf_check_is_daemon(const struct record_process *process);

/* The first member in which it is not as it is, named for a person; NULL: there is none. For the main thread. */
const char *btf_check_differs(const struct record_running *running);

#endif
