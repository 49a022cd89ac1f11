/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The journal as a sink: which events are written, and which keys. A journal writer sends the
 * entries to journald. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "model/extras.h"
#include "model/filter.h"
#include "model/proctable.h"
#include "output/journal_writer.h"
#include "output/sink.h"

struct journal;

struct journal_config {
	size_t queue;	     /* bytes of queued entries */
	uint64_t args_limit; /* bytes of arguments in an entry */
	key_set keys;
	bool folds;	       /* path_search = fold */
	struct filter *filter; /* taken over on success; NULL: everything */
	bool snapshot;	       /* write the processes that are running at the start too */
	uint64_t boot;
	uint64_t stream;		      /* identity of the series of seq, output/stream.h */
	struct extras_source *extras;	      /* for keys on request; borrowed, may be NULL */
	struct checkpoint_stream *checkpoint; /* of what is queued; borrowed, may be NULL */
	/* Instead of sd_journal_sendv, for tests; called in the journal's thread. NULL: the real
	 * one. */
	int (*send)(const struct iovec *iov, int n);
};

int journal_new(struct journal **ret, const struct journal_config *config);
/* No event comes any more: what is queued is sent, and nothing waits for that; journal_free() may follow at any time.
 */
void journal_stop(struct journal *journal);
bool journal_has_ended(struct journal *journal);
/* Lets the thread send what is queued, for at most timeout_ms: a stopped journald does not delay
 * the end of the daemon. */
struct journal *journal_free(struct journal *journal, unsigned timeout_ms);

struct sink *journal_sink(struct journal *journal);
/* Begins the stream. The table must outlive the journal. With config.snapshot, journal_write_snapshot() writes an entry
 * for each of its processes, and what comes before it has written all waits. */
int journal_join(struct journal *journal, struct proctable *table);
/* Some of the snapshot, for so much CPU time, and at least one entry. True: it is complete, or there is none. */
bool journal_write_snapshot(struct journal *journal, unsigned us);
/*
 * What is queued, and which processes the filter follows. on write: journal_free(journal, 0) is all
 * that may follow; on read: the stream of the previous daemon continues. Also errors of the
 * archive.
 */
int journal_archive(struct journal *journal, struct proctable *table, struct archive *archive);
/* Continues the stream of a daemon that crashed: what was queued is reported as lost, and there is
 * no snapshot. The table has what it was at the crash. */
void journal_resume(struct journal *journal, struct proctable *table, const struct checkpoint_stream *previous);
/* Takes over the filter; NULL: everything. */
void journal_configure(struct journal *journal, key_set keys, bool folds, struct filter *filter);
/* The limits from now on; what is queued stays. */
void journal_set_limits(struct journal *journal, size_t queue, uint64_t args_limit);

void journal_stats(struct journal *journal, struct journal_stats *ret);
