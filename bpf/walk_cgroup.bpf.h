/* SPDX-License-Identifier: GPL-2.0-only */
/* The path of a process's cgroup. */
#pragma once

#include "scratch.bpf.h"

static __always_inline struct kernfs_node *kernfs_parent(bool typed, struct kernfs_node *node)
{
	struct kernfs_node___6_15 *newer = (void *)node;

	if (bpf_core_field_exists(node->parent))
		return PEEK(typed, node, parent);
	return PEEK(typed, newer, __parent);
}

#define CGROUP_LINKS 24

/* The hierarchy's position in settings.hierarchies. */
static __always_inline u32 hierarchy_rank(u32 id)
{
#pragma unroll
	for (u32 i = 0; i < RECORD_HIERARCHIES && settings.hierarchies[i]; i++)
		if (settings.hierarchies[i] == id)
			return i;
	return RECORD_HIERARCHIES;
}

/* The node of the cgroup, if its hierarchy's rank is less than `below`, and it is not its root; else NULL. */
static __always_inline struct kernfs_node *cgroup_of_rank(struct cgroup *cgroup, u32 below, u32 *ret_rank)
{
	struct kernfs_node *node;

	*ret_rank = hierarchy_rank(BPF_CORE_READ(cgroup, root, hierarchy_id));
	if (*ret_rank >= below)
		return NULL;
	node = BPF_CORE_READ(cgroup, kn);
	return kernfs_parent(false, node) ? node : NULL;
}

static __always_inline struct cgroup *cgroup_of_link(u64 link)
{
	return BPF_CORE_READ(container_of(link, struct cgrp_cset_link, cgrp_link), cgrp);
}

/*
 * Where among the links the first choice was found last: they are in the order in which the hierarchies were mounted,
 * and the nearer end is that of fewer links, each in a cache line of its own. And its root, if it was found there. That
 * is a part of struct cgroup_root (kernel/cgroup/cgroup.c, cgroup_setup_root()), so no other cgroup ever has its
 * address; a hierarchy that is mounted later has another id.
 */
static struct {
	u32 before, after; /* links */
	u64 root;
} first_choice;

/* Searches the links from walk.dentry on, up to their head, walk.root; walk.leaf becomes the node
 * in the hierarchy of the lowest rank. */
__noinline int cgroup_v1_find(u32 slot)
{
	struct scratch *s = scratch_get(slot);
	volatile struct walk *walk;
	struct kernfs_node *node;
	struct cgroup *cgroup;
	u32 rank, i;

	/* Before 6.8 the verifier also checks global functions that are not called. */
	if (!s || !bpf_core_field_exists(struct task_struct, cgroups))
		return WALK_CUT;
	walk = &s->walk;
	for (i = 0; i < CGROUP_LINKS; i++) {
		u64 link = walk->dentry;

		if (link == walk->root || !link)
			break;
		cgroup = cgroup_of_link(link);
		node = cgroup_of_rank(cgroup, walk->rank, &rank);
		if (node) {
			walk->rank = rank;
			walk->leaf = (u64)node;
		}
		if (rank == 0) {
			WRITE_ONCE(first_choice.before, i);
			walk->first = i;
			if (!node)
				WRITE_ONCE(first_choice.root, (u64)cgroup);
		}
		walk->dentry = (u64)BPF_CORE_READ((struct list_head *)link, next);
	}
	WRITE_ONCE(first_choice.after, i - 1 - walk->first);
	return WALK_DONE;
}

/* The link of the first choice's hierarchy, most likely. */
static __always_inline const struct list_head *first_choice_link(struct css_set *set)
{
	u32 before = READ_ONCE(first_choice.before), after = READ_ONCE(first_choice.after);
	const struct list_head *link = before <= after ? set->cgrp_links.next : set->cgrp_links.prev;

	if (before <= after)
		for (u32 i = 0; i < CGROUP_LINKS && i < before && link; i++)
			link = link->next;
	else
		for (u32 i = 0; i < CGROUP_LINKS && i < after && link; i++)
			link = link->prev;
	return link;
}

/* The node in one of the v1 hierarchies; `node`, the root of v2, if it is the root in all of
 * them. */
static __always_inline struct kernfs_node *cgroup_v1_node(struct fill *f, struct css_set *set, struct kernfs_node *node)
{
	volatile struct walk *walk = &f->s->walk;
	struct kernfs_node *found;
	struct cgroup *cgroup;
	u32 rank;

	if (f->typed) {
		cgroup = cgroup_of_link((u64)first_choice_link(set));
		if (cgroup && (u64)cgroup == READ_ONCE(first_choice.root)) {
			if (!settings.hierarchies[1])
				return node;
		} else {
			found = cgroup_of_rank(cgroup, 1, &rank);
			if (found)
				return found;
		}
	}
	walk->dentry = (u64)BPF_CORE_READ(set, cgrp_links.next);
	walk->root = (u64)&set->cgrp_links;
	walk->rank = RECORD_HIERARCHIES;
	walk->leaf = (u64)node;
	walk->first = 0;
	cgroup_v1_find(f->slot);
	return (void *)walk->leaf;
}

