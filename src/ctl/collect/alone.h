/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "ctl/collect/recording.h"

/*
 * Sets alone_ns of each program: the time in which nothing else of the recording ran, apart from programs that have a
 * child, since those wait as a rule, and from those whose start is not in it. It is what a command with more CPUs would
 * take no less time for. *ret_total: the sum.
 */
int alone_find(struct recording *recording, uint64_t *ret_total);
