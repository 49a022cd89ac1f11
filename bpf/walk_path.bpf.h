/* SPDX-License-Identifier: GPL-2.0-only */
/* The path of a file: from its dentry up to the root of its mount namespace. */
#ifndef EXECSNOOP_WALK_PATH_BPF_H
#define EXECSNOOP_WALK_PATH_BPF_H

#include "scratch.bpf.h"

#define PATH_BATCH 16	/* in one verified piece */
#define PATH_ROUNDS 256 /* PATH_MAX / 2 components, and as many mounts on the way */

/* Where a dentry keeps its name if it is short. */
static __always_inline const u64 *short_name(struct dentry *dentry)
{
	struct dentry___6_14 *newer = (void *)dentry;
	const void *name;

	if (bpf_core_field_exists(dentry->d_iname))
		name = dentry->d_iname;
	else
		name = newer->d_shortname.string;
	/* libbpf would compare the size of the loads with that of the member. */
	asm volatile("" : "+r"(name));
	return name;
}

/* As walk_name(), without a helper if the name is a short one, as most are. */
static __always_inline bool walk_dentry(struct scratch *s, struct dentry *dentry)
{
	volatile struct walk *walk = &s->walk;
	const u64 *words = short_name(dentry);
	const void *name = dentry->d_name.name;
	u32 at = walk->at;

	if (name != words)
		return walk_name(s, RECORD_PATH_MAX, name);
	for (u32 i = 0; i < SHORT_NAME / 8; i++) {
		u64 word = words[i];
		u32 n = bytes_to_nul(word);

		*(u64 *)&s->bytes[bounded(at)] = word;
		at += n;
		if (n < 8 || !(word >> 56)) {
			walk->at = at;
			return at <= walk->limit;
		}
	}
	return walk_name(s, RECORD_PATH_MAX, name);
}

/* One component, or one mount on the way. */
static __always_inline int path_step(struct scratch *s)
{
	volatile struct walk *walk = &s->walk;
	struct vfsmount *vfsmount = (void *)walk->vfsmount;
	struct dentry *dentry = (void *)walk->dentry, *parent;
	struct mount *mount = (void *)vfsmount - bpf_core_field_offset(struct mount, mnt), *above;

	if (dentry == (void *)walk->root) {
		above = BPF_CORE_READ(mount, mnt_parent);
		if (above == mount)
			return WALK_DONE;
		walk->dentry = (u64)BPF_CORE_READ(mount, mnt_mountpoint);
		vfsmount = (void *)above + bpf_core_field_offset(struct mount, mnt);
		walk->vfsmount = (u64)vfsmount;
		walk->root = (u64)BPF_CORE_READ(vfsmount, mnt_root);
		return WALK_ON;
	}
	parent = BPF_CORE_READ(dentry, d_parent);
	if (parent == dentry)
		return WALK_DONE;
	walk->dentry = (u64)parent;
	return walk_name(s, RECORD_PATH_MAX, BPF_CORE_READ(dentry, d_name.name)) ? WALK_ON : WALK_CUT;
}

/* Goes on for PATH_BATCH. */
__attribute__((noinline)) int path_batch(u32 slot)
{
	struct scratch *s = scratch_get(slot);

	if (!s)
		return WALK_CUT;
	for (int i = 0; i < PATH_BATCH; i++) {
		int outcome = path_step(s);

		if (outcome != WALK_ON)
			return outcome;
	}
	return WALK_ON;
}

/*
 * Is there nothing above the mount? `root` is that of a namespace, the kernel's first file system, and another one mounted
 * over it is what everybody takes for the root.
 */
static __always_inline bool is_topmost(struct scratch *s, struct vfsmount *vfsmount, struct mount *root)
{
	u64 address =
		*(volatile u64 *)&s->walk.vfsmount; /* the verifier knows no way from it to the mount that it is in */
	struct mount *mount = (void *)address - bpf_core_field_offset(struct mount, mnt);

	if (vfsmount == &root->mnt)
		return true;
	return BPF_CORE_READ(mount, mnt_parent) == root && BPF_CORE_READ(mount, mnt_mountpoint) == root->mnt.mnt_root;
}

/*
 * The same with typed pointers, which a global function cannot be given: as far as most paths go, in the mount that they
 * begin in. WALK_ON: the rest is path_batch()'s.
 */
static __always_inline int path_typed(struct scratch *s, struct vfsmount *vfsmount, struct dentry *dentry,
				      struct mount *topmost)
{
	struct dentry *root = vfsmount->mnt_root, *parent;
	int outcome = WALK_ON;

	for (int i = 0; i < TYPED_STEPS && dentry != root; i++) {
		parent = dentry->d_parent;
		if (parent == dentry) {
			outcome = WALK_DONE;
			break;
		}
		if (!walk_dentry(s, dentry)) {
			outcome = WALK_CUT;
			break;
		}
		dentry = parent;
	}
	if (dentry == root && topmost && is_topmost(s, vfsmount, topmost))
		return WALK_DONE;
	s->walk.dentry = (u64)dentry;
	return outcome;
}

/*
 * Writes the components of a path, leaf first, each with its NUL, at `at` of the scratch: what d_path()
 * (fs/d_path.c, prepend_path) does, up to the root of the mount namespace that the mount is in. Returns where
 * it ended; *part stays empty if the walk did not reach the root, and *ret_cut is set then. root: of the namespace that the mount
 * is likely to be in; NULL: not known.
 */
static __always_inline u32 path_walk(bool typed, u32 slot, struct scratch *s, u32 at, struct part *part,
				     struct vfsmount *vfsmount, struct dentry *dentry, struct mount *root,
				     bool *ret_cut)
{
	int outcome = WALK_ON;

	s->walk.dentry = (u64)dentry;
	s->walk.vfsmount = (u64)vfsmount;
	s->walk.root = (u64)PEEK(typed, vfsmount, mnt_root);
	at = walk_begin(s, at, RECORD_PATH_MAX);
	if (typed)
		outcome = path_typed(s, vfsmount, dentry, root);
	for (int i = 0; i < PATH_ROUNDS && outcome == WALK_ON; i++)
		outcome = path_batch(slot);
	part->offset = at;
	part->size = 0;
	*ret_cut = outcome != WALK_DONE;
	if (*ret_cut)
		return at;
	part->size = s->walk.at - at;
	return s->walk.at;
}

#endif
