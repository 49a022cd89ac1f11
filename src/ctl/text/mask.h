/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs from one run of a program to the next, made equal: numbers of three digits and more (pids, times, ports)
 * as N, hexadecimal numbers of eight digits and more as X, UUIDs as UUID, names in folders for temporary files as *,
 * with their suffix. Shorter numbers stay: -O2 is not -O3.
 */
#pragma once

#include <stddef.h>

/* The result is not longer than the text; cut at size. */
void mask_text(char *to, size_t size, const char *text);
