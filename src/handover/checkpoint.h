/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Progress that a daemon saves as it works, in memory that outlives it (a memfd in systemd's fd store), so that the
 * next daemon can resume even after a SIGKILL: the number of the last event, the losses that were reported, and for
 * each output the events that it was given and that are not written. Plain stores: after a crash one value may be an
 * event older than another.
 *
 * The next daemon writes to the other of the two pages in the same memory, and makes it the valid one by a single
 * store: whenever it is killed, one page is valid and complete. systemd's store itself cannot be changed atomically.
 *
 * A write to a subscriber is saved after it was made: a crash between the two reports up to one write of events as lost
 * that were not.
 */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

#include "util/cleanup.h"

#ifndef CHECKPOINT_SUBSCRIBERS	   /* fuzzers have fewer */
#define CHECKPOINT_SUBSCRIBERS 400 /* more are not kept over a crash: systemd's store has room for 512 descriptors */
#endif
#ifndef CHECKPOINT_SUBSCRIPTION_MAX /* fuzzers: less */
#define CHECKPOINT_SUBSCRIPTION_MAX 3584
#endif

/* One output's place in the stream. */
struct checkpoint_stream {
	uint64_t waiting, first_seq, last_seq;		  /* events that it was given, and that are not out */
	uint64_t previous_seq;				  /* of the journal: the last one that is out */
	uint64_t lines;					  /* of events, written */
	uint64_t retained, retained_first, retained_last; /* events, written and not acknowledged */
	uint64_t passed_seq;				  /* line_queue_passed() */
	uint64_t snapshot_unacknowledged;		  /* processes */
	uint64_t joined_ns;				  /* CLOCK_BOOTTIME */
	uint8_t retains;				  /* the reader acknowledges */
	uint8_t joined;
	uint8_t had_snapshot; /* it had, or has, a snapshot of when it joined */
	uint8_t in_snapshot;  /* and that is not out yet */
	uint8_t mid_line;     /* a line may be out in part */
};

struct checkpoint_subscriber {
	uint32_t slot; /* 0: free */
	struct ucred cred;
	uint8_t own_subscription, requests_ended;
	uint8_t is_named;	    /* it outlives its connection */
	uint8_t deaths;		    /* daemons that died while they worked for it */
	uint32_t subscription_size; /* 0: it can't be kept */
	struct checkpoint_stream stream;
	char subscription[CHECKPOINT_SUBSCRIPTION_MAX]; /* as a request */
};

/* The counters of one ring and of the programs that write to it, as far as their losses were reported. */
struct checkpoint_loss {
	uint32_t lost_events, lost_forks;
	uint64_t skipped_events, skipped_forks;
};

struct checkpoint_counters {
	uint64_t stream; /* output/stream.h */
	uint64_t seq;
	uint64_t unreported; /* pipeline.h; losses that are not reported yet */
	uint64_t listed;     /* pipeline_set_listed() */
	int64_t epoch;	     /* CLOCK_REALTIME - CLOCK_BOOTTIME, as times were made of it */
	/* Of the two sets of probes in the store (record_source.h): the one whose ring the next daemon continues with,
	 * and the one that is read now. They differ while a daemon takes over. */
	uint32_t probes, reads;
	struct checkpoint_loss losses[2]; /* by set */
};

/* Of the set that is read now. */
static inline struct checkpoint_loss *checkpoint_loss(struct checkpoint_counters *counters)
{
	return &counters->losses[counters->reads];
}

/* The subscriber that the daemon works for: the next daemon must not crash for the same reason. */
struct checkpoint_work {
	uint32_t slot;	/* 0: nothing */
	uint8_t is_own; /* a request of it, or a costly snapshot: not an event, which is for others too */
	uint8_t fault;	/* it died of a fault in the program, or the watchdog ended it: not of a SIGKILL, which may come
			   at any time */
};

struct checkpoint_page {
	uint64_t listener_dev, listener_ino; /* the file of the listening socket; 0, 0: systemd made it */
	uint32_t tries;			     /* daemons that resumed from it, or died in trying */
	struct checkpoint_work work;
	struct checkpoint_counters counters;
	struct checkpoint_stream journal;
	struct checkpoint_subscriber subscribers[CHECKPOINT_SUBSCRIBERS];
};

struct checkpoint;

/* An empty one. 0 or -errno. */
int checkpoint_new(struct checkpoint **ret, uint64_t boot);
/* Opens the previous daemon's. Takes fd over on success. -EINVAL: it is something else, or of another boot. */
int checkpoint_open(struct checkpoint **ret, int fd, uint64_t boot);
struct checkpoint *checkpoint_free(struct checkpoint *checkpoint);
DEFINE_CLEANUP(struct checkpoint *, checkpoint_free);

/* The page of this daemon. */
struct checkpoint_page *checkpoint_page(struct checkpoint *checkpoint);
/* The page of the previous daemon; NULL: there is none, or checkpoint_forget_previous() was called. */
struct checkpoint_page *checkpoint_previous(struct checkpoint *checkpoint);
/* From now on the page of this daemon is the valid one. */
void checkpoint_commit(struct checkpoint *checkpoint);
/* After that: frees the memory of the previous page. */
void checkpoint_forget_previous(struct checkpoint *checkpoint);
/* From now on a signal that a fault in the program raises, or systemd's watchdog, is saved in this page. */
void checkpoint_note_faults(struct checkpoint *checkpoint);
/* Borrowed. */
int checkpoint_fd(const struct checkpoint *checkpoint);
