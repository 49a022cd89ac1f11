/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An input of several parts, with lines of "%%" between them. */
#pragma once

#include <string.h>

#include "util/bytes.h"

static inline bool next_part(struct bytes *rest, struct bytes *ret)
{
	const char *end;

	if (!rest->data)
		return false;
	end = memmem(rest->data, rest->size, "\n%%\n", 4);
	*ret = *rest;
	if (end) {
		ret->size = (size_t)(end - rest->data);
		*rest = (struct bytes){ end + 4, rest->size - ret->size - 4 };
	} else {
		*rest = BYTES_NONE;
	}
	return true;
}
