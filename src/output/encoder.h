/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lines of one event, for all sinks; sink.h has encoder_line(). The first few sets of keys are
 * encoded each. For further sets, and for all sets of a large event, one line of all keys is
 * encoded and the others are cut from it: so the work for an event is bounded, however many sets
 * there are, and a large line is in memory once.
 */
#ifndef EXECSNOOP_ENCODER_H
#define EXECSNOOP_ENCODER_H

#include "model/event.h"
#include "output/json.h"
#include "output/sink.h"

#define ENCODER_SETS 4 /* as many as outputs usually have */

struct encoder {
	struct json *json; /* owned */
	const struct event *event;
	struct {
		key_set keys;
		size_t args_bytes; /* 0: all of the arguments */
		struct line *line;
	} made[ENCODER_SETS];
	size_t count;
	struct line *whole; /* NULL: not needed so far */
	key_set whole_keys;
	key_set requested; /* of KEYS_ON_REQUEST: what outputs have asked for so far, in any event */
	struct line_map map;
};

int encoder_init(struct encoder *encoder);
void encoder_destroy(struct encoder *encoder);
/* The event is over. */
void encoder_clear(struct encoder *encoder);

#endif
