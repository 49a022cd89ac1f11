// SPDX-License-Identifier: GPL-2.0-only
/* Fork, exec and exit, and the iterator over what runs already. */
#include "life.bpf.h"

/* Every process that is alive: those whose last thread is gone have had their exit already, zombies too. */
SEC("iter/task")
int iterate(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct record_running running = {};
	struct inode *inode;
	u32 dev;

	if (!task || BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid))
		return 0;
	if (BPF_CORE_READ(task, signal, live.counter) == 0)
		return 0;
	process_fill(false, &running.process, task);
	/* By another way than /proc/PID/exe: stat(2) gives another device where a file system has several (overlayfs, btrfs),
	 * and this is to be what probe_exec says. */
	inode = BPF_CORE_READ(task, mm, exe_file, f_inode);
	if (inode) {
		dev = BPF_CORE_READ(inode, i_sb, s_dev);
		running.exe_inode = BPF_CORE_READ(inode, i_ino);
		running.exe_dev_major = DEV_MAJOR(dev);
		running.exe_dev_minor = DEV_MINOR(dev);
	}
	bpf_seq_write(ctx->meta->seq, &running, sizeof(running));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
