/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/names.h"

#include <errno.h>
#include <string.h>

struct name {
	uint32_t id, at, size; /* in text */
};

struct names {
	size_t count;
	struct name *names; /* by id, then by place */
	char *text;
};

static bool parse_id(struct bytes text, uint32_t *ret)
{
	uint64_t id = 0;

	if (text.size == 0 || text.size > 10)
		return false;
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		id = id * 10 + (uint64_t)(text.data[i] - '0');
	}
	*ret = (uint32_t)id;
	return id < UINT32_MAX;
}

/* NAME:PASSWORD:ID, then what differs between the two files. */
static bool parse_line(struct bytes line, struct bytes *ret_name, uint32_t *ret_id)
{
	struct bytes fields[3];

	for (size_t i = 0; i < 3; i++) {
		const char *colon = line.size > 0 ? memchr(line.data, ':', line.size) : NULL;

		if (!colon)
			return false;
		fields[i] = (struct bytes){ line.data, (size_t)(colon - line.data) };
		line = (struct bytes){ colon + 1, line.size - fields[i].size - 1 };
	}
	*ret_name = fields[0];
	/* A comment; and '+' and '-' include other services, nsswitch.conf(5), "compat". */
	return fields[0].size > 0 && !strchr("#+-", fields[0].data[0]) && parse_id(fields[2], ret_id);
}

static int compare(const void *a, const void *b)
{
	const struct name *left = a, *right = b;

	if (left->id != right->id)
		return left->id < right->id ? -1 : 1;
	return left->at < right->at ? -1 : 1;
}

/* names: room for one for each line, up to NAMES_MAX; text: for all of them. */
static size_t parse(struct bytes text, struct name *names, char *copy)
{
	size_t count = 0, used = 0;

	while (text.size > 0 && count < NAMES_MAX) {
		const char *end = memchr(text.data, '\n', text.size);
		struct bytes line, name;
		uint32_t id;

		if (!end)
			break;
		line = (struct bytes){ text.data, (size_t)(end - text.data) };
		text = (struct bytes){ end + 1, text.size - line.size - 1 };
		if (!parse_line(line, &name, &id))
			continue;
		memcpy(copy + used, name.data, name.size);
		names[count++] = (struct name){ .id = id, .at = (uint32_t)used, .size = (uint32_t)name.size };
		used += name.size;
	}
	return count;
}

static size_t count_lines(struct bytes text)
{
	size_t lines = 0;

	for (size_t i = 0; i < text.size; i++)
		lines += text.data[i] == '\n';
	return lines;
}

int names_new(struct names **ret, struct bytes text)
{
	_cleanup_(names_free_p) struct names *names = calloc(1, sizeof(*names));
	size_t lines = count_lines(text);

	ASSERT(text.size < UINT32_MAX);
	if (!names)
		return -ENOMEM;
	names->names = calloc(lines < NAMES_MAX ? lines + 1 : NAMES_MAX, sizeof(*names->names));
	names->text = malloc(text.size + 1);
	if (!names->names || !names->text)
		return -ENOMEM;
	names->count = parse(text, names->names, names->text);
	qsort(names->names, names->count, sizeof(*names->names), compare);
	*ret = TAKE_PTR(names);
	return 0;
}

struct names *names_free(struct names *names)
{
	if (!names)
		return NULL;
	free(names->names);
	free(names->text);
	free(names);
	return NULL;
}

struct bytes names_find(const struct names *names, uint32_t id)
{
	size_t from = 0, to = names ? names->count : 0, end = to;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (names->names[middle].id < id)
			from = middle + 1;
		else
			to = middle;
	}
	if (from == end || names->names[from].id != id)
		return BYTES_NONE;
	return (struct bytes){ names->text + names->names[from].at, names->names[from].size };
}
