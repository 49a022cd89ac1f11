/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/hierarchy.h"

/* The one with systemd's units. */
#define SYSTEMD "name=systemd"

/* First those that container runtimes always use. */
static const char *const order[] = {
	"memory", "pids",    "cpu",	 "cpuacct",    "cpuset",  "devices", "freezer",
	"blkio",  "net_cls", "net_prio", "perf_event", "hugetlb", "rdma",    "misc",
};

/* A line is "ID:CONTROLLER,...:PATH". The kernel allows no newline in the path. */
struct line {
	struct bytes id, controllers, path;
};

/* Removes what is before the next `at` from *rest, and `at` itself. */
static bool split(struct bytes *rest, char at, struct bytes *ret)
{
	const char *end = rest->size ? memchr(rest->data, at, rest->size) : NULL;

	if (!end)
		return false;
	*ret = (struct bytes){ rest->data, (size_t)(end - rest->data) };
	*rest = (struct bytes){ end + 1, rest->size - ret->size - 1 };
	return true;
}

static bool line_next(struct bytes *text, struct line *ret)
{
	while (text->size > 0) {
		struct bytes line;

		if (!split(text, '\n', &line)) {
			line = *text;
			*text = BYTES_NONE;
		}
		if (!split(&line, ':', &ret->id) || !split(&line, ':', &ret->controllers))
			continue;
		if (line.size == 0 || line.data[0] != '/')
			continue;
		ret->path = line;
		return true;
	}
	return false;
}

static bool has_controller(struct bytes controllers, const char *name)
{
	struct bytes one, wanted = bytes_of(name);

	while (split(&controllers, ',', &one))
		if (bytes_equal(one, wanted))
			return true;
	return bytes_equal(controllers, wanted);
}

/* The line of v1's hierarchy that has this controller. */
static bool line_of(struct bytes text, const char *controller, struct line *ret)
{
	while (line_next(&text, ret))
		if (has_controller(ret->controllers, controller))
			return true;
	return false;
}

static bool is_root(struct bytes path)
{
	return path.size == 1;
}

struct bytes hierarchy_path(struct bytes text)
{
	struct bytes rest = text, path = BYTES_NONE;
	struct line line;

	while (!path.data && line_next(&rest, &line))
		if (bytes_equal(line.id, BYTES("0")) && line.controllers.size == 0)
			path = line.path;
	if (path.data && !is_root(path))
		return path;
	if (line_of(text, SYSTEMD, &line))
		return line.path;
	for (size_t i = 0; (!path.data || is_root(path)) && i < sizeof(order) / sizeof(order[0]); i++)
		if (line_of(text, order[i], &line) && (!path.data || !is_root(line.path)))
			path = line.path;
	return path;
}

static uint32_t number(struct bytes digits)
{
	uint32_t n = 0;

	for (size_t i = 0; i < digits.size; i++) {
		if (digits.data[i] < '0' || digits.data[i] > '9' || n > UINT32_MAX / 10 - 1)
			return 0;
		n = 10 * n + (uint32_t)(digits.data[i] - '0');
	}
	return n;
}

size_t hierarchy_ids(struct bytes text, uint32_t *ret, size_t max)
{
	struct line line;
	size_t n = 0;

	if (max > 0 && line_of(text, SYSTEMD, &line)) {
		ret[0] = number(line.id);
		return ret[0] != 0;
	}
	for (size_t i = 0; n < max && i < sizeof(order) / sizeof(order[0]); i++) {
		uint32_t id = line_of(text, order[i], &line) ? number(line.id) : 0;
		bool known = id == 0;

		for (size_t j = 0; j < n; j++)
			known = known || ret[j] == id; /* "cpu,cpuacct" */
		if (!known)
			ret[n++] = id;
	}
	return n;
}
