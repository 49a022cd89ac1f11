/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compares what the probes read of the daemon with what it knows of itself: with a file of another
 * kernel's type information ([probes] btf) they read other memory, and nothing else detects that.
 */
#pragma once

#include <stdbool.h>

#include "record.h"

/* Whether the record is this process's, by its pid in its own namespace (pid_namespaces(7)). */
bool btf_check_is_daemon(const struct record_process *process);

/* The first member that differs, in words; NULL: none does. To be called by the main thread. */
const char *btf_check_differs(const struct record_running *running);
