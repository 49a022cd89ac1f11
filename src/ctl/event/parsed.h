/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An event that is read back: from a line of JSON or from the fields of a journal entry. The daemon's own struct event
 * is filled in, so that its filter and its encoder work here too; what that has no place for is next to it.
 *
 * A reader sets one key after the other (parsed_number ...). Values that do not fit their key are not kept; the key is
 * then absent.
 */
#pragma once

#include "model/extras.h"

struct parsed {
	struct event event; /* type EVENT_TYPE_MAX: not an event; see `type` */
	struct process process;
	struct extras extras;
	key_set keys;	   /* those that the event had and that are understood */
	struct bytes type; /* as it was: an event's, or subscribed, stats, rejected, or one of a later version */
	struct bytes id;   /* data NULL: none */
	struct bytes parent_id, starter_id;
	struct bytes tty;
	struct bytes source;			   /* as it was */
	struct bytes error_name;		   /* of EVENT_ERROR */
	struct bytes host;			   /* of a line that has one, or of the journal that it comes from */
	struct bytes reason;			   /* of `rejected` */
	struct bytes stream;			   /* of `live`, `subscribed`, and entries of the journal */
	struct bytes ancestors;			   /* of entries of the journal, in no order, each with its NUL */
	int64_t seq_step;			   /* of entries of the journal: to the number before it */
	struct bytes machine_id, boot_id, version; /* of `live` */
	struct bytes line; /* of JSON, as it came, without its end; data NULL: it came otherwise */
};

static inline bool parsed_has(const struct parsed *parsed, enum key key)
{
	return parsed->keys >> key & 1;
}

/* A value that is held as text, as it came; *ret has no data if there was none. False: it is held otherwise. */
bool parsed_as_it_came(const struct parsed *parsed, enum key key, struct bytes *ret);

void parsed_begin(struct parsed *parsed);

/* What the key's values are. */
enum parsed_kind { PARSED_NUMBER, PARSED_FLAG, PARSED_TEXT, PARSED_TIME, PARSED_LIST, PARSED_OBJECT };
enum parsed_kind parsed_kind(enum key key);

/* The value is borrowed. Lists and objects: each item with its NUL; an object's as NAME=VALUE. */
void parsed_number(struct parsed *parsed, enum key key, int64_t value);
void parsed_flag(struct parsed *parsed, enum key key);
void parsed_text(struct parsed *parsed, enum key key, struct bytes value);
void parsed_list(struct parsed *parsed, enum key key, struct bytes items);
/* Of a value as text, whatever the key's kind: numbers in decimal, flags "true" (the journal's). Not for lists. */
void parsed_value(struct parsed *parsed, enum key key, struct bytes value);

/* The last key was set: members that depend on each other are made. */
void parsed_end(struct parsed *parsed);

/* RFC 3339 in UTC, as event_time_format() writes it; fewer decimals are accepted. */
bool parsed_time(struct bytes text, uint64_t *ret_ns);

/* Status for people, and for scripts: "0", "exit 2", "SIGKILL", "ENOENT", "?" (the end was not seen); "" where there
 * is none. */
void parsed_status(const struct parsed *parsed, char *ret, size_t size);
bool parsed_failed(const struct parsed *parsed);
