/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the daemon reports about itself: in the reply to a `stats` request, in the log, in STATUS=. */
#pragma once

#include <yajl/yajl_gen.h>

/* Keys of the object that is open. */
void stats_gen(void *daemon, yajl_gen gen);
/* As one line of the log. */
void stats_log(void *daemon);
/* As STATUS=, if something happened, and not too often. */
void stats_notify(void *daemon);
