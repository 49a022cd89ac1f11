/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entries of one journal file, read where the file is mapped: https://systemd.io/JOURNAL_FILE_FORMAT/.
 * doc/design/journal.md has the reason. A file may be damaged, made by an enemy, or written at the same time: every
 * offset and size is compared with the part of the file that is in use before anything there is read. What is not
 * exactly as that page has it is left to sd-journal(3).
 */
#pragma once

#include <stdint.h>

#include "util/bytes.h"

#define JOURNAL_SIGNATURE "LPKSHHRH" /* how a file begins */
/* Arrays of entries double in size (link_entry_into_array() in systemd's journal-file.c). */
#define ENTRY_ARRAYS_MAX 48

/* An id of 128 bits in the order of its digits. */
struct journal_id {
	uint64_t high, low;
};

/* What identifies an entry: its cursor (systemd.journal-fields(7), __CURSOR=). */
struct entry_id {
	struct journal_id seqnum_id, boot_id;
	uint64_t seqnum, monotonic, realtime, xor_hash;
};

struct journal_file {
	const unsigned char *data; /* as it is mapped */
	uint64_t size;
	uint64_t header_size;
	uint64_t limit; /* the end of the last object: what is after it may be cut off. 0: not known yet */
	bool compact;
	struct journal_id seqnum_id;
	struct {
		uint64_t items; /* where they begin */
		uint64_t first; /* the number of its first entry */
	} arrays[ENTRY_ARRAYS_MAX];
	unsigned array_count;
	uint64_t entry_count;
	uint64_t number; /* of the entry that was found last */
	int64_t step;	 /* to it from the one before */
};

/* An entry and its fields. */
struct journal_entry {
	const unsigned char *items;
	uint64_t count;
};

/* false: no such cursor. */
bool entry_id_parse(struct entry_id *id, const char *cursor);

/* data: aligned as by mmap(2). false: not a file that is understood here. */
bool journal_file_init(struct journal_file *file, const void *data, uint64_t size);
/* Whether the entry is in it, by the numbers in its header. */
bool journal_file_covers(const struct journal_file *file, const struct entry_id *id);
/* false: it is not there, or not as it should be. */
bool journal_file_find(struct journal_file *file, const struct entry_id *id, struct journal_entry *ret);
/* Where the data object of field i is; it has not been looked at. */
uint64_t journal_entry_item(const struct journal_file *file, const struct journal_entry *entry, uint64_t i);
/*
 * Whether all entries that the file counts are there and in the order of their numbers, and likewise those that have
 * this field ("NAME=VALUE"). Where sd-journal comes upon damage of these, it ends as at the end of the file.
 */
bool journal_file_is_whole(struct journal_file *file, struct bytes field);
/* "NAME=VALUE". false: it is compressed, or not as it should be. */
bool journal_file_field(const struct journal_file *file, uint64_t at, struct bytes *ret);
