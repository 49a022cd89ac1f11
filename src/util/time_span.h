/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Durations as systemd.time(7) has them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* "1h 30min", "2.5s", "100ms"; a number alone is of seconds. */
bool time_span_parse(const char *text, uint64_t *ret_ns);

/* Of a longer text: these advance *text to what is no part of them. */
bool time_span_at(const char **text, uint64_t *ret_ns);
/* "2.5": digits and decimals, times unit. */
bool time_decimal_at(const char **text, uint64_t unit, uint64_t *ret);
