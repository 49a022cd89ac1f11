/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the journal's index can do of a query. */
#pragma once

#include <systemd/sd-journal.h>

#include "ctl/event/query.h"

/*
 * Adds matches, so that the journal leaves out entries which query_pass() would not pass, and no others. Those that are
 * there before apply to all entries.
 */
int journal_matches_add(sd_journal *journal, const struct query *query);
