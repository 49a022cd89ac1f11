/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An entry of the journal as an event (execsnoopd(8), "The journal"). A field holds exact bytes, so what JSON would
 * need twins for is here as it was. EXECSNOOP_ARGS has all arguments, quoted for a shell; the repeated fields are not
 * used, since a journal file keeps neither the order of fields nor a second one with the same value
 * (journal_file_append_entry() in systemd).
 */
#ifndef EXECSNOOP_JOURNAL_RECORD_H
#define EXECSNOOP_JOURNAL_RECORD_H

#include "ctl/event/parsed.h"
#include "util/bytebuf.h"

/* The fields of an entry that are wanted, by the first letter of their names: most fields need not be looked at. */
struct journal_fields {
	bool all; /* also host and stream, which are no keys */
	struct journal_field {
		char name[40]; /* with "=" */
		size_t size;
		enum key key;
	} fields[KEY_MAX];
	unsigned char first[27]; /* by letter; the next letter's is the end */
};

void journal_fields_set(struct journal_fields *fields, key_set keys);

/* All zero is an empty one. */
struct journal_record {
	struct parsed parsed; /* borrows from what follows */
	struct bytebuf fields, text;
	struct bytebuf args, parent_args;
	struct bytebuf lists; /* of the repeated fields whose order does not matter */
	struct bytebuf ancestors;
	char host[65], stream[33];
	int64_t seq_step;
};

void journal_record_begin(struct journal_record *record);
/* "NAME=VALUE". 0 or -ENOMEM. */
int journal_record_add(struct journal_record *record, const struct journal_fields *wanted, const char *data,
		       size_t size);
/* After the last field. 0 or -ENOMEM. */
int journal_record_end(struct journal_record *record);
void journal_record_finish(struct journal_record *record);

#endif
