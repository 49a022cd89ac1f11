/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process of which everything is known. */
#ifndef EXECSNOOP_TESTS_WHOLE_PROCESS_H
#define EXECSNOOP_TESTS_WHOLE_PROCESS_H

#include "model/process.h"

static inline struct process whole_process(void)
{
	return (struct process){
		.tgid = 22022,
		.start = 0xabc,
		.start_time = UINT64_C(1509722216890551865),
		.ppid = 15785,
		.parent_start = 0x123,
		.uid = 1000,
		.gid = 1001,
		.euid = 0,
		.egid = 1002,
		.caps = 0x1ffffffffff,
		.ids_known = true,
		.loginuid = 1003,
		.session_id = 3,
		.sid = 15785,
		.pgid = 22021,
		.tty_major = 136,
		.tty_minor = 3,
		.pid_ns = 4026531836,
		.mnt_ns = 4026531841,
		.net_ns = 1,
		.user_ns = 2,
		.uts_ns = 3,
		.ipc_ns = 4,
		.cgroup_ns = 5,
		.time_ns = UINT32_MAX,
		.ns_pid = 12,
		.session_start = 0x77,
		.kernel_thread = true,
		.comm = BYTES("curl"),
		.parent_comm = BYTES("bash"),
		.ancestors = BYTES("bash\0systemd\0"),
		.image = {
			.exe = BYTES("/usr/bin/curl"),
			.filename = BYTES("curl"),
			.args = BYTES("curl\0-O\0"),
			.argc = 17,
			.args_size = 4711,
			.args_truncated = true,
			.exe_deleted = true,
			.exe_memfd = true,
			.exe_upper = true,
			.exe_ctime = 7,
			.exe_ctime_known = true,
			.secureexec = true,
			.exe_inode = UINT64_MAX,
			.exe_dev_major = 259,
			.exe_dev_minor = UINT32_MAX,
			.cwd = BYTES("/root"),
			.cgroup = BYTES("/a/b.service"),
			.unit = BYTES("b.service"),
			.container_id = BYTES("c0ffee"),
			.pod_uid = BYTES("7ea"),
			.env = BYTES("LANG=C\0"),
		},
	};
}

#endif
