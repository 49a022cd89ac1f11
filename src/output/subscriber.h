/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One subscription to the stream: a descriptor, a filter, and a bounded queue. It knows nothing of the event loop:
 * its owner (server, stdout_output) calls subscriber_write() when the descriptor is writable.
 *
 * The stream: a snapshot, if one was asked for, made line by line as it is read, so that it takes no queue; then
 * `live`; then events. Events of the time of the snapshot wait in the queue. When the queue is full, whole events
 * are dropped and counted, until it is half empty; a `lost` line then takes their place. While it drops, an event
 * costs no more than the counting. A line larger than the queue is dropped too, and so is an event that the filter
 * cannot decide within its budget (budget.h).
 *
 * Its memory is bounded: the queue, with what was queued before a snapshot; one portion of the snapshot; and a few
 * unread replies, beyond which no request is taken. Replies and the filter are charged to the queue.
 *
 * Of `exited` it gets those whose process it knows, from its snapshot or from an event since it joined
 * (event_was_announced()).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "handover/checkpoint.h"
#include "model/extras.h"
#include "model/filter.h"
#include "model/proctable.h"
#include "output/json.h"
#include "output/line_queue.h"
#include "output/sink.h"
#include "output/stream.h"
#include "util/budget.h"

struct subscriber;

struct subscriber_config {
	size_t queue;	 /* bytes of memory */
	bool disconnect; /* slow = disconnect */
	key_set keys;
	struct filter *filter;	      /* taken over; NULL: everything */
	uint64_t boot;		      /* for the ids of the snapshot */
	const struct stream *stream;  /* of all events; borrowed, NULL: stream_none */
	struct extras_source *extras; /* for keys on request; borrowed, may be NULL */
	struct json *json;	      /* for lines of its own; borrowed, may be shared with others */
	struct budget *budget;	      /* of all filters; borrowed */
	uid_t uid;		      /* whose part of the budget its filter may use */
};

/* fd: borrowed, non-blocking; the owner closes it. table outlives the subscriber.
 * On failure config->filter is still the caller's. */
int subscriber_new(struct subscriber **ret, int fd, const struct subscriber_config *config, struct proctable *table);
struct subscriber *subscriber_free(struct subscriber *subscriber);
DEFINE_CLEANUP(struct subscriber *, subscriber_free);

/* Joins the stream now, with a snapshot first or without. Called again, it starts over: a snapshot under way ends, the
 * queue stays (a request with "snapshot": true). */
int subscriber_join(struct subscriber *subscriber, bool snapshot);
/*
 * Replaces keys and filter; takes the filter over on success. Queued lines go out first. is_request: a snapshot under
 * way ends; else it continues with the new filter. Ends of older processes are no longer sent where the old filter may
 * have hidden their start, or the snapshot was not complete. -ENOMEM: nothing changed.
 */
int subscriber_configure(struct subscriber *subscriber, key_set keys, struct filter *filter, bool is_request);
void subscriber_set_limits(struct subscriber *subscriber, size_t queue, bool disconnect);
/* It folds searches along $PATH from now on, or does not. */
void subscriber_set_folds(struct subscriber *subscriber, bool folds);
bool subscriber_folds(const struct subscriber *subscriber);
/* At most so many bytes of arguments in a line from now on; 0: all of them. */
void subscriber_set_args_bytes(struct subscriber *subscriber, size_t args_bytes);

/*
 * Queues a `mark`: the number of the last event, and how many lines of events the stream has before it since it began,
 * or since the last subscriber_configure() for a request. Nothing where the queue is full, or a mark is in it already.
 */
void subscriber_mark(struct subscriber *subscriber);

/*
 * Named: it outlives its connection (subscriber_named.c). `line` is the reply that begins it, after what is queued; a
 * queue that is full loses events, whatever `disconnect`. -ENOMEM. Unnamed again, it is an ordinary one.
 */
int subscriber_set_named(struct subscriber *subscriber, struct line *line);
void subscriber_set_unnamed(struct subscriber *subscriber);
/* From now on lines of events are retained until they are acknowledged. */
void subscriber_set_acknowledges(struct subscriber *subscriber);
/* The reader has stored all that was written up to the event of that number; implies the former. What is not retained
 * (any more) changes nothing. -ERANGE: there was no such event. */
int subscriber_acknowledge(struct subscriber *subscriber, uint64_t seq);
/* The connection has ended. A `lost` counts the processes of a snapshot that the reader may not have. */
void subscriber_detach(struct subscriber *subscriber);
/* It takes the descriptor that another one has, and what that has not written of a line. -ENOMEM: nothing changed. */
int subscriber_replace(struct subscriber *subscriber, const struct subscriber *other);
/* The same after subscriber_detach(): `line`, the reply to its request, then all that is not acknowledged, or was not
 * written. */
