/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A path of any bytes. Checked beyond "does not crash": a unit is a piece of the path between two slashes and its name
 * has a type; an id is such a piece or is in the buffer; what is below a unit that is no user manager changes
 * nothing; a container below any path is the innermost.
 */
#include <stdint.h>

#include "model/cgroup.h"
#include "util/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_piece(struct bytes path, struct bytes piece)
{
	ASSERT(piece.data >= path.data && piece.size <= (size_t)(path.data + path.size - piece.data));
	ASSERT(!memchr(piece.data, '/', piece.size));
	ASSERT(piece.data + piece.size == path.data + path.size || piece.data[piece.size] == '/');
}

static void check_unit(struct bytes path)
{
	_cleanup_free_ char *below = malloc(path.size + 20);
	struct bytes unit = cgroup_unit(path), again;

	if (!unit.data || !below)
		return;
	check_piece(path, unit);
	ASSERT(unit.size >= 3 && unit.size < CGROUP_NAME_SIZE);
	ASSERT(memchr(unit.data, '.', unit.size) && !memchr(unit.data, '\0', unit.size));
	if (unit.size > 6 && memcmp(unit.data + unit.size - 6, ".slice", 6) == 0)
		return;
	if (memmem(path.data, path.size, "user@", 5) || memmem(path.data, path.size, "capsule@", 8))
		return;
	memcpy(below, path.data, path.size);
	memcpy(below + path.size, "/a.slice/b.service", 18);
	again = cgroup_unit((struct bytes){ below, path.size + 18 });
	ASSERT(bytes_equal(unit, again));
}

static void check_container(struct bytes path)
{
	static const char id[] = "/lxc.payload.inner";
	_cleanup_free_ char *below = malloc(path.size + sizeof(id));
	char buffer[CGROUP_NAME_SIZE];
	struct bytes found = cgroup_container_id(path, buffer);

	if (found.data == buffer) {
		ASSERT(found.size > 0 && found.size <= sizeof(buffer));
		ASSERT(memmem(path.data, path.size, "\\x", 2));
	} else if (found.data) {
		ASSERT(found.size > 0 && !memchr(found.data, '/', found.size));
		ASSERT(found.data >= path.data && found.size <= (size_t)(path.data + path.size - found.data));
	}
	if (!below)
		return;
	if (path.size > 0)
		memcpy(below, path.data, path.size);
	memcpy(below + path.size, id, sizeof(id));
	found = cgroup_container_id((struct bytes){ below, path.size + sizeof(id) - 1 }, buffer);
	ASSERT(bytes_equal(found, BYTES("inner")));
}

static void check_pod(struct bytes path)
{
	char buffer[CGROUP_POD_SIZE];
	struct bytes found = cgroup_pod_uid(path, buffer);

	ASSERT(!found.data || found.size == 32 || found.size == 36);
	for (size_t i = 0; i < found.size; i++)
		ASSERT(strchr("0123456789abcdef-", found.data[i]) && found.data[i] != '\0');
	if (found.data && found.data != buffer)
		ASSERT(found.data >= path.data && found.size <= (size_t)(path.data + path.size - found.data));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes path = { (const char *)data, size };

	check_unit(path);
	check_container(path);
	check_pod(path);
	return 0;
}
