/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The name of this machine, and those of its users and groups, for keys on request: read when the first output asks for
 * them, and again when they change. Names come from passwd(5) and group(5) alone: NSS may ask a server, and the event
 * loop cannot wait for one.
 */
#pragma once

#include <systemd/sd-event.h>

#include "model/extras.h"

#define LOCAL_NAMES_SIZE_MAX (1 << 20) /* bytes of a file that are read */

struct local_names;

int local_names_new(struct local_names **ret, sd_event *event);
struct local_names *local_names_free(struct local_names *names);
DEFINE_CLEANUP(struct local_names *, local_names_free);

/* Valid as long as `names`; what it points to changes between two events only. The table is for the caller to set. */
struct extras_source *local_names_source(struct local_names *names);

/* Reads again what is in use, in case a change could not be seen. */
void local_names_reload(struct local_names *names);
