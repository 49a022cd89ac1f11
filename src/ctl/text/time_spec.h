/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Points in time as systemd.time(7) has them, in and out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * "2026-11-29 10:02:11.5", "2026-11-29", "10:02", "today", "yesterday", "tomorrow", "now", "-5min", "+2h", "5min ago",
 * "@1764410531.5", and RFC 3339. Local time, or that of " UTC" or a zone at the end. A local time that comes twice,
 * when the clock is set back, is the first, or the `last`. now_ns: since the epoch, as *ret_ns, which is never 0:
 * callers have no bound then.
 */
bool time_spec_parse(const char *text, uint64_t now_ns, bool last, uint64_t *ret_ns);

/* Short, of three digits or so: "74ms", "1.2s", "41s", "3min 4s", "2h 5min", "3d 4h". */
void time_span_format(char *ret, size_t size, uint64_t ns);
/* "1.9M", "812K", "0B". */
void size_format(char *ret, size_t size, uint64_t bytes);
