/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/btf_check.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/procfs.h"

/* The number of a namespace (namespaces(7)); 0: unknown. */
static uint32_t namespace(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (uint32_t)st.st_ino : 0;
}

/* At the resolution of /proc/PID/stat. */
static bool began_at(uint64_t start)
{
	const struct process self = { .tgid = (uint32_t)getpid(), .start = start };
	_cleanup_(procfs_free_p) struct procfs *procfs = NULL;
	_cleanup_close_ int root = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return root >= 0 && procfs_new(&procfs, root, 0) == 0 && procfs_is_alive(procfs, &self);
}

bool btf_check_is_daemon(const struct record_process *process)
{
	return process->ns_pid == (uint32_t)getpid() && process->pid_ns == namespace("/proc/self/ns/pid");
}

const char *btf_check_differs(const struct record_running *running)
{
	const struct record_process *process = &running->process;
	char comm[RECORD_COMM_SIZE] = "";

	prctl(PR_GET_NAME, comm);
	if (strncmp(process->comm, comm, sizeof(comm)) != 0)
		return "comm";
	if (!began_at(process->start))
		return "start";
	if (process->uid != getuid() || process->gid != getgid() || process->euid != geteuid() ||
	    process->egid != getegid())
		return "user";
	/* Numbers in the initial namespace; in another one its own are others. */
	if (process->tgid == (uint32_t)getpid() && process->sid != (uint32_t)getsid(0))
		return "session";
	if (process->mnt_ns != namespace("/proc/self/ns/mnt"))
		return "mount namespace";
	return running->exe_inode == 0 ? "program" : NULL;
}
