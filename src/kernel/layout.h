/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Offsets of the members by which btrfs and overlayfs compute the device that stat(2) returns, for
 * the probes (bpf/identity.bpf.h): from the kernel's type information, or that of their modules,
 * which have some since 5.11 and may be loaded at any time.
 */
#pragma once

#include <linux/types.h>

#include "record.h"

struct btf;

/*
 * What is wanted (LAYOUT_x bits) and not known yet, out of `kernel` (NULL: it has been searched) or
 * of modules. base: the types that those of modules build on, which are the kernel's own and not
 * those of a file; NULL: loaded if need be. *tried: what was looked for in a module, and is not
 * again. To look for a module that is not loaded costs a system call.
 */
void layout_look(struct record_layouts *layouts, __u32 wanted, const struct btf *kernel, struct btf *base,
		 __u32 *tried);
