/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lines of one event, for all sinks; sink.h has encoder_line(). The first few sets of keys are
 * encoded each. For further sets, and for all sets of a large event, one line of all keys is
 * encoded and the others are cut from it: so the work for an event is bounded, however many sets
 * there are, and a large line is in memory once.
 *
 * Lines with fewer arguments (args_bytes of a request) are encoded each, until they took ENCODER_CUT_MAX bytes of
 * arguments in all. Further ones have the next power of two below, and are cut from one line for each of these.
 */
#pragma once

#include "model/event.h"
#include "output/json.h"
#include "output/sink.h"

#define ENCODER_SETS 4 /* as many as outputs usually have */
#define ENCODER_CUT_MAX ((size_t)256 << 10)
#define ENCODER_POWERS 17 /* up to REQUEST_ARGS_BYTES_MAX */

/* One that others are cut from. */
struct whole {
	struct line *line; /* NULL: not needed so far */
	key_set keys;
	struct line_map map;
};

struct encoder {
	struct json *json; /* owned */
	const struct event *event;
	struct {
		key_set keys;
		size_t args_bytes; /* 0: all of the arguments */
		struct line *line;
	} made[ENCODER_SETS];
	size_t count;
	struct whole whole;
	struct whole powers[ENCODER_POWERS]; /* [i]: with 1 << i bytes of arguments */
	size_t cut_bytes;		     /* of ENCODER_CUT_MAX; what exceeds it was not encoded */
	size_t counted, counted_at;	     /* what the arguments take of a line, as far as that was counted */
	key_set requested;		     /* of KEYS_ON_REQUEST: what outputs have asked for so far, in any event */
};

int encoder_init(struct encoder *encoder);
void encoder_destroy(struct encoder *encoder);
/* The event is over. */
void encoder_clear(struct encoder *encoder);
