/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Device, inode and status change time of a program's file as stat(2) has them: those of the inode and its superblock,
 * but for two file systems. Each subvolume of btrfs has a device of its own (fs/btrfs/inode.c,
 * btrfs_getattr()), and a file of overlayfs has that of its layer where the layers are of several
 * file systems (fs/overlayfs/inode.c, ovl_getattr() and ovl_map_dev_ino()). Without that two
 * programs would be one: the first file of every subvolume has inode 257. An overlay's file has the times of the
 * file that it represents, which its own inode may have missed: a copy into the upper layer has a new one.
 *
 * Their types may be in modules, which may be loaded later than the probes. So the daemon fills in
 * where the members are (layout.h), when it starts or when a probe has met the first such file.
 */
#pragma once

#include "vmlinux_min.h"
#include "record.h"
#include "task.bpf.h"

#define BTRFS_SUPER_MAGIC 0x9123683e	 /* include/uapi/linux/magic.h */
#define OVERLAYFS_SUPER_MAGIC 0x794c7630 /* include/uapi/linux/magic.h */

struct record_layouts layouts SEC(".data.layouts");

/* include/linux/fs.h: kept in i_ctime_nsec since 6.13 (4e40eff0b573). */
#define I_CTIME_QUERIED (1u << 31)
/* Later ones do not fit 64 bits of nanoseconds. */
#define SECONDS_MAX 18446744072ull

struct identity {
	u64 inode;
	u64 ctime; /* ns since the epoch; RECORD_NO_TIME: not known */
	u32 dev;
	bool is_superblocks; /* the device, and stat(2) may have another one */
	bool is_upper;	     /* in the upper layer of an overlay */
};

static __always_inline u64 read_u64(u64 at)
{
	u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), (void *)at);
	return value;
}

static __always_inline u32 read_u32(u64 at)
{
	u32 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), (void *)at);
	return value;
}

/* inode_get_ctime(), include/linux/fs.h. */
static __always_inline u64 inode_ctime(bool typed, struct inode *inode)
{
	struct inode___6_11 *newest = (void *)inode;
	struct inode___6_6 *newer = (void *)inode;
	u64 seconds, ns;

	if (bpf_core_field_exists(newest->i_ctime_sec)) {
		seconds = PEEK(typed, newest, i_ctime_sec);
		ns = PEEK(typed, newest, i_ctime_nsec) & ~I_CTIME_QUERIED;
	} else if (bpf_core_field_exists(newer->__i_ctime)) {
		seconds = PEEK(typed, newer, __i_ctime.tv_sec);
		ns = PEEK(typed, newer, __i_ctime.tv_nsec);
	} else {
		seconds = PEEK(typed, inode, i_ctime.tv_sec);
		ns = PEEK(typed, inode, i_ctime.tv_nsec);
	}
	return seconds <= SECONDS_MAX ? seconds * 1000000000 + ns : RECORD_NO_TIME;
}

static __noinline u64 inode_ctime_untyped(struct inode *inode)
{
	return inode_ctime(false, inode);
}

static __always_inline bool has_layout(u32 which)
{
	volatile struct record_layouts *l = &layouts;

	if (l->known & which)
		return true;
	l->missing |= which;
	return false;
}

static __always_inline u32 btrfs_dev(struct inode *inode)
{
	const volatile struct layout_btrfs *l = &layouts.btrfs;
	u64 root = read_u64((u64)inode - l->inode_vfs + l->inode_root);

	return root ? read_u32(root + l->root_anon_dev) : 0;
}

/* Its list of files in lower layers; 0: there are none. */
static __always_inline u64 overlay_entry(struct file *file, u64 own)
{
	const volatile struct layout_overlay *l = &layouts.overlay;
	u64 entry = l->entry_in_dentry ? (u64)BPF_CORE_READ(file, f_path.dentry, d_fsdata)
				       : read_u64(own + l->inode_entry);

	return entry && read_u32(entry + l->entry_numlower) ? entry : 0;
}

/* The file whose device and inode stat(2) has for an overlay's: that of the lowest layer, if the
 * number has to stay the same when the file is copied up. */
static __always_inline struct inode *overlay_real(struct file *file, u64 own, u32 *ret_fsid)
{
	const volatile struct layout_overlay *l = &layouts.overlay;
	struct dentry *upper = (void *)read_u64(own + l->inode_upper), *lower = NULL;
	u64 flags = read_u64(own + l->inode_flags), entry = overlay_entry(file, own), layer = 0;
	struct inode *inode = NULL;

	if (entry) {
		layer = read_u64(entry + l->entry_lowerstack + l->path_layer);
		lower = (void *)read_u64(entry + l->entry_lowerstack + l->path_dentry);
	}
	if (lower)
		inode = BPF_CORE_READ(lower, d_inode);
	if (inode && (!upper || ((flags >> l->flag_const_ino & 1) &&
				 (BPF_CORE_READ(inode, i_nlink) == 1 || (flags >> l->flag_index & 1))))) {
		*ret_fsid = read_u32(layer + l->layer_fsid);
		return inode;
	}
	*ret_fsid = 0;
	return upper ? BPF_CORE_READ(upper, d_inode) : NULL;
}

