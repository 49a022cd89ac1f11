/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/nulstr.h"

#include <string.h>

bool nulstr_next(struct bytes list, size_t *at, struct bytes *ret)
{
	const char *begin, *end;

	if (*at >= list.size)
		return false;
	begin = list.data + *at;
	end = memchr(begin, '\0', list.size - *at);
	*ret = (struct bytes){ begin, end ? (size_t)(end - begin) : list.size - *at };
	*at += ret->size + (end != NULL);
	return true;
}

size_t nulstr_cut(struct bytes list, size_t limit)
{
	const char *end;

	if (limit >= list.size)
		limit = list.size;
	if (limit == 0)
		return 0;
	end = memrchr(list.data, '\0', limit);
	return end ? (size_t)(end - list.data) + 1 : 0;
}
