/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether the kernel preempts tasks that run in it: then also the programs of trampolines (bpf/scratch.bpf.h). */
#pragma once

#include <stdbool.h>

/* True also where that cannot be found out. root: above /proc, /sys, /boot and /lib; "" but in tests. */
bool preemption_is_on(const char *root);
