/* SPDX-License-Identifier: GPL-2.0-or-later */
/* As fuzz_filter, with texts that are repeated up to 64 KiB. */
#define TEXT_MAX 65536
#include "fuzz_filter.c"
