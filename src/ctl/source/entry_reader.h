/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads the fields of the entry at which an sd_journal is, from the file itself: sd_journal_enumerate_data(3) takes
 * some thousand instructions for each field, also of those that are not wanted. doc/design/journal.md.
 */
#pragma once

#include <systemd/sd-journal.h>

#include "ctl/source/journal_record.h"
#include "util/cleanup.h"

struct entry_reader;

/* For the files that are open: later ones are left to sd-journal. wanted must outlive it. */
int entry_reader_new(struct entry_reader **ret, const struct journal_fields *wanted);
struct entry_reader *entry_reader_free(struct entry_reader *reader);
DEFINE_CLEANUP(struct entry_reader *, entry_reader_free);

/* The outcomes: the fields were added to the record; or some of them at most, and sd-journal is to be asked for all. */
enum { ENTRY_LEFT = 0, ENTRY_READ = 1 };
int entry_reader_read(struct entry_reader *reader, sd_journal *journal, struct journal_record *record);
