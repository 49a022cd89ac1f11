/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal (CONTRACT section 4). sd_journal_sendv(3) blocks when journald is stopped or slow, so it runs
 * in a thread of its own behind a bounded queue of finished entries; what does not fit is counted,
 * and said in a `lost` entry once there is room. The thread touches nothing but that queue.
 */
#ifndef EXECSNOOP_JOURNAL_H
#define EXECSNOOP_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "event.h"
#include "filter.h"
#include "proctable.h"
#include "sink.h"

struct journal;

struct journal_config {
	size_t queue; /* bytes of entries that may wait */
	key_set keys;
	struct filter *filter; /* taken over on success; NULL: everything */
	bool snapshot;	       /* write the processes found at start too */
	uint64_t boot;
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
/* Takes the filter over (NULL: everything). */
void journal_configure(struct journal *journal, key_set keys, struct filter *filter);
/* Bytes that may wait from now on; what waits already stays. */
void journal_set_queue(struct journal *journal, size_t queue);

struct journal_stats {
	uint64_t written; /* entries that journald took */
	uint64_t lost;	  /* the queue was full, or journald refused */
	size_t queue, queue_peak;
};
void journal_stats(struct journal *journal, struct journal_stats *ret);

/* "curl[22022] started by bash[15785]: curl -O ..." into ret (cut at size, ended by NUL); text for people, not for
 * programs. */
void journal_message(char *ret, size_t size, const struct event *event);

#endif
