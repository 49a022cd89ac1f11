/* SPDX-License-Identifier: GPL-2.0-only */
/* The path of a file: from its dentry up to the root of its mount namespace. */
#pragma once

#include "scratch.bpf.h"

#define PATH_BATCH 16
#define PATH_ROUNDS 256 /* PATH_MAX / 2 components, and as many mounts on the way */

/* fs/mount.h */
static __always_inline struct mount *real_mount(u64 vfsmount)
{
	return container_of(vfsmount, struct mount, mnt);
}

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
	barrier_var(name);
	return name;
}

/* As walk_name(), without a helper if the name is short, as most are. */
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
	struct dentry *dentry = (void *)walk->dentry, *parent;
	struct mount *mount = real_mount(walk->vfsmount), *above;

	if (dentry == (void *)walk->root) {
		above = BPF_CORE_READ(mount, mnt_parent);
		if (above == mount)
			return WALK_DONE;
		walk->dentry = (u64)BPF_CORE_READ(mount, mnt_mountpoint);
		walk->vfsmount = (u64)&above->mnt;
		walk->root = (u64)BPF_CORE_READ(above, mnt.mnt_root);
		return WALK_ON;
	}
	parent = BPF_CORE_READ(dentry, d_parent);
	if (parent == dentry)
		return WALK_DONE;
	walk->dentry = (u64)parent;
	return walk_name(s, RECORD_PATH_MAX, BPF_CORE_READ(dentry, d_name.name)) ? WALK_ON : WALK_CUT;
}

__noinline int path_batch(u32 slot)
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
 * Whether nothing is above the mount. `root` is a namespace's own, the kernel's first file system;
 * the one that is mounted over it is the root for every process. The mount's address is read from
 * memory: from the typed pointer to its part that is the vfsmount, the verifier allows no access to
 * the rest.
 */
static __always_inline bool is_topmost(struct scratch *s, struct vfsmount *vfsmount, struct mount *root)
{
	struct mount *mount = real_mount(READ_ONCE(s->walk.vfsmount));

	if (vfsmount == &root->mnt || s->walk.vfsmount == s->walk.topmost)
		return true;
	if (BPF_CORE_READ(mount, mnt_parent) != root || BPF_CORE_READ(mount, mnt_mountpoint) != root->mnt.mnt_root)
		return false;
	s->walk.topmost = s->walk.vfsmount;
	return true;
}

/*
 * The same with typed pointers, within the mount that the path begins in. WALK_ON: path_batch()
 * continues. A function of its own, since each program walks two paths. namespace_root: of the task's; NULL: not known.
 */
static __noinline int path_typed(struct scratch *s, struct vfsmount *vfsmount, struct dentry *dentry,
				 struct mount *namespace_root)
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
	if (dentry == root && namespace_root && is_topmost(s, vfsmount, namespace_root))
		return WALK_DONE;
	s->walk.dentry = (u64)dentry;
	return outcome;
}

/*
 * Writes the components of a path, leaf first, each with its NUL: what d_path() (fs/d_path.c,
 * prepend_path) does, up to the root of the mount namespace that the mount is in. False, and an
 * empty part, if the walk did not reach it.
 */
static __always_inline bool path_walk(struct fill *f, struct part *part, struct vfsmount *vfsmount,
				      struct dentry *dentry)
{
	int outcome = WALK_ON;

	f->s->walk.dentry = (u64)dentry;
	f->s->walk.vfsmount = (u64)vfsmount;
	f->s->walk.root = (u64)PEEK(f->typed, vfsmount, mnt_root);
	walk_begin(f, RECORD_PATH_MAX);
	if (f->typed)
		outcome = path_typed(f->s, vfsmount, dentry, f->root);
	for (int i = 0; i < PATH_ROUNDS && outcome == WALK_ON; i++)
		outcome = path_batch(f->slot);
	*part = (struct part){ .offset = f->at };
	if (outcome != WALK_DONE)
		return false;
	walk_end(f, part);
	return true;
}
