/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The event loop, with a look at how long what it calls takes. */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

/* Of what it called so far: the call that took longest, by the clock and in CPU time. They differ where other programs
 * have the CPU. */
struct turns {
	uint64_t max_us, max_cpu_us;
};

/* As sd_event_loop(3); *turns is kept up to date. */
int turns_run(sd_event *event, struct turns *turns);
