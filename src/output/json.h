/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An event as one JSON object on one line (CONTRACT section 2). Always valid UTF-8, in which nothing acts on a terminal (utf8.h):
 * bytes that are not (RFC 3629: no overlong forms, surrogates or code points above U+10FFFF) become
 * one U+FFFD for each maximal subpart (Unicode 3.9), and the exact bytes follow beside them in base64
 * (RFC 4648, padded) as KEY_raw, there only for such values.
 */
#ifndef EXECSNOOP_JSON_H
#define EXECSNOOP_JSON_H

#include "model/event.h"
#include "output/line_queue.h"

struct json;

/* An encoder and its working memory, reused from event to event. */
int json_new(struct json **ret);
struct json *json_free(struct json *json);
DEFINE_CLEANUP(struct json *, json_free);

/* *ret: a new line, with '\n'. -ENOMEM. */
int json_event(struct json *json, struct line **ret, const struct event *event, key_set keys);

/* Where the keys of a line begin, each with its comma and with its twin; and where the last one ends. */
struct line_map {
	size_t count, end;
	struct {
		enum key key;
		size_t at;
	} keys[KEY_MAX];
};
/* The same, and where its keys are. */
int json_event_map(struct json *json, struct line **ret, const struct event *event, key_set keys,
		   struct line_map *ret_map);

#endif
