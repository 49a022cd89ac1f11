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
#ifndef EXECSNOOP_LEDGER_H
#define EXECSNOOP_LEDGER_H

#include <stdint.h>
#include <sys/socket.h>

#include "cleanup.h"

#define LEDGER_SUBSCRIBERS 400 /* more are not kept over a crash: systemd's store has room for 512 descriptors */
#define LEDGER_SUBSCRIPTION_MOST 3584

/* One output's place in the stream. */
struct ledger_stream {
	uint64_t waiting, first_seq, last_seq; /* events that it was given, and that are not out */
	uint64_t joined_ns;		       /* CLOCK_BOOTTIME */
	uint8_t joined;
	uint8_t told_all;    /* it had, or has, a snapshot of when it joined */
	uint8_t in_snapshot; /* and that is not out yet */
	uint8_t mid_line;    /* a line may be out in part */
};

struct ledger_subscriber {
	uint32_t slot; /* 0: free */
	struct ucred cred;
	uint8_t own_subscription, requests_ended;
	uint8_t deaths;		    /* daemons that died while they worked for it */
	uint32_t subscription_size; /* 0: it can't be kept */
	struct ledger_stream stream;
	char subscription[LEDGER_SUBSCRIPTION_MOST]; /* as a request */
};

/* The counters of one ring, and of the programs that write to it: what was told of them. */
struct ledger_loss {
	uint32_t lost_events, lost_forks;
	uint64_t skipped_events, skipped_forks;
};

struct ledger_counters {
	uint64_t seq;
	uint64_t untold; /* pipeline.h; losses that no event has told yet */
	uint64_t listed; /* pipeline_set_listed() */
	int64_t epoch;	 /* CLOCK_REALTIME - CLOCK_BOOTTIME, as times were made of it */
	/* Of the two sets of probes in the store (probe_kept_name): the one whose ring the next daemon goes on with, and the one
	 * that is read now. They differ while a daemon takes over. */
	uint32_t probes, reads;
	struct ledger_loss losses[2]; /* by set */
};

/* Where what is told now is noted. */
static inline struct ledger_loss *ledger_loss(struct ledger_counters *counters)
{
	return &counters->losses[counters->reads];
}

/* What the daemon is doing for one subscriber: who comes after a crash shall not die of the same. */
struct ledger_work {
	uint32_t slot;	/* 0: nothing */
	uint8_t is_own; /* a request of it, or a costly snapshot: not an event, which is for others too */
	uint8_t fault; /* it died of a fault in the program, or the watchdog ended it: not of a SIGKILL, which may come at any time */
};

struct ledger_page {
	uint64_t listener_dev, listener_ino; /* the file of the listening socket; 0, 0: systemd made it */
	uint32_t tries;			     /* daemons that went on from it, or died in trying */
	struct ledger_work work;
	struct ledger_counters counters;
	struct ledger_stream journal;
	struct ledger_subscriber subscribers[LEDGER_SUBSCRIBERS];
};

struct ledger;

/* An empty one. 0 or -errno. */
int ledger_new(struct ledger **ret, uint64_t boot);
/* Another daemon's, to go on in. fd: owned from now on if it returns 0. -EINVAL: it is something else, or of another boot. */
int ledger_open(struct ledger **ret, int fd, uint64_t boot);
struct ledger *ledger_free(struct ledger *ledger);
DEFINE_CLEANUP(struct ledger *, ledger_free);

/* The one to write on. */
struct ledger_page *ledger_page(struct ledger *ledger);
/* The other daemon's; NULL: there is none, or ledger_forget_left() was called. */
struct ledger_page *ledger_left(struct ledger *ledger);
/* From now on it is our page that the next daemon finds. */
void ledger_commit(struct ledger *ledger);
/* After that: gives its memory back. */
void ledger_forget_left(struct ledger *ledger);
/* From now on a signal that a fault in the program raises, or systemd's watchdog, is noted in the page to write on. */
void ledger_note_faults(struct ledger *ledger);
/* Borrowed. */
int ledger_fd(const struct ledger *ledger);

#endif
