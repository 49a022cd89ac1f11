/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An entry of the journal as an event (execsnoopd(8), "The journal"). A field holds exact bytes, so what JSON would
 * need twins for is here as it was. EXECSNOOP_ARGS has all arguments, quoted for a shell; the repeated fields are not
 * used, since a journal file keeps neither the order of fields nor a second one with the same value
 * (journal_file_append_entry() in systemd).
 */
#pragma once

#include "ctl/event/parsed.h"
#include "util/bytebuf.h"

/* Fields of an entry that are no keys of an event. */
enum journal_extra {
	EXTRA_ANCESTOR = KEY_MAX,
	EXTRA_SEQ_STEP,
	EXTRA_STREAM,
	EXTRA_HOST,
	JOURNAL_FIELD_MAX,
};

/* The fields of an entry that are wanted, by the first letter of their names: most fields need not be looked at. */
struct journal_fields {
	bool all; /* also the extra ones */
	struct journal_field {
		char name[40]; /* without EXECSNOOP_, but with "=" */
		size_t size;
		unsigned key; /* enum key, or enum journal_extra */
	} fields[JOURNAL_FIELD_MAX];
	unsigned char first[27]; /* by letter; the next letter's is the end */
};

void journal_fields_set(struct journal_fields *fields, key_set keys);
/* Of "NAME=VALUE": the field that it is, and its value. NULL: it is not wanted. */
const struct journal_field *journal_fields_find(const struct journal_fields *wanted, struct bytes data,
						struct bytes *ret_value);

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
/* What journal_fields_find() returned. 0 or -ENOMEM. */
int journal_record_add(struct journal_record *record, const struct journal_field *field, struct bytes value);
/* After the last field. 0 or -ENOMEM. */
int journal_record_end(struct journal_record *record);
void journal_record_finish(struct journal_record *record);