int subscriber_attach(struct subscriber *subscriber, const struct subscriber *other, struct line *line);
/* The number of the last event that was acknowledged, or written if the reader does not acknowledge. */
uint64_t subscriber_passed(const struct subscriber *subscriber);

/* A reply to a request, after what is queued, beyond the limit of the queue: so only while it takes replies. At most
 * SUBSCRIBER_REPLIES_MAX are unwritten, and no more is taken beyond 64 KiB of them. -ENOMEM. */
#define SUBSCRIBER_REPLIES_MAX 8
bool subscriber_takes_replies(const struct subscriber *subscriber);
int subscriber_reply(struct subscriber *subscriber, struct line *line);

/* The last line, whether it takes replies or not: after what is queued. A snapshot under way ends, and later events are
 * not sent. -ENOMEM: nothing changed. */
int subscriber_finish(struct subscriber *subscriber, struct line *line);

/*
 * Ends a snapshot under way, to free the memory that it retains: a `lost` counts the processes that were not sent (also
 * those that the filter would hide), then comes `live`. Queued events are lost too, since they may be about those
 * processes, and ends of older processes are no longer sent. A subscriber with disconnect set, or with a partly written
 * line larger than its queue, is too slow then.
 */
void subscriber_end_snapshot(struct subscriber *subscriber);
/* When its snapshot last moved, as a number of which the smallest is the earliest; false: there is none under way. */
bool subscriber_snapshot_moved(const struct subscriber *subscriber, uint64_t *ret);
/* Memory of snapshot lines that all subscribers have not read. */
size_t subscriber_portions(void);

/* Queues the event if the filter passes it; counts it as lost if the filter cannot decide within its budget. */
void subscriber_event(struct subscriber *subscriber, const struct event *event, struct encoder *encoder);
/* The end of a search along $PATH: its error is queued, or dropped (found). */
void subscriber_search_end(struct subscriber *subscriber, unsigned search, bool found);
void subscriber_fork(struct subscriber *subscriber, const struct process *child);
void subscriber_exit(struct subscriber *subscriber, const struct process *process);

enum {
	SUBSCRIBER_E_BLOCKED = 1, /* call again when fd is writable */
	SUBSCRIBER_E_MORE = 2,	  /* its share of this turn is used: call again soon */
	SUBSCRIBER_E_SLOW = 3,	  /* it lost an event and disconnect is set: end it */
};
/* Writes what there is. 0: all is written. -errno: the other end is closed. */
int subscriber_write(struct subscriber *subscriber);
/* A snapshot under way has a filter with patterns. */
bool subscriber_is_costly(const struct subscriber *subscriber);
bool subscriber_has_output(const struct subscriber *subscriber);
/* Bytes, since it was made. */
uint64_t subscriber_written(const struct subscriber *subscriber);
/* It drops events, and too little was read for it to resume. */
bool subscriber_is_dropping(const struct subscriber *subscriber);
/* Half of its queue is used. */
bool subscriber_is_half_full(const struct subscriber *subscriber);
/* It lost an event and disconnect is set. subscriber_write() returns that, but the descriptor may never be writable. */
bool subscriber_is_too_slow(const struct subscriber *subscriber);

/* All but its configuration: its place in the stream, what is queued, the processes that its filter follows. On read:
 * into a new one with the same keys and filter; queued replies are no longer counted as such. -errno, also of the
 * archive. */
int subscriber_archive(struct subscriber *subscriber, struct archive *archive, struct line_set *lines);
/* Its place in the stream is saved there from now on; NULL: nowhere. Borrowed. */
void subscriber_set_checkpoint(struct subscriber *subscriber, struct checkpoint_stream *checkpoint);
/* A new one takes the place that a subscriber of a crashed daemon had: its queued events are reported as lost, and a
 * snapshot under way starts over. The table has the processes of the time of the crash. -ENOMEM. */
int subscriber_resume(struct subscriber *subscriber, const struct checkpoint_stream *previous);
/* What it asks for now. */
key_set subscriber_keys(const struct subscriber *subscriber);
struct filter *subscriber_filter(const struct subscriber *subscriber); /* NULL: everything */

struct subscriber_stats {
	uint64_t events; /* queued */
	uint64_t lost;
	size_t queue, queue_peak, queue_limit; /* memory */
	size_t filter;			       /* charged to the queue too */
	size_t portion;			       /* of a snapshot, not yet read */
	uint64_t unacknowledged;	       /* events, written */
	bool in_snapshot;
};
void subscriber_stats(const struct subscriber *subscriber, struct subscriber_stats *ret);
