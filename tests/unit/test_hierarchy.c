/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Texts of /proc/PID/cgroup, as machines with cgroup v1, v2 and both have them. */
#include "model/hierarchy.h"
#include "tap.h"

static void check_path(const char *text, const char *expected)
{
	struct bytes path = hierarchy_path(bytes_of(text));

	CHECK(bytes_equal(path, bytes_of(expected)));
}

TEST(hierarchy_of_controllers_is_used_without_systemd)
{
	check_path("0::/v2\n4:memory:/docker/x\n", "/v2");
	check_path("0::/\n4:memory:/docker/x\n", "/docker/x");
	check_path("4:memory:/docker/x\n", "/docker/x");
	check_path("9:pids:/pids\n4:memory:/memory\n1:name=systemd:/systemd\n", "/systemd");
	check_path("9:pids:/pids\n4:memory:/memory\n1:name=systemd:/\n", "/");
	check_path("9:pids:/pids\n4:memory:/memory\n", "/memory");
	check_path("9:pids:/pids\n4:memory:/\n", "/pids");
	check_path("3:cpu,cpuacct:/both\n4:memory:/\n0::/\n", "/both");
	check_path("3:net_cls,cpuacct:/last\n", "/last");
	check_path("3:cpu,cpuacct:/\n4:memory:/\n", "/");
	check_path("3:cpuish:/x\n5:xcpu:/x\n6::/x\n7:,:/x\n", NULL);
	check_path("2:name=other:/x\n", NULL);
}

TEST(hierarchy_ids_are_ordered_like_proc)
{
	const char *text = "12:pids:/\n9:name=other:/\n8:memory:/\n5:cpu,cpuacct:/\n3:freezer:/\n0::/\n";
	uint32_t ids[4] = { 0 };

	CHECK_INT(hierarchy_ids(bytes_of(text), ids, 4), 4);
	CHECK(ids[0] == 8 && ids[1] == 12 && ids[2] == 5 && ids[3] == 3);
	CHECK_INT(hierarchy_ids(bytes_of("8:memory:/\n9:name=systemd:/\n0::/\n"), ids, 4), 1);
	CHECK_INT(ids[0], 9);
	CHECK_INT(hierarchy_ids(bytes_of(text), ids, 1), 1);
	CHECK_INT(hierarchy_ids(bytes_of("3:cpu,cpuacct:/\n7:freezer:/a"), ids, 4), 2);
	CHECK(ids[0] == 3 && ids[1] == 7);
	CHECK_INT(hierarchy_ids(bytes_of("0::/\n"), ids, 4), 0);
	CHECK_INT(hierarchy_ids(bytes_of("x:cpu:/\n99999999999:pids:/\n:memory:/\n"), ids, 4), 0);
	CHECK_INT(hierarchy_ids(BYTES_NONE, ids, 4), 0);
}

TAP_MAIN
