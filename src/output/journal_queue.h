/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entries on their way to journald, and what was lost of them. It knows no thread and no lock: both are the journal
 * writer's.
 *
 * Entries of the snapshot do not count against the limit: the table that they are made from is bounded itself, and they
 * would displace the events that follow them.
 */
#pragma once

#include <sys/queue.h>

#include "handover/archive.h"
#include "handover/checkpoint.h"
#include "output/journal_entry.h"

/* What the owner holds for now, which is charged to the queue, and lost at a crash. first_seq: of the oldest. */
struct journal_held {
	size_t size;
	uint64_t count, first_seq, last_seq;
};

struct journal_queue {
	STAILQ_HEAD(journal_entries, journal_entry) entries;
	struct journal_entry *numbered; /* the first of them with a number; NULL: none */
	bool snapshot;			/* is under way: entries that are not of it wait */
	struct journal_entry *running;	/* the last of its entries, which come first; NULL: none is queued */
	size_t limit;
	size_t size, peak;		      /* bytes in the queue */
	size_t charged;			      /* of them, those that count against the limit */
	uint64_t events, last_seq;	      /* of the queue */
	struct checkpoint_stream *checkpoint; /* not owned; may be NULL */
	uint64_t previous;		      /* seq of the last entry that was queued */
	struct loss dropped, refused;
	struct journal_held held; /* by the owner */
	uint64_t lost;
};

/* An empty queue accepts any size. */
bool journal_queue_fits(const struct journal_queue *queue, size_t size);
/* is_new: not of the archive, so that it follows what was queued last. */
void journal_queue_push(struct journal_queue *queue, struct journal_entry *entry, bool is_new);
/* The one to send next; NULL: none. */
struct journal_entry *journal_queue_first(const struct journal_queue *queue);
struct journal_entry *journal_queue_pop(struct journal_queue *queue);
/* Counts an entry that does not get in. */
void journal_queue_drop(struct journal_queue *queue, const struct loss *loss);
void journal_queue_set_last(struct journal_queue *queue, uint64_t seq);
/* The number of the last entry that was taken from the queue and is in the journal; 0: none, or it is not known. */
uint64_t journal_queue_sent(const struct journal_queue *queue);
/* To the checkpoint, for the daemon that resumes after a crash. */
void journal_queue_save(struct journal_queue *queue);
int journal_queue_archive(struct journal_queue *queue, struct archive *archive);

void loss_add(struct loss *loss, const struct loss *more);
