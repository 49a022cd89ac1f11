/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The probes send the whole environment, since matching names is not for the verifier. What is not
 * configured is dropped here, before anything is stored. The chosen variables are put together in
 * one buffer, which only grows.
 */
#include "model/environment.h"

#include <errno.h>

#include "util/bytebuf.h"
#include "util/glob.h"

#define NAME_STEPS 8 /* of a name and a glob, whatever their size */

struct environment {
	struct glob **names;
	size_t count;
	struct bytebuf chosen;
};

int environment_new(struct environment **ret, const char *const *names, const char **ret_reason)
{
	_cleanup_(environment_free_p) struct environment *environment = calloc(1, sizeof(*environment));
	size_t count = 0;
	int r;

	if (!environment)
		return -ENOMEM;
	while (names && names[count])
		count++;
	environment->names = calloc(count ? count : 1, sizeof(*environment->names));
	if (!environment->names)
		return -ENOMEM;
	for (; environment->count < count; environment->count++) {
		r = glob_new(&environment->names[environment->count], bytes_of(names[environment->count]), ret_reason);
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(environment);
	return 0;
}

struct environment *environment_free(struct environment *environment)
{
	if (!environment)
		return NULL;
	for (size_t i = 0; i < environment->count; i++)
		glob_free(environment->names[i]);
	free(environment->names);
	bytebuf_free(&environment->chosen);
	free(environment);
	return NULL;
}

/* False also where the steps end (glob.h). */
static bool is_wanted(const struct environment *environment, struct bytes name, int64_t *steps)
{
	for (size_t i = 0; *steps > 0 && i < environment->count; i++) {
		struct glob_place place = {};

		*steps -= NAME_STEPS;
		if (glob_search(environment->names[i], name, &place, steps) == GLOB_YES)
			return true;
	}
	return false;
}

int environment_choose(struct environment *environment, struct bytes block, struct bytes *ret)
{
	struct bytebuf *chosen = &environment->chosen;
	int64_t steps = ENVIRONMENT_STEPS_MAX;
	const char *end;
	int r;

	if (environment->count == 0) {
		*ret = BYTES_NONE;
		return 0;
	}
	chosen->size = 0;
	r = bytebuf_reserve(chosen, block.size);
	if (r < 0)
		return r;
	for (size_t at = 0; at < block.size; at = (size_t)(end - block.data) + 1) {
		const char *entry = block.data + at, *equals;
		size_t size;

		end = memchr(entry, '\0', block.size - at);
		if (!end)
			break;
		size = (size_t)(end - entry);
		equals = memchr(entry, '=', size);
		if (!equals || !is_wanted(environment, (struct bytes){ entry, (size_t)(equals - entry) }, &steps)) {
			if (steps <= 0)
				return -E2BIG;
			continue;
		}
		bytebuf_put(chosen, entry, size + 1);
	}
	*ret = chosen->size ? (struct bytes){ chosen->data, chosen->size } : BYTES_NONE;
	return 0;
}
