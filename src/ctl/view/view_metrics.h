/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's statistics for monitoring systems. */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <yajl/yajl_tree.h>

/*
 * OpenMetrics 1.0 (https://openmetrics.io), or the older text format 0.0.4 of Prometheus, which node_exporter(1) reads:
 * it names a family as its samples are named, and has no end mark. stats: the daemon's reply to a `stats` request. What
 * is missing in it has no sample.
 */
void view_metrics(FILE *out, yajl_val stats, bool openmetrics);
