// SPDX-License-Identifier: GPL-2.0-only
/* Failed execs. The object shares the ring buffer and the counters of lifecycle.bpf.c. */
#include "failed_exec_attach.bpf.h"

static __always_inline bool failed_exec_defer(struct pending_call *call, s64 ret)
{
	return false;
}

static u64 lost_path_find(void)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