static __always_inline u32 overlay_identity(struct file *file, struct inode *inode, u64 *ret_number)
{
	const volatile struct layout_overlay *l = &layouts.overlay;
	struct super_block *sb = BPF_CORE_READ(inode, i_sb);
	u64 fs = (u64)BPF_CORE_READ(sb, s_fs_info), number;
	u32 dev = BPF_CORE_READ(sb, s_dev), fsid = 0;
	struct inode *real = overlay_real(file, (u64)inode - l->inode_vfs, &fsid);
	s32 bits = read_u32(fs + l->fs_xino_mode); /* of the number, for the layer; 0: one file system has all layers */

	if (!real)
		return 0;
	number = BPF_CORE_READ(real, i_ino);
	*ret_number = number;
	if (bits == 0)
		return dev;
	if (bits > 0 && bits < 32 && !(number >> (64 - bits))) {
		*ret_number = number | (u64)fsid << (64 - bits + 1);
		return dev;
	}
	return read_u32(read_u64(fs + l->fs_layers) + fsid * l->sb_size + l->sb_pseudo_dev);
}

#define OVERLAY_UPPER 1ull

/*
 * The inode whose times stat(2) has for an overlay's file (ovl_getattr(), ovl_path_real()); 0: not known. With
 * OVERLAY_UPPER if the upper layer has its data, and not only its attributes (ovl_has_upperdata()).
 */
__noinline u64 overlay_top(u64 exe)
{
	const volatile struct layout_overlay *l = &layouts.overlay;
	struct file *file = (void *)exe;
	u64 own = (u64)BPF_CORE_READ(file, f_inode) - l->inode_vfs, entry = overlay_entry(file, own), top, upper = 0;

	top = read_u64(own + l->inode_upper);
	if (top)
		upper = !entry || read_u64(own + l->inode_flags) >> l->flag_upperdata & 1 ? OVERLAY_UPPER : 0;
	else if (entry)
		top = read_u64(entry + l->entry_lowerstack + l->path_dentry);
	return top ? (u64)BPF_CORE_READ((struct dentry *)top, d_inode) | upper : 0;
}

/* file: of one of the two. Returns its device, 0 if it is not known; or, with `number`, its inode:
 * a function returns one number. */
static __always_inline u64 special(struct file *file, bool number)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	u64 found = BPF_CORE_READ(inode, i_ino);
	u32 dev = 0;

	if (BPF_CORE_READ(inode, i_sb, s_magic) == BTRFS_SUPER_MAGIC) {
		if (has_layout(LAYOUT_BTRFS))
			dev = btrfs_dev(inode);
	} else if (has_layout(LAYOUT_OVERLAY)) {
		dev = overlay_identity(file, inode, &found);
	}
	return number ? found : dev;
}

__noinline u64 special_dev(u64 file)
{
	return special((void *)file, false);
}

__noinline u64 special_inode(u64 file)
{
	return special((void *)file, true);
}

/* file: the program of `task`. */
static __always_inline void identify(bool typed, struct identity *ret, struct task_struct *task, struct file *file)
{
	struct inode *inode = PEEK(typed, file, f_inode);
	struct super_block *sb = PEEK(typed, inode, i_sb);
	unsigned long magic = PEEK(typed, sb, s_magic);
	u64 untyped, top;
	u32 dev;

	ret->inode = PEEK(typed, inode, i_ino);
	ret->dev = PEEK(typed, sb, s_dev);
	ret->ctime = typed ? inode_ctime(true, inode) : inode_ctime_untyped(inode);
	ret->is_superblocks = ret->is_upper = false;
	if (magic != BTRFS_SUPER_MAGIC && magic != OVERLAYFS_SUPER_MAGIC)
		return;
	/* A global function takes scalars only. */
	untyped = typed ? (u64)BPF_CORE_READ(task, mm, exe_file) : (u64)file;
	dev = special_dev(untyped);
	ret->is_superblocks = !dev;
	if (dev) {
		ret->dev = dev;
		ret->inode = special_inode(untyped);
	}
	if (magic == OVERLAYFS_SUPER_MAGIC) {
		top = dev ? overlay_top(untyped) : 0;
		ret->is_upper = top & OVERLAY_UPPER;
		top &= ~OVERLAY_UPPER;
		ret->ctime = top ? inode_ctime_untyped((void *)top) : RECORD_NO_TIME;
	}
}
