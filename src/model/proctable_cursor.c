/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Snapshots of the table, and which versions they need: proctable.c's head has the model. */
#include <errno.h>

#include "model/proctable_internal.h"

static bool cursor_sees(const struct proctable_cursor *cursor, const struct version *version)
{
	return version->from <= cursor->clock && cursor->clock < version->until;
}

bool version_is_needed(const struct proctable *table, const struct version *version)
{
	const struct proctable_cursor *cursor;

	LIST_FOREACH (cursor, &table->cursors, next) {
		if (cursor->at == version)
			return true;
		if (cursor_sees(cursor, version) && (!cursor->at || version_is_before(cursor->at, version)))
			return true;
	}
	return false;
}

/* A cursor no longer needs it. */
static void version_release(struct proctable *table, struct version *version)
{
	if (!version_is_live(version) && !version_is_needed(table, version))
		version_unretain(table, version);
}

int proctable_cursor_new(struct proctable_cursor **ret, struct proctable *table)
{
	struct proctable_cursor *cursor = calloc(1, sizeof(*cursor));

	if (!cursor)
		return -ENOMEM;
	list_order(table);
	cursor->clock = table->last_snapshot = table->clock;
	cursor->remaining = table->count;
	cursor_enter(cursor, table);
	*ret = cursor;
	return 0;
}

void cursor_enter(struct proctable_cursor *cursor, struct proctable *table)
{
	cursor->table = table;
	cursor->moved = ++table->moves;
	LIST_INSERT_HEAD(&table->cursors, cursor, next);
}

static void cursor_unlink(struct proctable_cursor *cursor)
{
	LIST_REMOVE(cursor, next);
	cursor->table = NULL;
}

void proctable_settle(struct proctable *table)
{
	for (struct version *version = table->first, *next; version && table->retained > 0; version = next) {
		next = version->next;
		version_release(table, version);
	}
}

struct proctable_cursor *proctable_cursor_free(struct proctable_cursor *cursor)
{
	struct proctable *table = cursor ? cursor->table : NULL;

	if (table) {
		struct version *version = cursor->at ? cursor->at : table->first, *next;

		cursor_unlink(cursor);
		for (; version && table->retained > 0; version = next) {
			next = version->next;
			/* Versions that it could not see are not retained for it. */
			if (cursor_sees(cursor, version))
				version_release(table, version);
		}
	}
	free(cursor);
	return NULL;
}

const struct entry *proctable_cursor_next(struct proctable_cursor *cursor)
{
	struct proctable *table = cursor->table;
	struct version *passed = cursor->at, *version;

	if (!table)
		return NULL;
	version = passed ? passed->next : table->first;
	while (version && !cursor_sees(cursor, version))
		version = version->next;
	cursor->at = version;
	cursor->moved = ++table->moves;
	if (version && cursor->remaining > 0)
		cursor->remaining--;
	if (!version)
		cursor_unlink(cursor);
	if (passed)
		version_release(table, passed);
	return version ? &version->entry : NULL;
}

const struct entry *proctable_cursor_at(const struct proctable_cursor *cursor)
{
	return cursor->at ? &cursor->at->entry : NULL;
}

uint64_t proctable_last_snapshot(const struct proctable *table)
{
	return table->last_snapshot;
}

uint64_t proctable_cursor_clock(const struct proctable_cursor *cursor)
{
	return cursor->clock;
}

size_t proctable_cursor_remaining(const struct proctable_cursor *cursor)
{
	return cursor->table ? cursor->remaining : 0;
}

uint64_t proctable_cursor_moved(const struct proctable_cursor *cursor)
{
	return cursor->moved;
}
