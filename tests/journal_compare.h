/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A journal file that may be damaged, in memory and on disk: what ctl/source/journal_file.h reads of it must be what
 * sd-journal reads. It may read less, never something else.
 */
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "ctl/source/journal_file.h"
#include "util/cleanup.h"

#define COMPARE_ENTRIES_MAX 64 /* a damaged file may have the same one again and again */

/* Entries that have the same number may have the same cursor, so which one is read is up to the reader. */
static inline bool is_ambiguous(const struct journal_file *file, uint64_t seqnum)
{
	unsigned count = 0;
	uint64_t number;

	for (uint64_t at = 0; file->size >= 64 && at <= file->size - 64; at += 8) {
		memcpy(&number, file->data + at + 16, sizeof(number)); /* entry_object in journal_file.c */
		count += file->data[at] == 3 && le64toh(number) == seqnum;
	}
	return count > 1;
}

/* Of the entry at which the journal is. Whether all of it was read. */
static inline bool compare_entry(sd_journal *journal, struct journal_file *file)
{
	_cleanup_free_ char *cursor = NULL;
	struct journal_entry entry;
	struct entry_id id;
	struct bytes ours;
	const void *data;
	size_t size;

	ASSERT(sd_journal_get_cursor(journal, &cursor) >= 0 && entry_id_parse(&id, cursor));
	if (is_ambiguous(file, id.seqnum) || !journal_file_covers(file, &id) || !journal_file_find(file, &id, &entry))
		return false;
	sd_journal_restart_data(journal);
	for (uint64_t i = 0; i < entry.count; i++) {
		if (!journal_file_field(file, journal_entry_item(file, &entry, i), &ours))
			return false;
		ASSERT(sd_journal_enumerate_available_data(journal, &data, &size) == 1);
		ASSERT(size == ours.size && memcmp(data, ours.data, size) == 0);
	}
	ASSERT(sd_journal_enumerate_available_data(journal, &data, &size) == 0);
	return true;
}

/* The number of entries that were read, forwards and backwards. */
static inline unsigned compare_all(sd_journal *journal, struct journal_file *file)
{
	unsigned whole = 0;

	sd_journal_set_data_threshold(journal, 0);
	sd_journal_seek_head(journal);
	for (int i = 0; i < COMPARE_ENTRIES_MAX && sd_journal_next(journal) > 0; i++)
		whole += compare_entry(journal, file);
	sd_journal_seek_tail(journal);
	for (int i = 0; i < COMPARE_ENTRIES_MAX && sd_journal_previous(journal) > 0; i++)
		whole += compare_entry(journal, file);
	return whole;
}

/* Whatever looks like an entry is looked for and read: sd-journal may not get as far. */
static inline void read_all(struct journal_file *file)
{
	for (uint64_t at = 0; file->size >= 64 && at <= file->size - 64; at += 8) {
		struct entry_id id = { .seqnum_id = file->seqnum_id };
		struct journal_entry entry;
		struct bytes field;
		uint64_t numbers[8]; /* entry_object in journal_file.c */

		if (file->data[at] != 3)
			continue;
		memcpy(numbers, file->data + at, sizeof(numbers));
		id.seqnum = le64toh(numbers[2]);
		id.realtime = le64toh(numbers[3]);
		id.monotonic = le64toh(numbers[4]);
		id.boot_id = (struct journal_id){ be64toh(numbers[5]), be64toh(numbers[6]) };
		id.xor_hash = le64toh(numbers[7]);
		if (!journal_file_find(file, &id, &entry))
			continue;
		for (uint64_t i = 0; i < entry.count; i++)
			if (journal_file_field(file, journal_entry_item(file, &entry, i), &field))
				ASSERT(field.size > 0 && memchr(field.data, field.data[0], field.size));
	}
}

/* sd-journal refuses a file without a name. */
static inline unsigned compare_file(const void *data, size_t size)
{
	char path[] = "/tmp/journal-compare-XXXXXX";
	_cleanup_close_ int fd = mkostemp(path, O_CLOEXEC);
	const char *paths[] = { path, NULL };
	struct journal_file file;
	sd_journal *journal;
	unsigned whole = 0;
	bool understood = journal_file_init(&file, data, size);
	int r;

	if (understood) {
		struct journal_file other = file;

		journal_file_is_whole(&other, BYTES("EXECSNOOP_COMM=x"));
		read_all(&file);
	}
	ASSERT(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	r = sd_journal_open_files(&journal, paths, 0);
	unlink(path);
	if (r < 0)
		return 0;
	if (understood)
		whole = compare_all(journal, &file);
	sd_journal_close(journal);
	return whole;
}
