/* SPDX-License-Identifier: GPL-2.0-only */
/* What runs already. */
#ifndef EXECSNOOP_LIST_BPF_H
#define EXECSNOOP_LIST_BPF_H

#include "life.bpf.h"

/* Every process that is alive: those whose last thread is gone have had their exit already, zombies too. False: it is none. */
static __always_inline bool running_fill(struct record_running *running, struct task_struct *task)
{
	struct inode *inode;
	u32 dev;

	if (BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid))
		return false;
	if (BPF_CORE_READ(task, signal, live.counter) == 0)
		return false;
	process_fill(false, &running->process, task);
	/* By another way than /proc/PID/exe: stat(2) gives another device where a file system has several (overlayfs, btrfs),
	 * and this is to be what probe_exec says. */
	inode = BPF_CORE_READ(task, mm, exe_file, f_inode);
	if (inode) {
		dev = BPF_CORE_READ(inode, i_sb, s_dev);
		running->exe_inode = BPF_CORE_READ(inode, i_ino);
		running->exe_dev_major = DEV_MAJOR(dev);
		running->exe_dev_minor = DEV_MINOR(dev);
	}
	return true;
}

#endif
