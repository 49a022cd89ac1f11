/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal (execsnoopd(8), The journal): which events are written, and what of them. A journal writer carries the finished
 * entries to journald.
 */
#ifndef EXECSNOOP_JOURNAL_H
#define EXECSNOOP_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "model/event.h"
#include "model/filter.h"
#include "model/proctable.h"
#include "output/journal_writer.h"
#include "output/sink.h"

struct journal;

struct journal_config {
	size_t queue; /* bytes of entries that may wait */
	key_set keys;
	struct filter *filter; /* taken over on success; NULL: everything */
	bool snapshot;	       /* write the processes found at start too */
	uint64_t boot;
	struct checkpoint_stream *checkpoint; /* where it notes what waits; borrowed, NULL: nowhere */
	/* Instead of sd_journal_sendv, for tests; called in the journal's thread. NULL: the real one. */
	int (*send)(const struct iovec *iov, int n);
};

int journal_new(struct journal **ret, const struct journal_config *config);
/* Lets the thread write what waits, for at most timeout_ms, then leaves it: a stopped journald does not hold
 * up the daemon's end. */
struct journal *journal_free(struct journal *journal, unsigned timeout_ms);

struct sink *journal_sink(struct journal *journal);
/* From here on it has the stream; with config.snapshot, after an entry for each process in the table. The table must
 * outlive the journal. */
int journal_join(struct journal *journal, struct proctable *table);
/* The same for one that goes on with the stream that another daemon's journal had: what waits, whom its filter follows. Written,
 * journal_free(journal, 0) is all that may follow. 0 or -errno, also of the archive. */
int journal_archive(struct journal *journal, struct proctable *table, struct archive *archive);
/* As journal_join for one that goes on where that of a daemon that crashed was: what was waiting is said to be lost, and no
 * snapshot is written. The table has what was there at the crash. */
void journal_resume(struct journal *journal, struct proctable *table, const struct checkpoint_stream *left);
/* Takes the filter over (NULL: everything). */
void journal_configure(struct journal *journal, key_set keys, struct filter *filter);
/* Bytes that may wait from now on; what waits already stays. */
void journal_set_queue(struct journal *journal, size_t queue);

void journal_stats(struct journal *journal, struct journal_stats *ret);

#endif
