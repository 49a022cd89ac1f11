// SPDX-License-Identifier: GPL-2.0-only
/* Failed execs. It shares the ring buffer and the counters of execsnoop.bpf.c. */
#include "ways.bpf.h"

static __always_inline bool error_later(struct attempt *attempt, s64 ret)
{
	return false;
}

char LICENSE[] SEC("license") = "GPL";
