/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One reader of the stream: a descriptor, what it asked for, and a bounded queue. It knows nothing of
 * the event loop: its owner (server, console) calls subscriber_write when the descriptor is writable.
 *
 * The stream: if asked for, a snapshot, made line by line as it is read, so it takes no queue; then
 * `live`; then events. What happens meanwhile waits in the queue. When the queue is full, whole events
 * are dropped and counted, until it is half empty; then a `lost` line stands in their place. A
 * subscriber that drops does nothing per event but count. A line that is larger than the queue is dropped too,
 * and so is an event for which its filter has no answer within what it may cost (budget.h).
 *
 * What it may hold is bounded, as memory: the queue, of which what stands before a snapshot is part; one portion of
 * the snapshot; and a few answers that are not read yet, beyond which the owner makes no more. Answers and the
 * filter count as queue.
 *
 * Which `exited` it gets: only those whose process it was told of, by its snapshot or by an event
 * since it joined (event.h: born, told, position).
 */
#ifndef EXECSNOOP_SUBSCRIBER_H
#define EXECSNOOP_SUBSCRIBER_H

#include <stdbool.h>
#include <stdint.h>

#include "handover/checkpoint.h"
#include "model/event.h"
#include "model/filter.h"
#include "model/proctable.h"
#include "output/json.h"
#include "output/line_queue.h"
#include "output/sink.h"
#include "util/budget.h"

struct subscriber;

struct subscriber_config {
	size_t queue;	 /* bytes of memory */
	bool disconnect; /* slow = disconnect */
	key_set keys;
	struct filter *filter; /* taken over; NULL: everything */
	uint64_t boot;	       /* for the ids of the snapshot */
	struct json *json;     /* for lines of its own; borrowed, may be shared with others */
	struct budget *budget; /* of all filters; borrowed */
	uid_t uid;	       /* whose part of the budget its filter may use */
};

/* fd: borrowed, non-blocking; the owner closes it. table outlives the subscriber.
 * On failure config->filter is still the caller's. */
int subscriber_new(struct subscriber **ret, int fd, const struct subscriber_config *config, struct proctable *table);
struct subscriber *subscriber_free(struct subscriber *subscriber);
DEFINE_CLEANUP(struct subscriber *, subscriber_free);

/* From here on it has the stream, with a snapshot of now first or without. Called again it begins
 * anew: a snapshot still under way ends, the queue stays (a request with "snapshot": true). */
int subscriber_join(struct subscriber *subscriber, bool snapshot);
/*
 * Replaces what it asks for; takes the filter over on success. What is queued goes out first. A snapshot under way goes on
 * by the new filter, unless `anew`: a request ends it. Where the old filter may have kept a process from it, or the
 * snapshot is not whole, the end of what was there before is not told any more. 0 or -ENOMEM: nothing changed.
 */
int subscriber_configure(struct subscriber *subscriber, key_set keys, struct filter *filter, bool anew);
void subscriber_set_limits(struct subscriber *subscriber, size_t queue, bool disconnect);

/* A line of its own (an answer to a request), behind what is queued, whatever the limit: so only as long
 * as it takes answers. It takes SUBSCRIBER_ANSWERS_MAX that are not written yet, and 64 KiB of them and one. 0 or -ENOMEM. */
#define SUBSCRIBER_ANSWERS_MAX 8
bool subscriber_takes_answers(struct subscriber *subscriber);
int subscriber_say(struct subscriber *subscriber, struct line *line);

/* Its last line, whether it takes answers or not: behind what is queued, but a snapshot under way ends and nothing
 * that happens after is told. 0 or -ENOMEM: nothing changed. */
int subscriber_finish(struct subscriber *subscriber, struct line *line);

/*
 * Ends a snapshot under way, for the memory that it keeps: a `lost` counts the processes that it has not given (also those that
 * the filter would keep from it), then comes `live`. Events that wait are lost too, since they may be about those processes, and the end
 * of what was there before is not told any more. One that disconnects, or that holds a line in part which is larger than its
 * queue, is too slow then.
 */
void subscriber_end_snapshot(struct subscriber *subscriber);
/* When its snapshot last moved, as a number of which the smallest is the earliest; false: there is none under way. */
bool subscriber_snapshot_moved(const struct subscriber *subscriber, uint64_t *ret);
/* Memory of snapshot lines that all subscribers have not read. */
size_t subscriber_portions(void);

/* Takes the event if it wants it, or if what the filter may cost does not suffice to say so: then as lost. */
void subscriber_event(struct subscriber *subscriber, const struct event *event, struct encoder *encoder);
void subscriber_fork(struct subscriber *subscriber, const struct process *child);
void subscriber_exit(struct subscriber *subscriber, const struct process *process);

enum {
	SUBSCRIBER_E_BLOCKED = 1, /* call again when fd is writable */
	SUBSCRIBER_E_MORE = 2,	  /* its share of this turn is used up: call again soon */
	SUBSCRIBER_E_SLOW = 3,	  /* it lost an event and disconnect is set: end it */
};
/* Writes what there is. 0: all is written. -errno: the reader is gone. */
int subscriber_write(struct subscriber *subscriber);
/* A snapshot under way has a filter with patterns. */
bool subscriber_is_costly(const struct subscriber *subscriber);
bool subscriber_has_output(const struct subscriber *subscriber);
/* Bytes, since it was made. */
uint64_t subscriber_written(const struct subscriber *subscriber);
/* It loses events, and has not read enough to go on. */
bool subscriber_is_dropping(const struct subscriber *subscriber);
/* Half of its queue is used. */
bool subscriber_is_half_full(const struct subscriber *subscriber);
/* It lost an event and disconnect is set: subscriber_write says so, though its descriptor may never be writable again. */
bool subscriber_is_too_slow(const struct subscriber *subscriber);

/* All but its configuration: where it stands in the stream, what is queued, whom its filter follows. Read into one that has
 * just been made with the same keys and filter; answers that wait count no more. 0 or -errno, also of the archive. */
int subscriber_archive(struct subscriber *subscriber, struct archive *archive, struct line_set *lines);
/* Where it stands is noted there from now on, as long as it lives; NULL: nowhere. Borrowed. */
void subscriber_set_checkpoint(struct subscriber *subscriber, struct checkpoint_stream *checkpoint);
/* One that has just been made goes on where a daemon that crashed was with another: what was waiting is told as lost, and a
 * snapshot under way begins anew. The table has what was there at the crash. 0 or -ENOMEM. */
int subscriber_resume(struct subscriber *subscriber, const struct checkpoint_stream *left);
/* What it asks for now. */
key_set subscriber_keys(const struct subscriber *subscriber);
struct filter *subscriber_filter(const struct subscriber *subscriber); /* NULL: everything */

struct subscriber_stats {
	uint64_t events; /* queued */
	uint64_t lost;
	size_t queue, queue_peak, queue_limit; /* memory */
	size_t filter;			       /* charged to the queue too */
	size_t portion;			       /* of a snapshot, not yet read */
	bool in_snapshot;
};
void subscriber_stats(const struct subscriber *subscriber, struct subscriber_stats *ret);

#endif
