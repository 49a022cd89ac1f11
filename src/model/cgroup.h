/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The systemd unit, the container and the Kubernetes pod of a process, from the path of its cgroup. See cgroup.c for
 * the rules. Paths are absolute (struct image, cgroup), of any bytes; BYTES_NONE: there is none.
 */
#pragma once

#include "util/bytes.h"

/* The name of a unit with a NUL (UNIT_NAME_MAX, systemd's unit-name.h). The kernel allows longer
 * names of cgroups. */
#define CGROUP_NAME_SIZE 256

/* The unit, a part of path. */
struct bytes cgroup_unit(struct bytes path);

/* The innermost container, a part of path; or of buffer, if systemd's escapes had to be undone. */
struct bytes cgroup_container_id(struct bytes path, char buffer[static CGROUP_NAME_SIZE]);

#define CGROUP_POD_SIZE 36

/* The uid of the innermost pod, a part of path; or of buffer, if systemd's '_' had to be undone. */
struct bytes cgroup_pod_uid(struct bytes path, char buffer[static CGROUP_POD_SIZE]);
