/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sends entries to journald, in a thread of its own, since sd_journal_sendv(3) blocks when journald
 * is stopped or slow. A bounded queue is between the owner and the thread; entries that do not fit
 * are counted, and reported by a `lost` entry in their place. No call here waits for journald,
 * except journal_writer_free() and journal_writer_archive(), for a limited time.
 */
#pragma once

#include "output/journal_queue.h"

struct journal_writer;

struct journal_writer_config {
	size_t queue; /* bytes of queued entries */
	uint64_t boot;
	uint64_t stream;		      /* identity of the series of seq */
	struct checkpoint_stream *checkpoint; /* of what is queued; borrowed, may be NULL */
	/* Instead of sd_journal_sendv, for tests; called in the thread. NULL: the real one. */
	int (*send)(const struct iovec *iov, int n);
};

int journal_writer_new(struct journal_writer **ret, const struct journal_writer_config *config);
/* The thread ends as soon as it has sent what is queued; nothing waits for that. */
void journal_writer_stop(struct journal_writer *writer);
bool journal_writer_has_ended(struct journal_writer *writer);
/* Lets the thread send what is queued, for at most timeout_ms; then gives it up. */
struct journal_writer *journal_writer_free(struct journal_writer *writer, unsigned timeout_ms);

/* While entries are dropped: counts this loss and returns true; no entry need be built. */
bool journal_writer_drops(struct journal_writer *writer, const struct loss *loss);
/* Takes over the entry, or drops it and counts its loss. entry NULL: there was no memory for it. */
void journal_writer_offer(struct journal_writer *writer, struct journal_entry *entry, const struct loss *loss);
/* There is room for an entry of that size. */
bool journal_writer_has_room(struct journal_writer *writer, size_t size);
/* What the owner holds from now on. entry: one that was held, and is taken over to be sent; NULL: none. */
void journal_writer_set_held(struct journal_writer *writer, const struct journal_held *held,
			     struct journal_entry *entry);
/* A loss that a previous daemon could not report; reported before all entries that follow. */
void journal_writer_lost(struct journal_writer *writer, const struct loss *loss);
/* While a snapshot is under way, only its entries are sent. */
void journal_writer_set_snapshot(struct journal_writer *writer, bool under_way);
/* The last number that a previous daemon's journal had: the next entry follows it. */
void journal_writer_continue(struct journal_writer *writer, uint64_t previous_seq);
/* Wakes the thread if anything is queued. Events come in bursts, so journal_writer_offer() does it
 * for a long queue only. */
void journal_writer_wake(struct journal_writer *writer);
/* The limit from now on; what is queued stays. */
void journal_writer_set_queue(struct journal_writer *writer, size_t queue);

/*
 * What is queued, and losses that are not reported yet. on write: journal_writer_free(writer, 0) is
 * all that may follow, and an entry that the thread is sending may be in the journal twice. Also
 * errors of the archive.
 */
int journal_writer_archive(struct journal_writer *writer, struct archive *archive);

struct journal_stats {
	uint64_t written; /* entries that journald took */
	uint64_t lost;	  /* the queue was full, or journald refused */
	size_t queue, queue_peak;
	uint64_t last_seq; /* of the last entry that journald took; 0: not known */
};
void journal_writer_stats(struct journal_writer *writer, struct journal_stats *ret);
