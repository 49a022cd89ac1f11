/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What subscriber.c and subscriber_state.c share. */
#pragma once

#include "output/search_hold.h"
#include "output/subscriber.h"

struct subscriber {
	/* First what is looked at for each event that it does not want: with a thousand subscribers that is most of the
	 * work. */
	bool joined;
	bool follows;	   /* the filter wants to know of forks and ends */
	bool filter_stale; /* and could not note a fork */
	bool dropping, too_slow;
	bool folds; /* searches along $PATH */
	int fd;
	struct subscriber_config config;
	size_t args_bytes; /* of arguments in a line at most; 0: all */
	struct joined since;
	struct proctable *table;
	struct line_queue *before, *queue;
	size_t portion; /* memory of snapshot lines that were put in `before` since it was empty: they go last */
	size_t counted; /* of it, in `portions` */
	struct line *replies[SUBSCRIBER_REPLIES_MAX];
	struct proctable_cursor *cursor;  /* of the snapshot under way */
	uint64_t snapshot_seq;		  /* of the last event before it */
	uint64_t snapshot_unacknowledged; /* processes of the last one that were queued, up to an acknowledgement */
	bool undecided;			  /* the filter has not decided yet on the process that it is at, */
	struct filter_place undecided_at; /* and continues here */
	struct budget_share share;	  /* if the filter has patterns */
	/* A loss that has no line yet. */
	uint64_t lost_count, lost_first, lost_last;
	uint64_t events, lost;
	uint64_t lines;			      /* of events, queued since the stream began */
	struct line *mark;		      /* queued last; written once this is its only reference */
	uint64_t last_seq;		      /* of what it was given */
	struct search_hold hold;	      /* of struct line */
	struct checkpoint_stream *checkpoint; /* not owned; may be NULL */
};

/* The keys of its lines. */
static inline key_set subscriber_line_keys(const struct subscriber *s)
{
	return keys_of_output(s->config.keys, s->folds);
}
/* The event's line, which the encoder owns. -errno, also where it cannot fit the queue. */
int subscriber_encode(struct subscriber *s, const struct event *event, struct encoder *encoder, struct line **ret);
void subscriber_lose(struct subscriber *s, uint64_t seq, uint64_t count);
/* subscriber_hold.c. Holds an error, or loses it. */
void subscriber_hold(struct subscriber *s, const struct event *event, struct encoder *encoder);
/* Into the queue; away. */
void subscriber_send_held(struct subscriber *s);
void subscriber_drop_held(struct subscriber *s);
int subscriber_hold_archive(struct subscriber *s, struct archive *archive, struct line_set *lines);
/* There is room again: half of the queue, so that not every line that gets out costs another `lost`. */
bool subscriber_may_resume(const struct subscriber *s);
/* The line fits the queue. */
bool subscriber_has_room(const struct subscriber *s, const struct line *line);
/* A `lost` line for the loss that has none yet, before whatever comes next. */
int subscriber_push_lost(struct subscriber *s);
/* A line that is this subscriber's alone. */
int subscriber_push_own(struct subscriber *s, struct line_queue *queue, struct event *event);
/* `before`, to put something in. */
struct line_queue *subscriber_before(struct subscriber *s);
/* A snapshot under way ends: what was made of it waits as queue from now on. Only a line that is too long for that is
 * dropped, and one that is out in part already must not be. */
void subscriber_end_portion(struct subscriber *s);
void subscriber_drop_cursor(struct subscriber *s);
/* Of replies and of the mark, those that are written. */
void subscriber_drop_written(struct subscriber *s);
/* They are not counted as unread any more, nor is the mark. */
void subscriber_forget_replies(struct subscriber *s);
/* The memory of the snapshot's lines has changed. */
void subscriber_count_portion(struct subscriber *s);
/* Into the checkpoint: what the subscriber was given and has not received yet. */
void subscriber_write_checkpoint(struct subscriber *s);
static inline void subscriber_save_checkpoint(struct subscriber *s)
{
	if (s->checkpoint)
		subscriber_write_checkpoint(s);
}
