/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One finished entry of the journal: one block of memory with the fields of an event (execsnoopd(8), The journal) and the
 * iovec that names them, as sd_journal_sendv(3) takes it.
 */
#ifndef EXECSNOOP_JOURNAL_ENTRY_H
#define EXECSNOOP_JOURNAL_ENTRY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "handover/archive.h"
#include "model/event.h"
#include "util/bytebuf.h"

#define JOURNAL_FIELDS_MAX 512 /* of one entry; see journal_entry.c */

/* Events that were lost: how many, which, when the last of them was. */
struct loss {
	uint64_t count, first_seq, last_seq;
	uint64_t time;
};

struct journal_entry {
	struct journal_entry *next;
	struct loss loss; /* what is lost if this entry is */
	bool is_lost;	  /* it says itself that this was lost */
	bool is_free;	  /* of charge: of the snapshot */
	size_t size;	  /* of the whole block */
	int n;
	struct iovec fields[]; /* and behind them the bytes */
};

/* An entry in the making: fields one behind the other; where each ends. {} is a new one; its memory is used again. */
struct journal_builder {
	struct bytebuf text;
	size_t ends[JOURNAL_FIELDS_MAX];
	size_t n;
	size_t repeated; /* iovecs that repeated fields have used up */
};

void journal_builder_finish(struct journal_builder *builder);

/* The entry of an event, with the fields of `keys`; freed by free(3). -ENOMEM. */
int journal_entry_new(struct journal_entry **ret, struct journal_builder *builder, const struct event *event,
		      key_set keys);

/* The same from an archive, or *entry into one. Read, *entry is a new one. 0 or -errno, also of the archive. */
int journal_entry_archive(struct journal_entry **entry, struct archive *archive);

/* "curl[22022] started by bash[15785]: curl -O ..." into ret (cut at size, ended by NUL); text for people, not for
 * programs. */
void journal_message(char *ret, size_t size, const struct event *event);

#endif
