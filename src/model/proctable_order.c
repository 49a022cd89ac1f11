/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sorts the list of versions by birth, when its order is needed: see the head of proctable.c. */
#include "model/proctable_internal.h"

static struct version *list_merge(struct version *a, struct version *b)
{
	struct version *first = NULL, **end = &first;

	while (a && b) {
		struct version **earlier = version_is_before(b, a) ? &b : &a;

		*end = *earlier;
		*earlier = (*earlier)->next;
		end = &(*end)->next;
	}
	*end = a ? a : b;
	return first;
}

/* A bottom-up merge sort: runs[i] is a sorted list of 2^i versions, or empty. */
void list_order(struct proctable *table)
{
	struct version *runs[64] = { NULL }, *all = NULL, *prev = NULL;

	if (!table->unordered)
		return;
	for (struct version *version = table->first, *next; version; version = next) {
		size_t i = 0;

		next = version->next;
		version->next = NULL;
		for (; runs[i]; i++) {
			version = list_merge(runs[i], version);
			runs[i] = NULL;
		}
		runs[i] = version;
	}
	for (size_t i = 0; i < sizeof(runs) / sizeof(*runs); i++)
		all = list_merge(runs[i], all);
	table->first = all;
	for (struct version *version = all; version; prev = version, version = version->next)
		version->prev = prev;
	table->last = prev;
	table->unordered = false;
}
