/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines that are not events: replies to requests, and other small JSON objects. */
#pragma once

#include <stdint.h>
#include <yajl/yajl_gen.h>

#include "output/line_queue.h"

/* Begins the object of a reply, up to its type; NULL without memory. */
yajl_gen reply_begin(const char *type);
void reply_text(yajl_gen gen, const char *text);
void reply_pair(yajl_gen gen, const char *key, const char *value);
void reply_count(yajl_gen gen, const char *key, uint64_t value);
void reply_map(yajl_gen gen, const char *key);
/* Ends the object and frees gen. *ret: the line, with its '\n'. -ENOMEM. */
int reply_end(yajl_gen gen, struct line **ret);
