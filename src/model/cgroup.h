/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the path of a cgroup says of its processes: the systemd unit and the container. See cgroup.c for the rules.
 * Paths are absolute (struct image, cgroup); any bytes are taken, and what says nothing gives BYTES_NONE.
 */
#ifndef EXECSNOOP_CGROUP_H
#define EXECSNOOP_CGROUP_H

#include "util/bytes.h"

/* The name of a unit with room for a NUL (UNIT_NAME_MAX, systemd's unit-name.h). The kernel allows longer names of cgroups. */
#define CGROUP_NAME_SIZE 256

/* The unit, a piece of path. */
struct bytes cgroup_unit(struct bytes path);

/* The innermost container: a piece of path, or of buffer where systemd's escapes had to be undone. */
struct bytes cgroup_container_id(struct bytes path, char buffer[static CGROUP_NAME_SIZE]);

#endif
