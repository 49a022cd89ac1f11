/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <grp.h>
#include <stdlib.h>

#include "settings/settings.h"

#define GROUP_MAX (1 << 20) /* bytes of a group's entry, with the names of its members */

static int find_group(const char *name, gid_t *ret)
{
	struct group group, *found = NULL;
	int r = ERANGE;

	for (size_t size = 4096; r == ERANGE && size <= GROUP_MAX; size *= 2) {
		_cleanup_free_ char *members = malloc(size);

		if (!members)
			return -ENOMEM;
		r = getgrnam_r(name, &group, members, size, &found);
	}
	if (r != 0 || !found)
		return r != 0 && r != ENOENT ? -r : -ESRCH;
	*ret = group.gr_gid;
	return 0;
}

void settings_find_group(struct settings *settings)
{
	settings->socket.gid = (gid_t)-1;
	settings->socket.group_error =
		settings->socket.group ? find_group(settings->socket.group, &settings->socket.gid) : 0;
}
