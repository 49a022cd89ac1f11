/* SPDX-License-Identifier: GPL-2.0-or-later */
/* As fuzz_filter, with texts that are repeated up to 16 KiB. */
#define TEXT_MAX 16384
#include "fuzz_filter.c"
