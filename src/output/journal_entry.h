/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One entry of the journal: a block of memory with the fields of an event, as described in
 * execsnoopd(8), The journal, and the iovec of sd_journal_sendv(3) that points to them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "handover/archive.h"
#include "model/event.h"
#include "util/bytebuf.h"

#define JOURNAL_FIELDS_MAX 512 /* of one entry; see journal_entry.c */

/* Lost events: how many, which, and when the last was. */
struct loss {
	uint64_t count, first_seq, last_seq;
	uint64_t previous; /* seq of what the journal has before the first one; 0: nothing of this stream */
	uint64_t time;
};

struct journal_entry {
	STAILQ_ENTRY(journal_entry) next;
	struct loss loss; /* what is lost if this entry is */
	bool is_lost;	  /* a `lost` entry: it reports that loss */
	bool is_exempt;	  /* of the snapshot: does not count against the queue's limit */
	size_t size;	  /* of the whole block */
	char step[48];	  /* EXECSNOOP_SEQ_STEP */
	int n;
	struct iovec fields[]; /* two more than n, for journal_entry_chain(); the bytes follow them */
};

/* Builds one entry after another: the text of all fields, and where each ends. All zero is a new
 * one. */
struct journal_builder {
	struct bytebuf text;
	size_t ends[JOURNAL_FIELDS_MAX];
	size_t n;
	size_t repeated; /* iovecs of repeated fields so far */
};

void journal_builder_finish(struct journal_builder *builder);

/* The entry of an event, with the fields of `keys`; freed by free(3). -ENOMEM. */
int journal_entry_new(struct journal_entry **ret, struct journal_builder *builder, const struct event *event,
		      key_set keys);

/* The `mark` entry: the stream has been written up to this number, and the daemon stops. -ENOMEM. */
int journal_entry_mark(struct journal_entry **ret, struct journal_builder *builder, uint64_t last_seq);

/* Adds the fields that chain the entry to the one before it, by loss.previous: EXECSNOOP_STREAM (borrowed, the whole
 * field) and EXECSNOOP_SEQ_STEP, which is absent where it is 1 or the entry has no number. Returns how many fields
 * there are. */
int journal_entry_chain(struct journal_entry *entry, const char *stream);

/* on write: *entry; on read: sets it to a new one. Also errors of the archive. */
int journal_entry_archive(struct journal_entry **entry, struct archive *archive);

/* Writes "curl[22022] started by bash[15785]: curl -O ..." to ret, cut at size, with a NUL. For
 * people, not for programs. */
void journal_message(char *ret, size_t size, const struct event *event);
