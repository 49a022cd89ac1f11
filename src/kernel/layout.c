/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/layout.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kernel/btf_member.h"
#include "util/cleanup.h"

DEFINE_CLEANUP(struct btf *, btf__free);

static bool offset_of(const struct btf *btf, const char *of, const char *name, __u32 *ret)
{
	int id = btf__find_by_name_kind(btf, of, BTF_KIND_STRUCT);

	return id > 0 && btf_find_member(btf, (__u32)id, name, ret);
}

/* Of one that has another name in newer kernels. */
static bool offset_of_either(const struct btf *btf, const char *of, const char *newer, const char *older, __u32 *ret)
{
	return offset_of(btf, of, newer, ret) || offset_of(btf, of, older, ret);
}

static bool value_of(const struct btf *btf, const char *of, const char *name, __u32 *ret)
{
	int id = btf__find_by_name_kind(btf, of, BTF_KIND_ENUM);
	const struct btf_type *type = id > 0 ? btf__type_by_id(btf, (__u32)id) : NULL;

	for (__u32 i = 0; type && i < btf_vlen(type); i++) {
		const char *its = btf__name_by_offset(btf, btf_enum(type)[i].name_off);

		if (its && strcmp(its, name) == 0) {
			*ret = (__u32)btf_enum(type)[i].val;
			return *ret < 64; /* a bit of ovl_inode.flags */
		}
	}
	return false;
}

static bool find_btrfs(struct layout_btrfs *l, const struct btf *btf)
{
	return offset_of(btf, "btrfs_inode", "vfs_inode", &l->inode_vfs) &&
	       offset_of(btf, "btrfs_inode", "root", &l->inode_root) &&
	       offset_of(btf, "btrfs_root", "anon_dev", &l->root_anon_dev);
}

static bool find_overlay(struct layout_overlay *l, const struct btf *btf)
{
	int sb = btf__find_by_name_kind(btf, "ovl_sb", BTF_KIND_STRUCT);

	if (sb <= 0)
		return false;
	l->sb_size = btf__type_by_id(btf, (__u32)sb)->size;
	/* 0af950f57fef (6.5): ovl_entry moved from the dentry to the inode. 5522c9c7cbd2 (6.5): its
	 * members were renamed. */
	l->entry_in_dentry = !offset_of(btf, "ovl_inode", "oe", &l->inode_entry);
	return offset_of(btf, "ovl_inode", "vfs_inode", &l->inode_vfs) &&
	       offset_of(btf, "ovl_inode", "__upperdentry", &l->inode_upper) &&
	       offset_of(btf, "ovl_inode", "flags", &l->inode_flags) &&
	       offset_of_either(btf, "ovl_entry", "__numlower", "numlower", &l->entry_numlower) &&
	       offset_of_either(btf, "ovl_entry", "__lowerstack", "lowerstack", &l->entry_lowerstack) &&
	       offset_of(btf, "ovl_path", "layer", &l->path_layer) &&
	       offset_of(btf, "ovl_path", "dentry", &l->path_dentry) &&
	       offset_of(btf, "ovl_layer", "fsid", &l->layer_fsid) && offset_of(btf, "ovl_fs", "fs", &l->fs_layers) &&
	       offset_of(btf, "ovl_fs", "xino_mode", &l->fs_xino_mode) &&
	       offset_of(btf, "ovl_sb", "pseudo_dev", &l->sb_pseudo_dev) &&
	       value_of(btf, "ovl_inode_flag", "OVL_CONST_INO", &l->flag_const_ino) &&
	       value_of(btf, "ovl_inode_flag", "OVL_INDEX", &l->flag_index) &&
	       value_of(btf, "ovl_inode_flag", "OVL_UPPERDATA", &l->flag_upperdata);
}

/* Fills in one layout, LAYOUT_BTRFS or LAYOUT_OVERLAY, from these types. False: they lack it. */
static bool find_layout(struct record_layouts *layouts, __u32 which, const struct btf *btf)
{
	bool found = which == LAYOUT_BTRFS ? find_btrfs(&layouts->btrfs, btf) : find_overlay(&layouts->overlay, btf);

	if (found)
		__atomic_fetch_or(&layouts->known, which, __ATOMIC_RELEASE);
	return found;
}

static void look_in_module(struct record_layouts *layouts, __u32 which, const char *module, struct btf *base,
			   __u32 *tried)
{
	_cleanup_(btf__free_p) struct btf *own = NULL, *types = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/sys/kernel/btf/%s", module);
	if (access(path, F_OK) < 0)
		return;
	*tried |= which;
	if (!base)
		base = own = btf__load_vmlinux_btf();
	types = base ? btf__load_module_btf(module, base) : NULL;
	if (types)
		find_layout(layouts, which, types);
}

void layout_look(struct record_layouts *layouts, __u32 wanted, const struct btf *kernel, struct btf *base, __u32 *tried)
{
	static const struct {
		__u32 which;
		const char *module;
	} all[] = { { LAYOUT_BTRFS, "btrfs" }, { LAYOUT_OVERLAY, "overlay" } };

	wanted &= ~(layouts->known | *tried);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (!(wanted & all[i].which) || (kernel && find_layout(layouts, all[i].which, kernel)))
			continue;
		look_in_module(layouts, all[i].which, all[i].module, base, tried);
	}
}
