/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/filter_tree.h"

#include <errno.h>

#include "util/charge.h"

#define MEMBERS_MAX (1u << 22) /* processes: PID_MAX_LIMIT, include/linux/threads.h */

static size_t home_of(const struct filter_tree *tree, uint32_t tgid, uint64_t start)
{
	uint64_t hash = (start ^ (uint64_t)tgid << 32) * UINT64_C(0x9e3779b97f4a7c15);

	return (size_t)(hash ^ hash >> 32) & (tree->size - 1);
}

/* The member's place, or the free one where it would go. At most half of all are taken, so there is
 * one. */
static struct filter_member *place_of(const struct filter_tree *tree, uint32_t tgid, uint64_t start)
{
	size_t i = home_of(tree, tgid, start);

	while (tree->places[i].trees && (tree->places[i].tgid != tgid || tree->places[i].start != start))
		i = (i + 1) & (tree->size - 1);
	return &tree->places[i];
}

uint32_t filter_tree_find(const struct filter_tree *tree, uint32_t tgid, uint64_t start)
{
	return tree->count == 0 ? 0 : place_of(tree, tgid, start)->trees;
}

static int grow(struct filter_tree *tree)
{
	struct filter_tree bigger = { .size = tree->size ? 2 * tree->size : 64, .count = tree->count };

	if (2 * (tree->count + 1) <= tree->size)
		return 0;
	bigger.places = calloc(bigger.size, sizeof(*bigger.places));
	if (!bigger.places)
		return -ENOMEM;
	for (size_t i = 0; i < tree->size; i++) {
		const struct filter_member *old = &tree->places[i];

		if (old->trees)
			*place_of(&bigger, old->tgid, old->start) = *old;
	}
	free(tree->places);
	*tree = bigger;
	return 0;
}

int filter_tree_add(struct filter_tree *tree, uint32_t tgid, uint64_t start, uint32_t trees)
{
	struct filter_member *place;
	int r = grow(tree);

	if (r < 0)
		return r;
	place = place_of(tree, tgid, start);
	if (place->trees == 0) {
		*place = (struct filter_member){ .start = start, .tgid = tgid };
		tree->count++;
	}
	place->trees |= trees;
	return 0;
}

void filter_tree_remove(struct filter_tree *tree, uint32_t tgid, uint64_t start)
{
	size_t mask = tree->size - 1, hole, i;

	if (filter_tree_find(tree, tgid, start) == 0)
		return;
	hole = (size_t)(place_of(tree, tgid, start) - tree->places);
	/* A member after the hole that could not be found across it moves into it. */
	for (i = (hole + 1) & mask; tree->places[i].trees; i = (i + 1) & mask) {
		const struct filter_member *m = &tree->places[i];
		size_t home = home_of(tree, m->tgid, m->start);

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			tree->places[hole] = *m;
			hole = i;
		}
	}
	tree->places[hole].trees = 0;
	tree->count--;
}

size_t filter_tree_memory(const struct filter_tree *tree)
{
	return tree->size ? charge_of(tree->size * sizeof(*tree->places)) : 0;
}

int filter_tree_archive(struct filter_tree *tree, struct archive *a)
{
	size_t count = tree ? tree->count : 0;

	archive_count(a, &count, MEMBERS_MAX);
	if (!archive_is_reading(a)) {
		for (size_t i = 0; tree && i < tree->size; i++)
			if (tree->places[i].trees)
				ARCHIVE(a, tree->places[i]);
		return archive_error(a);
	}
	for (size_t i = 0; i < count && archive_error(a) == 0; i++) {
		struct filter_member member;
		int r = 0;

		ARCHIVE(a, member);
		if (tree && archive_error(a) == 0 && member.trees)
			r = filter_tree_add(tree, member.tgid, member.start, member.trees);
		if (r < 0)
			return r;
	}
	return archive_error(a);
}
