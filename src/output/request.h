/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One line that a subscriber sent: what it asks for, or why it is rejected (execsnoopd(8), The
 * socket). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <yajl/yajl_gen.h>

#include "model/event.h"
#include "model/filter.h"

#define REQUEST_LINE_MAX 65536 /* bytes of a line, with its end */
#define REQUEST_DEPTH_MAX 4    /* of nested arrays and objects */
#define REQUEST_FIELDS_MAX 256 /* entries of `fields` */
#define REQUEST_REASON_SIZE 256
#define REQUEST_NAME_MAX 64	     /* bytes of the name of a subscription */
#define REQUEST_MARK_MAX 86400	     /* seconds */
#define REQUEST_ARGS_BYTES_MAX 65536 /* so that many subscribers with different values cost little */

/* A subscription, unless one of these is set, which is then the only key: stats, forget; ack without a name. */
struct request {
	bool stats;
	bool forget; /* the subscription `name` */
	bool ack_given;
	uint64_t ack;			 /* number of the last event that was stored; 0: none so far */
	char name[REQUEST_NAME_MAX + 1]; /* of a subscription that outlives its connection; "": it has none */
	bool snapshot;
	bool keys_given;
	bool mark_given;
	bool folds_given;
	bool folds;	     /* searches along $PATH */
	uint64_t mark;	     /* seconds between marks; 0: none */
	uint64_t args_bytes; /* of arguments in a line at most; 0: all */
	key_set keys;
	struct filter *filter; /* owned */
};

/*
 * Accepts strict JSON in UTF-8 with each key once: what two parsers could read in two ways is
 * refused, and so is a misspelt key. The strings of the filter are UTF-8 without NUL. -EINVAL with
 * a reason, in ASCII, that can be sent to the peer; -ENOMEM.
 */
int request_parse(struct request *ret, const char *line, size_t size, char reason[static REQUEST_REASON_SIZE]);
void request_clear(struct request *request);
/* {"ack":N} */
static inline bool request_is_ack(const struct request *request)
{
	return request->ack_given && !*request->name;
}

/* It asks for the same events with the same keys. */
bool request_asks_for(const struct request *request, key_set keys, const struct filter *filter);

/* Writes a subscription as members of the object that is open, so that a request made of them asks
 * for the same. */
void request_gen(const struct request *request, yajl_gen gen);
