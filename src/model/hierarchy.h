/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process has a cgroup in each hierarchy; this says which of them counts. It is that of cgroup v2, or, where that is the root, the one
 * in a hierarchy of v1: that which systemd keeps; without such a one that of the first controller, in a fixed order, in which it is not
 * the root either.
 */
#ifndef EXECSNOOP_HIERARCHY_H
#define EXECSNOOP_HIERARCHY_H

#include <stddef.h>
#include <stdint.h>

#include "util/bytes.h"

/* text: of /proc/PID/cgroup (cgroups(7)). The path that counts; BYTES_NONE: there is none. */
struct bytes hierarchy_path(struct bytes text);

/* The ids of the v1 hierarchies in that text, first choice first, at most `max`; how many. */
size_t hierarchy_ids(struct bytes text, uint32_t *ret, size_t max);

#endif
