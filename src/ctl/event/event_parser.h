/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Events out of lines of JSON, as execsnoopd-events(7) describes them. */
#pragma once

#include "ctl/event/parsed.h"
#include "util/cleanup.h"

struct event_parser;

int event_parser_new(struct event_parser **ret);
struct event_parser *event_parser_free(struct event_parser *parser);
DEFINE_CLEANUP(struct event_parser *, event_parser_free);

/*
 * One line without its newline. *ret is valid until the next call and as long as the line. -EBADMSG: it is not one JSON
 * object with a `type`; *ret_reason (valid until the next call) says why. Keys that are not known, and values of
 * another kind than their key's, are passed over.
 */
int event_parser_line(struct event_parser *parser, struct bytes line, struct parsed *ret, const char **ret_reason);
