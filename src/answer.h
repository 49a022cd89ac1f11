/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines that are not events: answers to requests, and other small JSON objects of the daemon's own. */
#ifndef EXECSNOOP_ANSWER_H
#define EXECSNOOP_ANSWER_H

#include <stdint.h>
#include <yajl/yajl_gen.h>

#include "buffer.h"

/* The object of an answer, up to its type; NULL without memory. */
yajl_gen answer_begin(const char *type);
void answer_text(yajl_gen gen, const char *text);
void answer_pair(yajl_gen gen, const char *key, const char *value);
void answer_count(yajl_gen gen, const char *key, uint64_t value);
void answer_map(yajl_gen gen, const char *key);
/* Frees gen. *ret: the line, with its '\n'. 0 or -ENOMEM. */
int answer_end(yajl_gen gen, struct line **ret);

#endif
