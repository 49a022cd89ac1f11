/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/btf_member.h"

#include <string.h>

const struct btf_type *btf_resolve(const struct btf *btf, __u32 id)
{
	const struct btf_type *type = btf__type_by_id(btf, id);

	while (type && (btf_is_mod(type) || btf_is_typedef(type)))
		type = btf__type_by_id(btf, type->type);
	return type;
}

const struct btf_member *btf_find_member(const struct btf *btf, __u32 id, const char *name, __u32 *ret_offset)
{
	const struct btf_type *type = btf_resolve(btf, id);

	if (!type || !btf_is_composite(type))
		return NULL;
	for (__u32 i = 0; i < btf_vlen(type); i++) {
		const struct btf_member *member = &btf_members(type)[i], *found = NULL;
		const char *its = btf__name_by_offset(btf, member->name_off);
		__u32 within = 0;

		if (its && strcmp(its, name) == 0)
			found = member;
		else if (its && !its[0])
			found = btf_find_member(btf, member->type, name, &within);
		if (found) {
			*ret_offset = btf_member_bit_offset(type, i) / 8 + within;
			return found;
		}
	}
	return NULL;
}
