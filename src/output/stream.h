/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The series of numbers (seq) that the daemon gives to events, and the lines of an output that describe it: `live` ends
 * a snapshot, `mark` reports progress. Neither is an event.
 */
#pragma once

#include <stdint.h>
#include <yajl/yajl_gen.h>

#include "output/line_queue.h"

struct stream {
	uint64_t id;	   /* random; another where seq begins again */
	uint64_t last_seq; /* of the last event */
	/* As sd-id128(3) has them; "": not known. */
	char machine_id[33], boot_id[33];
};

/* No number yet, of no known machine. */
extern const struct stream stream_none;
/* A new series, on this machine. 0 or -errno. */
int stream_init(struct stream *stream);

/* Writes `stream` and `last_seq` as members of the object that is open. */
void stream_gen(const struct stream *stream, uint64_t last_seq, yajl_gen gen);
/* last_seq: of the last event before the snapshot. -ENOMEM. */
int stream_live(const struct stream *stream, uint64_t last_seq, struct line **ret);
/* lines: of events, before it in its stream. -ENOMEM. */
int stream_mark(const struct stream *stream, uint64_t lines, struct line **ret);
