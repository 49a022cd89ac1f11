/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Members of types, by name. */
#pragma once

#include <bpf/btf.h>

/* Without typedefs and qualifiers; NULL: there is no such type. */
const struct btf_type *btf_resolve(const struct btf *btf, __u32 id);

/* Of a struct or union, also within its members that have no name. *ret_offset: in bytes from its
 * beginning. NULL: there is none. */
const struct btf_member *btf_find_member(const struct btf *btf, __u32 id, const char *name, __u32 *ret_offset);
