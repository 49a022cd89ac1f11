/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CLOCK_REALTIME - CLOCK_BOOTTIME, by which times of the kernel become those of a calendar. Both clocks are slewed
 * alike, so it changes by steps only, when CLOCK_REALTIME is set; a smaller difference is noise of the reading.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

int64_t epoch_read(void);
bool epoch_is_same(int64_t a, int64_t b);
/* The clock was not set since it was read; cheaper than epoch_read(). */
bool epoch_is_current(int64_t epoch);
