/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The value of a key as text for people, for columns of tables and of CSV; nothing where there is none. */
#pragma once

#include "ctl/event/parsed.h"
#include "util/quote.h"

/* flag: what there is of a flag that is set. */
void key_text(struct text *text, const struct parsed *parsed, enum key key, const char *flag);

/* At least the size of any text that key_text() makes of this event, or text_command(). */
size_t key_text_size_max(const struct parsed *parsed);

/* Columns that are no keys. */
void user_text(struct text *text, const struct parsed *parsed, bool numeric);
void parent_text(struct text *text, const struct parsed *parsed);
