/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files that sd-journal looks for, also those over which it passes in silence. */
#pragma once

#include "ctl/source/source.h"

/* Calls see with each file until it returns true; true: it did. Not for those that are named (options->files). Journals
 * of users are left out: they hold nothing of the daemon's (journald.conf(5), SplitMode=). */
bool journal_listing_any(const struct journal_options *options, bool (*see)(void *userdata, const char *path),
			 void *userdata);
