/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "output/search_hold.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "model/event.h"
#include "util/charge.h"
#include "util/cleanup.h"
#include "util/pool.h"

struct held {
	void *item; /* NULL: none */
	size_t size;
	uint16_t previous, next; /* searches; 0: none */
};
#define SLOTS_SIZE ((SEARCHES_MAX + 1) * sizeof(struct held)) /* searches begin with 1 */
_Static_assert(SEARCHES_MAX < UINT16_MAX, "a search fits the list");

static int make_slots(struct search_hold *hold)
{
	hold->slots = pool_alloc(SLOTS_SIZE);
	if (!hold->slots)
		return -ENOMEM;
	memset(hold->slots, 0, SLOTS_SIZE);
	hold->memory = charge_of(SLOTS_SIZE);
	return 0;
}

int search_hold_put(struct search_hold *hold, unsigned search, void *item, size_t size)
{
	struct held *slot;
	int r = hold->slots ? 0 : make_slots(hold);

	if (r < 0)
		return r;
	ASSERT(search > 0 && search <= SEARCHES_MAX && !hold->slots[search].item);
	slot = &hold->slots[search];
	*slot = (struct held){ .item = item, .size = size, .previous = (uint16_t)hold->last };
	if (hold->last)
		hold->slots[hold->last].next = (uint16_t)search;
	else
		hold->first = search;
	hold->last = search;
	hold->count++;
	hold->memory += size;
	return 0;
}

void *search_hold_take(struct search_hold *hold, unsigned search)
{
	struct held *slot = hold->slots && search <= SEARCHES_MAX ? &hold->slots[search] : NULL;
	void *item = slot ? slot->item : NULL;

	if (!item)
		return NULL;
	if (slot->previous)
		hold->slots[slot->previous].next = slot->next;
	else
		hold->first = slot->next;
	if (slot->next)
		hold->slots[slot->next].previous = slot->previous;
	else
		hold->last = slot->previous;
	hold->memory -= slot->size;
	slot->item = NULL;
	if (--hold->count == 0) {
		pool_free(hold->slots, SLOTS_SIZE);
		*hold = (struct search_hold){};
	}
	return item;
}

void *search_hold_first(const struct search_hold *hold)
{
	return search_hold_item(hold, hold->first);
}

void *search_hold_take_first(struct search_hold *hold)
{
	return hold->first ? search_hold_take(hold, hold->first) : NULL;
}

unsigned search_hold_next(const struct search_hold *hold, unsigned search)
{
	return search ? hold->slots[search].next : hold->first;
}

void *search_hold_item(const struct search_hold *hold, unsigned search)
{
	return search && hold->slots ? hold->slots[search].item : NULL;
}
