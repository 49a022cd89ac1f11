/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a set of events is complete, stream by stream (execsnoopd-events(7), `seq`, `lost`, `live`, `mark`).
 *
 * An entry of the journal names the entry that it follows (EXECSNOOP_SEQ_STEP), also where events in between were left
 * out on purpose: what an entry follows must be there, or be reported as lost. A mark, which the daemon writes when it
 * stops, names the last one, and a daemon that runs names the last one that it has written. A stream of lines without a
 * filter that began with a snapshot has every number, or a `lost`; only the steps of folded searches have none. Of
 * other streams only marks prove something: they count the lines.
 */
#pragma once

#include <sys/queue.h>

#include "ctl/event/parsed.h"
#include "util/cleanup.h"

/* Numbers that are missing: at least one of first to last; all of them if `exact`. */
struct verify_hole {
	uint64_t first, last, count;
	uint64_t after, before; /* times of what is there around it; 0: not known */
	bool exact;
};

/* What there is of one stream. */
struct verify_stream {
	STAILQ_ENTRY(verify_stream) next;
	char host[256], id[33]; /* may be empty */
	uint64_t events, first_seq, last_seq, first_time, last_time;
	uint64_t lost[3];	/* by enum lost_where */
	uint64_t repeated;	/* numbers that are there more than once */
	uint64_t missing_lines; /* by marks */
	uint64_t starts_after;	/* the first one follows this number, which is not in the set; 0: it follows nothing */
	bool is_proved;		/* where nothing is missing: nothing can be, up to proved_seq */
	uint64_t proved_seq;	/* 0: no number is; what came after it would not be noticed */
	bool is_ended;		/* a mark in the journal follows the last one: the daemon stopped there */
	uint64_t written_seq;	/* the daemon runs, and says that it has written up to this number; 0: not known */
	uint64_t proved_time;	/* of that number, or of the line that names it; 0: not known */
	const char *reason;	/* why not */
	struct verify_hole *holes;
	size_t hole_count;
	struct verify_state *state;
};

struct verify;

int verify_new(struct verify **ret);
struct verify *verify_free(struct verify *verify);
DEFINE_CLEANUP(struct verify *, verify_free);
/* Before the first entry: the daemon has written this number of this stream to the journal. alone: it must be there
 * even if nothing else of the stream is. */
void verify_expect(struct verify *verify, const char *stream, uint64_t seq, bool alone);
/* Whether it is not there yet. */
bool verify_is_waiting(const struct verify *verify);
/* Every line or entry, in order. 0 or -ENOMEM. */
int verify_add(struct verify *verify, const struct parsed *parsed);
/* After the last one. 0 or -ENOMEM. */
int verify_end(struct verify *verify);
const struct verify_stream *verify_first(const struct verify *verify);
bool verify_is_missing(const struct verify_stream *stream);
