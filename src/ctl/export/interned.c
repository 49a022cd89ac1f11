/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/export/interned.h"

#include <errno.h>
#include <stdlib.h>

#include "util/hash.h"

static size_t *place_of(const struct interned *interned, struct bytes string)
{
	size_t i = bytes_hash(string) & (interned->size - 1);

	while (interned->places[i] > 0) {
		struct bytes other = interned->strings[interned->places[i] - 1];

		if (other.size == string.size &&
		    (string.size == 0 || memcmp(other.data, string.data, string.size) == 0))
			break;
		i = (i + 1) & (interned->size - 1);
	}
	return &interned->places[i];
}

static int grow(struct interned *interned)
{
	size_t size = interned->size ? 2 * interned->size : 256;
	struct bytes *strings = reallocarray(interned->strings, size, sizeof(*strings));
	size_t *places;

	if (!strings)
		return -ENOMEM;
	interned->strings = strings;
	places = calloc(size, sizeof(*places));
	if (!places)
		return -ENOMEM;
	free(interned->places);
	interned->places = places;
	interned->size = size;
	for (size_t i = 0; i < interned->count; i++)
		*place_of(interned, strings[i]) = i + 1;
	return 0;
}

int interned_add(struct interned *interned, struct bytes string, size_t *ret)
{
	size_t *place;

	if (2 * (interned->count + 1) > interned->size && grow(interned) < 0)
		return -ENOMEM;
	place = place_of(interned, string);
	if (*place == 0) {
		interned->strings[interned->count++] = string;
		*place = interned->count;
	}
	*ret = *place - 1;
	return 0;
}

void interned_free(struct interned *interned)
{
	free(interned->strings);
	free(interned->places);
	*interned = (struct interned){ 0 };
}
