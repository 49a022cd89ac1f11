// SPDX-License-Identifier: GPL-2.0-only
/* Failed execs, on kernels since 6.10. */
#include "failed_exec_deferred.bpf.h"

char LICENSE[] SEC("license") = "GPL";
