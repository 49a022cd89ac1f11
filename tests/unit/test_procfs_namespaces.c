/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/procfs_namespaces.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "tap.h"
#include "util/cleanup.h"

/* stat(2) follows the link; 0: the kernel has no such namespaces. */
static uint32_t number_of(const char *name)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	return stat(path, &st) == 0 ? (uint32_t)st.st_ino : 0;
}

TEST(namespaces_have_the_numbers_of_their_files)
{
	_cleanup_close_ int dir = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct process p = { .tgid = 1 };

	procfs_read_namespaces(dir, &p);
	CHECK_INT(p.pid_ns, number_of("pid"));
	CHECK_INT(p.mnt_ns, number_of("mnt"));
	CHECK_INT(p.net_ns, number_of("net"));
	CHECK_INT(p.user_ns, number_of("user"));
	CHECK_INT(p.uts_ns, number_of("uts"));
	CHECK_INT(p.ipc_ns, number_of("ipc"));
	CHECK_INT(p.cgroup_ns, number_of("cgroup"));
	CHECK_INT(p.time_ns, number_of("time"));
	CHECK(p.mnt_ns != 0);
}

TEST(namespaces_that_cannot_be_read_are_unknown)
{
	_cleanup_close_ int dir = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct process p = { .tgid = 1 };

	procfs_read_namespaces(dir, &p);
	CHECK_INT(p.pid_ns, 0);
	CHECK_INT(p.net_ns, 0);
}

TAP_MAIN
