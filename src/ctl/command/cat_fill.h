/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a stream lacks, out of the journal: of the same stream the events after one number, up to another one; of
 * another stream those of the old one, of each one between, and of the new one.
 *
 * An entry names the one that it follows (EXECSNOOP_SEQ_STEP). If that is there, the numbers between the two were left
 * out on purpose: by the journal's filter, as steps of a folded search, or because the journal never had the process.
 * All other numbers are missing.
 */
#pragma once

#include "ctl/command/cat_position.h"
#include "ctl/event/parsed.h"
#include "util/cleanup.h"

struct cat_fill;

/* from: how far it has come; stream, last: where it continues, after this number. */
int cat_fill_new(struct cat_fill **ret, const struct cat_position *from, struct bytes stream, uint64_t last);
struct cat_fill *cat_fill_free(struct cat_fill *fill);
DEFINE_CLEANUP(struct cat_fill *, cat_fill_free);

/* 1: *ret is an event, valid until the next call; *ret_begins: it is of another stream than the one before it. 0: there
 * are no more; -EAGAIN: not yet. */
int cat_fill_next(struct cat_fill *fill, const struct parsed **ret, bool *ret_begins);
/* Numbers of the stream that is continued that are missing, and for which the journal has no reason. */
uint64_t cat_fill_missing(const struct cat_fill *fill);
