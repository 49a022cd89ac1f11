/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The errors that an output holds until a search along $PATH ends (pipeline/path_search.h): of each open search the
 * last one that the output's filter passed, encoded. They are in the order of events. What an item is, and what it
 * weighs, is the output's; it frees what it takes out.
 */
#pragma once

#include <stddef.h>

/* All zero is an empty one, and an empty one has no memory. */
struct search_hold {
	struct held *slots; /* by search */
	unsigned count;
	unsigned first, last; /* searches; 0: none */
	size_t memory;	      /* all that is held, with the slots */
};

/* The search has no item. size: its memory. -ENOMEM. */
int search_hold_put(struct search_hold *hold, unsigned search, void *item, size_t size);
/* The item of the search, which is not held any more; NULL: none. */
void *search_hold_take(struct search_hold *hold, unsigned search);
/* The oldest item; NULL: none. */
void *search_hold_first(const struct search_hold *hold);
void *search_hold_take_first(struct search_hold *hold);
/* The searches that have one, oldest first: 0 begins, and ends. */
unsigned search_hold_next(const struct search_hold *hold, unsigned search);
void *search_hold_item(const struct search_hold *hold, unsigned search);
