/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Carries entries to journald, in a thread of its own, since sd_journal_sendv(3) blocks when journald is stopped or
 * slow. Between its owner and the thread lies a bounded queue; what does not fit is counted, and said in a `lost`
 * entry at its place once there is room. No call here waits for journald, but courier_free() a little.
 */
#ifndef EXECSNOOP_COURIER_H
#define EXECSNOOP_COURIER_H

#include "archive.h"
#include "journal_entry.h"
#include "ledger.h"

struct courier;

struct courier_config {
	size_t queue; /* bytes of entries that may wait */
	uint64_t boot;
	struct ledger_stream *ledger; /* where it notes what waits; borrowed, NULL: nowhere */
	/* Instead of sd_journal_sendv, for tests; called in the thread. NULL: the real one. */
	int (*send)(const struct iovec *iov, int n);
};

int courier_new(struct courier **ret, const struct courier_config *config);
/* Lets the thread send what waits, for at most timeout_ms, then leaves it: a stopped journald does not hold up the
 * daemon's end. */
struct courier *courier_free(struct courier *courier, unsigned timeout_ms);

/* True while entries are dropped: then this loss is counted, and no entry need be made. */
bool courier_drops(struct courier *courier, const struct loss *loss);
/* Takes the entry over, or drops it and counts its loss. entry NULL: it could not be made. */
void courier_offer(struct courier *courier, struct journal_entry *entry, const struct loss *loss);
/* A loss that another courier could not say: it is said before all that is offered from now on. */
void courier_lost(struct courier *courier, const struct loss *loss);
/* Events come in bursts: offers wake the thread only when much waits, this does it when anything does. */
void courier_wake(struct courier *courier);
/* Bytes that may wait from now on; what waits already stays. */
void courier_set_queue(struct courier *courier, size_t queue);

/*
 * What waits, and what was lost and not said yet, for the daemon that comes after this one. Written, the courier is
 * at its end: courier_free(courier, 0) is all that may follow, and what the thread is sending meanwhile may come twice.
 * 0 or -errno, also of the archive.
 */
int courier_archive(struct courier *courier, struct archive *archive);

struct journal_stats {
	uint64_t written; /* entries that journald took */
	uint64_t lost;	  /* the queue was full, or journald refused */
	size_t queue, queue_peak;
};
void courier_stats(struct courier *courier, struct journal_stats *ret);

#endif
