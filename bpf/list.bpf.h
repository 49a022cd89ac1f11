/* SPDX-License-Identifier: GPL-2.0-only */
/* What runs already. */
#ifndef EXECSNOOP_LIST_BPF_H
#define EXECSNOOP_LIST_BPF_H

#include "life.bpf.h"

/* From before the exec until its tracepoint has been passed (fs/exec.c, bprm_execve()). */
static __always_inline bool is_execing(struct task_struct *task)
{
	return bpf_core_field_exists(task->in_execve) && BPF_CORE_READ_BITFIELD_PROBED(task, in_execve);
}

/*
 * begin_new_exec() gives the task its new memory and counts self_exec_id up; the loader maps the program into that memory after
 * that, which takes its time, and says last where the code is (fs/binfmt_elf.c, load_elf_binary()). Until then the exec has
 * not happened: what runs is the last one's.
 */
static __always_inline bool is_half_way(struct task_struct *task)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);

	return mm && !BPF_CORE_READ(mm, start_code) && !BPF_CORE_READ(mm, end_code);
}

/*
 * Every process that is alive, or ending: do_exit() counts the last thread out first, passes the tracepoint some time later, and then makes it
 * a zombie (kernel/exit.c, exit_notify()), which has its record behind it. False: it is none.
 */
static __always_inline bool running_fill(struct record_running *running, struct task_struct *task)
{
	struct identity identity;
	struct file *file;
	bool execing;

	if (BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid))
		return false;
	if (BPF_CORE_READ(task, signal, live.counter) == 0) {
		if (BPF_CORE_READ(task, exit_state))
			return false;
		running->flags |= RUNNING_F_ENDING;
	}
	execing = is_execing(task);
	process_fill(false, &running->process, task);
	if (running->process.exec_id && is_half_way(task))
		running->process.exec_id--;
	/* Looked at before and after: it may have begun or ended between. */
	if (execing || is_execing(task))
		running->flags |= RUNNING_F_EXECING;
	file = BPF_CORE_READ(task, mm, exe_file);
	if (file) {
		identify(false, &identity, task, file);
		running->exe_inode = identity.inode;
		running->exe_dev_major = DEV_MAJOR(identity.dev);
		running->exe_dev_minor = DEV_MINOR(identity.dev);
		if (identity.is_superblocks)
			running->flags |= RUNNING_F_EXE_DEV;
	}
	return true;
}

#endif
