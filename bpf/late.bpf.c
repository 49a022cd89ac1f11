// SPDX-License-Identifier: GPL-2.0-only
/* Failed execs since 6.18. */
#include "late.bpf.h"

char LICENSE[] SEC("license") = "GPL";
