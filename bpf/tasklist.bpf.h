/* SPDX-License-Identifier: GPL-2.0-only */
/* The processes that run already. */
#pragma once

#include "lifecycle.bpf.h"

/* From before the exec until it has passed its tracepoint (fs/exec.c, bprm_execve()). */
static __always_inline bool is_execing(struct task_struct *task)
{
	return bpf_core_field_exists(task->in_execve) && BPF_CORE_READ_BITFIELD_PROBED(task, in_execve);
}

/*
 * begin_new_exec() gives the task its new memory and increments self_exec_id. After that the loader
 * maps the program into the memory, which takes a while, and last sets where the code is
 * (fs/binfmt_elf.c, load_elf_binary()). Until then the exec has not happened: the task's image is
 * that of the exec before.
 */
static __always_inline bool is_half_way(struct task_struct *task)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);

	return mm && !BPF_CORE_READ(mm, start_code) && !BPF_CORE_READ(mm, end_code);
}

#define LIVING_STEPS 64

/*
 * A leader that has ended (pthread_exit() in main()) is a zombie without memory, folders and
 * namespaces until the last thread ends (kernel/exit.c, exit_mm(), exit_fs(),
 * exit_task_namespaces()). The other threads have them. Those of them that have ended leave the
 * list at once, unless they are traced, so the first steps find one that lives. 0: none.
 */
__noinline u64 living_thread(u64 leader)
{
	struct task_struct *task = (void *)leader;
	struct list_head *node;

	for (int i = 0; i < LIVING_STEPS; i++) {
		node = BPF_CORE_READ(task, thread_node.next);
		/* The list's head is in signal_struct. */
		if (!node || node == &BPF_CORE_READ((struct task_struct *)leader, signal)->thread_head)
			return 0;
		task = container_of(node, struct task_struct, thread_node);
		if (BPF_CORE_READ(task, mm))
			return (u64)task;
	}
	return 0;
}

/* Bytes of the last component of the path that d_path() makes of this; 0 where that is the name of
 * a mount point. */
static __always_inline u32 name_size(struct vfsmount *mnt, struct dentry *dentry)
{
	return dentry == BPF_CORE_READ(mnt, mnt_root) ? 0 : BPF_CORE_READ(dentry, d_name.len);
}

static __always_inline void running_exe(struct record_running *running, struct task_struct *task, struct file *file)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct vfsmount *mnt = BPF_CORE_READ(file, f_path.mnt);
	struct identity identity;

	identify(false, &identity, task, file);
	running->exe_inode = identity.inode;
	running->exe_ctime = identity.ctime;
	running->exe_dev_major = DEV_MAJOR(identity.dev);
	running->exe_dev_minor = DEV_MINOR(identity.dev);
	if (identity.is_superblocks)
		running->flags |= RUNNING_F_EXE_DEV;
	if (identity.is_upper)
		running->flags |= RUNNING_F_EXE_UPPER;
	if (dentry == BPF_CORE_READ(dentry, d_parent) && dentry != BPF_CORE_READ(mnt, mnt_root))
		running->flags |= RUNNING_F_EXE_ANON; /* as exec_exe() has it */
	else if (is_unlinked(false, dentry))
		running->flags |= RUNNING_F_EXE_DELETED;
	running->exe_name = name_size(mnt, dentry);
}

static __always_inline void running_cwd(struct record_running *running, struct fs_struct *fs)
{
	struct dentry *dentry = BPF_CORE_READ(fs, pwd.dentry);

	if (is_unlinked(false, dentry))
		running->flags |= RUNNING_F_CWD_DELETED;
	running->cwd_name = name_size(BPF_CORE_READ(fs, pwd.mnt), dentry);
}

/* A hint: that may change a moment later. */
static __always_inline bool is_locked(struct mm_struct *mm)
{
	return bpf_core_field_exists(mm->mmap_lock.count.counter) &&
	       BPF_CORE_READ(mm, mmap_lock.count.counter) & (RWSEM_WRITER_LOCKED | RWSEM_FLAG_WAITERS);
}

/*
 * A process that is alive, or ending: do_exit() first decrements signal->live, passes the
 * tracepoint some time later, and then makes the task a zombie (kernel/exit.c, exit_notify()),
 * whose record was sent before. False: `task` is none of these.
 */
static __always_inline bool running_fill(struct record_running *running, struct task_struct *task)
{
	struct task_struct *living;
	struct mm_struct *mm;
	struct file *file;
	bool execing;

	if (BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid))
		return false;
	if (BPF_CORE_READ(task, signal, live.counter) == 0) {
		if (BPF_CORE_READ(task, exit_state))
			return false;
		running->flags |= RUNNING_F_ENDING;
	}
	if (!BPF_CORE_READ(task, mm) && !(BPF_CORE_READ(task, flags) & PF_KTHREAD)) {
		/* As a number: a global function takes no pointer to a task. */
		living = (void *)living_thread((u64)BPF_CORE_READ(task, group_leader));
		task = living ?: task;
	}
	execing = is_execing(task);
	process_fill(false, &running->process, task);
	if (running->process.exec_id && is_half_way(task))
		running->process.exec_id--;
	/* Read before and after: it may have begun or ended in between. */
	if (execing || is_execing(task))
		running->flags |= RUNNING_F_EXECING;
	mm = BPF_CORE_READ(task, mm);
	if (!mm)
		return true;
	file = BPF_CORE_READ(mm, exe_file);
	if (file)
		running_exe(running, task, file);
	running_cwd(running, BPF_CORE_READ(task, fs));
	if (is_locked(mm))
		running->flags |= RUNNING_F_MM_LOCKED;
	return true;
}
