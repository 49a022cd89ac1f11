/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process has a cgroup in each hierarchy; this chooses one: that of cgroup v2 or, if that is the
 * root, the one in systemd's own v1 hierarchy or, without that, in the first v1 hierarchy, in a
 * fixed order of controllers, in which it is not the root either.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "util/bytes.h"

/* text: of /proc/PID/cgroup (cgroups(7)). BYTES_NONE: there is no such path. */
struct bytes hierarchy_path(struct bytes text);

/* The ids of the v1 hierarchies in that text, the first choice first, at most `max`. Returns how
 * many. */
size_t hierarchy_ids(struct bytes text, uint32_t *ret, size_t max);
