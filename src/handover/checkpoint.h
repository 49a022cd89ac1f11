/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a daemon writes down as it goes, in a memory that outlives it (a memfd in systemd's store), so that the next one
 * can go on also after a SIGKILL: the number of the last event, the losses that were told, and for each output what it was
 * given that is not out yet. It is written with plain stores: after a crash one value may be an event older than the next.
 *
 * The next one writes into the same memory, on the other of its two pages, and makes that the one that counts by one store:
 * at whatever moment it is killed, one page is true and whole. The store of systemd could not be changed so.
 *
 * What is written to a subscriber is noted after that: a crash between the two has up to one write of events told as lost
 * that are not.
 */
#ifndef EXECSNOOP_CHECKPOINT_H
#define EXECSNOOP_CHECKPOINT_H

#include <stdint.h>
#include <sys/socket.h>

#include "util/cleanup.h"

#define CHECKPOINT_SUBSCRIBERS 400 /* more are not kept over a crash: systemd's store has room for 512 descriptors */
#define CHECKPOINT_SUBSCRIPTION_MAX 3584

/* One output's place in the stream. */
struct checkpoint_stream {
	uint64_t waiting, first_seq, last_seq; /* events that it was given, and that are not out */
	uint64_t joined_ns;		       /* CLOCK_BOOTTIME */
	uint8_t joined;
	uint8_t had_snapshot; /* it had, or has, a snapshot of when it joined */
	uint8_t in_snapshot;  /* and that is not out yet */
	uint8_t mid_line;     /* a line may be out in part */
};

struct checkpoint_subscriber {
	uint32_t slot; /* 0: free */
	struct ucred cred;
	uint8_t own_subscription, requests_ended;
	uint8_t deaths;		    /* daemons that died while they worked for it */
	uint32_t subscription_size; /* 0: it can't be kept */
	struct checkpoint_stream stream;
	char subscription[CHECKPOINT_SUBSCRIPTION_MAX]; /* as a request */
};

/* The counters of one ring, and of the programs that write to it: what was told of them. */
struct checkpoint_loss {
	uint32_t lost_events, lost_forks;
	uint64_t skipped_events, skipped_forks;
};

struct checkpoint_counters {
	uint64_t seq;
	uint64_t unreported; /* pipeline.h; losses that no event has told yet */
	uint64_t listed;     /* pipeline_set_listed() */
	int64_t epoch;	     /* CLOCK_REALTIME - CLOCK_BOOTTIME, as times were made of it */
	/* Of the two sets of probes in the store (record_source.h): the one whose ring the next daemon goes on with, and the one
	 * that is read now. They differ while a daemon takes over. */
	uint32_t probes, reads;
	struct checkpoint_loss losses[2]; /* by set */
};

/* Where what is told now is noted. */
static inline struct checkpoint_loss *checkpoint_loss(struct checkpoint_counters *counters)
{
	return &counters->losses[counters->reads];
}

/* What the daemon is doing for one subscriber: who comes after a crash shall not die of the same. */
struct checkpoint_work {
	uint32_t slot;	/* 0: nothing */
	uint8_t is_own; /* a request of it, or a costly snapshot: not an event, which is for others too */
	uint8_t fault; /* it died of a fault in the program, or the watchdog ended it: not of a SIGKILL, which may come at any time */
};

struct checkpoint_page {
	uint64_t listener_dev, listener_ino; /* the file of the listening socket; 0, 0: systemd made it */
	uint32_t tries;			     /* daemons that went on from it, or died in trying */
	struct checkpoint_work work;
	struct checkpoint_counters counters;
	struct checkpoint_stream journal;
	struct checkpoint_subscriber subscribers[CHECKPOINT_SUBSCRIBERS];
};

struct checkpoint;

/* An empty one. 0 or -errno. */
int checkpoint_new(struct checkpoint **ret, uint64_t boot);
/* Another daemon's, to go on in. fd: owned from now on if it returns 0. -EINVAL: it is something else, or of another boot. */
int checkpoint_open(struct checkpoint **ret, int fd, uint64_t boot);
struct checkpoint *checkpoint_free(struct checkpoint *checkpoint);
DEFINE_CLEANUP(struct checkpoint *, checkpoint_free);

/* The one to write on. */
struct checkpoint_page *checkpoint_page(struct checkpoint *checkpoint);
/* The other daemon's; NULL: there is none, or checkpoint_forget_left() was called. */
struct checkpoint_page *checkpoint_left(struct checkpoint *checkpoint);
/* From now on it is our page that the next daemon finds. */
void checkpoint_commit(struct checkpoint *checkpoint);
/* After that: gives its memory back. */
void checkpoint_forget_left(struct checkpoint *checkpoint);
/* From now on a signal that a fault in the program raises, or systemd's watchdog, is noted in the page to write on. */
void checkpoint_note_faults(struct checkpoint *checkpoint);
/* Borrowed. */
int checkpoint_fd(const struct checkpoint *checkpoint);

#endif
