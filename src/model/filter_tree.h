/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The processes in the trees of a filter, by identity (tgid and start). A hash table with linear
 * probing: a member is found before a free place is met. For filter.c alone.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "handover/archive.h"

enum {
	TREE_INCLUDED = 1,
	TREE_EXCLUDED = 2,
};

struct filter_member {
	uint64_t start;
	uint32_t tgid;
	uint32_t trees; /* bits TREE_x; 0: this place is free */
};

/* All zero is an empty one; free(3) its places. */
struct filter_tree {
	struct filter_member *places;
	size_t size; /* 0 or a power of two, at least twice the count */
	size_t count;
};

/* The trees that the process is in. */
uint32_t filter_tree_find(const struct filter_tree *tree, uint32_t tgid, uint64_t start);
/* Adds it to these trees too. */
int filter_tree_add(struct filter_tree *tree, uint32_t tgid, uint64_t start, uint32_t trees);
/* Removes it from all, if it is in any. */
void filter_tree_remove(struct filter_tree *tree, uint32_t tgid, uint64_t start);
size_t filter_tree_memory(const struct filter_tree *tree);
/* See filter_archive(). */
int filter_tree_archive(struct filter_tree *tree, struct archive *archive);
