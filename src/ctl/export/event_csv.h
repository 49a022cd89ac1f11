/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events as lines of CSV (RFC 4180, with the ends of lines of this system): a field for each column, empty where an
 * event has no value. Text is escaped as for a terminal, so that a line of it is one line of the file.
 */
#pragma once

#include <stdio.h>

#include "ctl/event/parsed.h"
#include "util/cleanup.h"

struct event_csv;

/* columns: names of columns (view_line.h) or keys, separated by commas; NULL: the usual ones. numeric: numbers instead
 * of names of users. -EINVAL: *ret_reason names what is no column. */
int event_csv_new(struct event_csv **ret, FILE *const *out, const char *columns, bool numeric, const char **ret_reason);
struct event_csv *event_csv_free(struct event_csv *csv);
DEFINE_CLEANUP(struct event_csv *, event_csv_free);

void event_csv_head(struct event_csv *csv);
int event_csv_event(struct event_csv *csv, const struct parsed *parsed);
