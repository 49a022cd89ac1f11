/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kernel knows of a process: the same reading for every probe and for the iterator. */
#ifndef EXECSNOOP_TASK_BPF_H
#define EXECSNOOP_TASK_BPF_H

#include "kernel.h"
#include "record.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* The number of `pid` in the namespace `level` deep; pid->numbers is as long as the namespaces are nested. */
static __always_inline void pid_number(struct pid *pid, u32 level, u32 *ret_nr, struct pid_namespace **ret_ns)
{
	struct upid *upid = (void *)pid + bpf_core_field_offset(pid->numbers) + level * bpf_core_type_size(struct upid);

	*ret_nr = BPF_CORE_READ(upid, nr);
	if (ret_ns)
		*ret_ns = BPF_CORE_READ(upid, ns);
}

static __always_inline u32 pid_global(struct pid *pid)
{
	u32 nr = 0;

	if (pid)
		pid_number(pid, 0, &nr, NULL);
	return nr;
}

/* A fork sets PF_FORKNOEXEC and an exec clears it, for the thread that becomes the leader. */
static __always_inline u64 process_flags(struct task_struct *leader)
{
	u32 flags = BPF_CORE_READ(leader, flags);

	return (flags & PF_KTHREAD ? PROCESS_F_KTHREAD : 0) | (flags & PF_FORKNOEXEC ? 0 : PROCESS_F_EXECED);
}

/* task: any thread of the process; what belongs to the process is read from its leader. */
static __always_inline void process_fill(struct record_process *p, struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);
	struct task_struct *parent_leader = BPF_CORE_READ(parent, group_leader);
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	const struct cred *cred = BPF_CORE_READ(task, cred);
	struct pid *pid = BPF_CORE_READ(leader, thread_pid);
	struct tty_struct *tty = BPF_CORE_READ(signal, tty);
	struct pid_namespace *pid_ns = NULL;

	p->start = BPF_CORE_READ(leader, start_boottime);
	p->tgid = BPF_CORE_READ(task, tgid);
	p->ppid = BPF_CORE_READ(parent, tgid);
	/* Pid 0, the idle task, is nobody's parent in the eyes of users. */
	p->parent_start = p->ppid ? BPF_CORE_READ(parent_leader, start_boottime) : 0;
	p->exec_id = BPF_CORE_READ(task, self_exec_id);
	p->flags = process_flags(leader);
	p->uid = BPF_CORE_READ(cred, uid.val);
	p->gid = BPF_CORE_READ(cred, gid.val);
	p->euid = BPF_CORE_READ(cred, euid.val);
	p->egid = BPF_CORE_READ(cred, egid.val);
	bpf_core_read(&p->caps, sizeof(p->caps), &cred->cap_effective);
	p->loginuid = p->session_id = (u32)-1;
	if (bpf_core_field_exists(task->loginuid)) {
		p->loginuid = BPF_CORE_READ(task, loginuid.val);
		p->session_id = BPF_CORE_READ(task, sessionid);
	}
	p->sid = pid_global(BPF_CORE_READ(signal, pids[PIDTYPE_SID]));
	p->pgid = pid_global(BPF_CORE_READ(signal, pids[PIDTYPE_PGID]));
	p->tty_major = p->tty_minor = 0;
	if (tty) {
		struct tty_driver *driver = BPF_CORE_READ(tty, driver);

		p->tty_major = BPF_CORE_READ(driver, major);
		p->tty_minor = BPF_CORE_READ(driver, minor_start) + BPF_CORE_READ(tty, index);
	}
	p->mnt_ns = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	pid_number(pid, BPF_CORE_READ(pid, level), &p->ns_pid, &pid_ns);
	p->pid_ns = BPF_CORE_READ(pid_ns, ns.inum);
	p->spare = 0;
	bpf_core_read(p->comm, sizeof(p->comm), &leader->comm);
	if (p->ppid)
		bpf_core_read(p->parent_comm, sizeof(p->parent_comm), &parent_leader->comm);
	else
		__builtin_memset(p->parent_comm, 0, sizeof(p->parent_comm));
}

#endif
