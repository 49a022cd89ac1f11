/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The event loop, with a look at how long what it calls takes. */
#ifndef EXECSNOOP_TURNS_H
#define EXECSNOOP_TURNS_H

#include <stdint.h>
#include <systemd/sd-event.h>

/* As sd_event_loop(3). *longest_us: of the calls so far, the one that took longest; it is kept up to date. */
int turns_run(sd_event *event, uint64_t *longest_us);

#endif