#define CGROUP_BATCH 64
#define CGROUP_ROUNDS 34       /* PATH_MAX / 2 components */
#define CGROUP_ROUNDS_MAX 256  /* 16,384 components, for which the kernel has a GiB of ancestors (struct cgroup) */
#define CGROUP_LAST_SIZE 512   /* of a path that is too long: at least so many bytes of its last components, */
#define CGROUP_FIRST_NAMES 12u /* and so many of its first ones, */
#define CGROUP_NAME_SIZE 256   /* each no longer than this, with the NUL: no name of a unit or container is */

/* The walk of kernfs_path_from_node() (fs/kernfs/dir.c). walk.dentry is the node. */
__noinline int cgroup_batch(u32 slot)
{
	struct scratch *s = scratch_get(slot);
	volatile struct walk *walk;
	struct kernfs_node *node, *parent;

	if (!s)
		return WALK_CUT;
	walk = &s->walk;
	for (int i = 0; i < CGROUP_BATCH; i++) {
		node = (void *)walk->dentry;
		parent = kernfs_parent(false, node);
		if (!parent)
			return WALK_DONE;
		walk->dentry = (u64)parent;
		if (walk->skip) {
			walk->skip--;
			continue;
		}
		walk->names++;
		if (!walk_name(s, walk->ends ? CGROUP_NAME_SIZE : RECORD_PATH_MAX, BPF_CORE_READ(node, name)))
			return WALK_CUT;
	}
	return WALK_ON;
}

/* Walks from the leaf again, without writing the first `skip` components. */
__noinline int cgroup_rewalk(u32 slot, u32 skip)
{
	struct scratch *s = scratch_get(slot);
	int outcome = WALK_ON;

	if (!s)
		return WALK_CUT;
	s->walk.dentry = s->walk.leaf;
	s->walk.skip = skip;
	s->walk.names = 0;
	for (int i = 0; i < CGROUP_ROUNDS_MAX && outcome == WALK_ON; i++)
		outcome = cgroup_batch(slot);
	return outcome;
}

/*
 * Writes the two ends of a path that is too long: its last components, an empty one, and the first
 * ones, which name the unit and the container. A user that may make cgroups in one can make the
 * path too long.
 */
__noinline int cgroup_ends(u32 slot)
{
	struct scratch *s = scratch_get(slot);
	volatile struct walk *walk;
	u32 all, last;

	if (!s)
		return WALK_CUT;
	walk = &s->walk;
	all = cgroup_rewalk(slot, -1) == WALK_DONE ? -1 - walk->skip : 0;
	walk->ends = true;
	walk->at = walk->begin;
	walk->limit = walk->begin + CGROUP_LAST_SIZE;
	cgroup_rewalk(slot, 0);
	last = walk->names;
	s->bytes[bounded(walk->at)] = '\0';
	walk->at++;
	walk->limit = walk->begin + RECORD_PATH_MAX;
	if (all)
		cgroup_rewalk(slot, all > last + CGROUP_FIRST_NAMES ? all - CGROUP_FIRST_NAMES : last);
	return WALK_CUT;
}

/* As path_typed(). */
static __always_inline int cgroup_typed(struct scratch *s, struct kernfs_node *node)
{
	struct kernfs_node *parent;
	int outcome = WALK_ON;

	for (int i = 0; i < TYPED_STEPS && node; i++) {
		parent = kernfs_parent(true, node);
		if (!parent) {
			outcome = WALK_DONE;
			break;
		}
		if (!walk_name(s, RECORD_PATH_MAX, node->name)) {
			outcome = WALK_CUT;
			break;
		}
		node = parent;
	}
	s->walk.dentry = (u64)node;
	return outcome;
}

/* Returns flags (PLACE_F_x). */
static __always_inline u32 cgroup_walk(struct fill *f, struct part *part, struct task_struct *task)
{
	struct walk *walk = &f->s->walk;
	struct css_set *set;
	struct kernfs_node *node;
	int outcome = WALK_ON;

	*part = (struct part){};
	if (!bpf_core_field_exists(task->cgroups))
		return PLACE_F_NO_CGROUP;
	set = PEEK(f->typed, task, cgroups);
	node = set ? PEEK2(f->typed, set, dfl_cgrp, kn) : NULL;
	walk_begin(f, RECORD_PATH_MAX);
	walk->begin = f->at;
	walk->skip = walk->ends = 0;
	walk->leaf = (u64)node;
	/* Only in v2's root, v1 may be in use. */
	if (node && !kernfs_parent(f->typed, node)) {
		if (settings.hierarchies[0])
			walk->leaf = (u64)cgroup_v1_node(f, set, node);
		if (walk->leaf == (u64)node)
			outcome = WALK_DONE;
		walk->dentry = walk->leaf;
	} else if (f->typed) {
		/* clang would leave out the first check and jump into the loop, which 5.10 takes for an endless one. */
		barrier_var(node);
		outcome = cgroup_typed(f->s, node);
	} else {
		walk->dentry = (u64)node;
	}
	for (int i = 0; i < CGROUP_ROUNDS && outcome == WALK_ON; i++)
		outcome = cgroup_batch(f->slot);
	if (outcome != WALK_DONE)
		cgroup_ends(f->slot);
	walk_end(f, part);
	return outcome == WALK_DONE ? 0 : PLACE_F_CGROUP_CUT;
}
