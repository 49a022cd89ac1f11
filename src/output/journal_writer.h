/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Carries entries to journald, in a thread of its own, since sd_journal_sendv(3) blocks when journald is stopped or
 * slow. Between its owner and the thread lies a bounded queue; what does not fit is counted, and said in a `lost`
 * entry at its place once there is room. No call here waits for journald, but journal_writer_free() a little.
 */
#ifndef EXECSNOOP_JOURNAL_WRITER_H
#define EXECSNOOP_JOURNAL_WRITER_H

#include "handover/archive.h"
#include "handover/checkpoint.h"
#include "output/journal_entry.h"

struct journal_writer;

struct journal_writer_config {
	size_t queue; /* bytes of entries that may wait */
	uint64_t boot;
	struct checkpoint_stream *checkpoint; /* where it notes what waits; borrowed, NULL: nowhere */
	/* Instead of sd_journal_sendv, for tests; called in the thread. NULL: the real one. */
	int (*send)(const struct iovec *iov, int n);
};

int journal_writer_new(struct journal_writer **ret, const struct journal_writer_config *config);
/* Lets the thread send what waits, for at most timeout_ms, then leaves it: a stopped journald does not hold up the
 * daemon's end. */
struct journal_writer *journal_writer_free(struct journal_writer *writer, unsigned timeout_ms);

/* True while entries are dropped: then this loss is counted, and no entry need be made. */
bool journal_writer_drops(struct journal_writer *writer, const struct loss *loss);
/* Takes the entry over, or drops it and counts its loss. entry NULL: it could not be made. */
void journal_writer_offer(struct journal_writer *writer, struct journal_entry *entry, const struct loss *loss);
/* A loss that another journal writer could not say: it is said before all that is offered from now on. */
void journal_writer_lost(struct journal_writer *writer, const struct loss *loss);
/* Events come in bursts: offers wake the thread only when much waits, this does it when anything does. */
void journal_writer_wake(struct journal_writer *writer);
/* Bytes that may wait from now on; what waits already stays. */
void journal_writer_set_queue(struct journal_writer *writer, size_t queue);

/*
 * What waits, and what was lost and not said yet, for the daemon that comes after this one. Written, the journal writer is
 * at its end: journal_writer_free(journal writer, 0) is all that may follow, and what the thread is sending meanwhile may come twice.
 * 0 or -errno, also of the archive.
 */
int journal_writer_archive(struct journal_writer *writer, struct archive *archive);

struct journal_stats {
	uint64_t written; /* entries that journald took */
	uint64_t lost;	  /* the queue was full, or journald refused */
	size_t queue, queue_peak;
};
void journal_writer_stats(struct journal_writer *writer, struct journal_stats *ret);

#endif
