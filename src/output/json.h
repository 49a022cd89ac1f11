/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An event as one JSON object on one line, as execsnoopd-events(7) describes it. Always valid
 * UTF-8, in which nothing acts on a terminal (utf8.h). Bytes that are not UTF-8 (RFC 3629: no
 * overlong forms, surrogates or code points above U+10FFFF) become one U+FFFD for each maximal
 * subpart (Unicode 3.9); then the exact bytes follow in base64 (RFC 4648, padded) as KEY_raw.
 */
#pragma once

#include "model/event.h"
#include "output/line_queue.h"

struct json;

int json_new(struct json **ret);
struct json *json_free(struct json *json);
DEFINE_CLEANUP(struct json *, json_free);

/* *ret: a new line, with '\n'. -ENOMEM. */
int json_event(struct json *json, struct line **ret, const struct event *event, key_set keys);

/* Where the keys of a line begin, each with its comma (and followed by its KEY_raw, if it has one);
 * and where the last one ends. */
struct line_map {
	size_t count, end;
	struct {
		enum key key;
		size_t at;
	} keys[KEY_MAX];
};
/* The same; ret_map NULL: not asked for. */
int json_event_map(struct json *json, struct line **ret, const struct event *event, key_set keys,
		   struct line_map *ret_map);
