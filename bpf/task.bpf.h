/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kernel knows of a process, read alike by all probes and the iterator. */
#pragma once

#include "vmlinux_min.h"
#include "record.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/*
 * A member of what `p` points to. Where the verifier knows the type of the pointer (`typed`: the
 * argument of a tracepoint, and what that leads to) this is a load, else the call of a helper,
 * which takes ten times as long. `typed` is a constant in each program: all functions that take it
 * are inlined, and one of the two is left. A bad address gives 0 either way. Kernels that were
 * built with clang tag their __rcu members, and their verifier insists that such a pointer is
 * tested before it is used.
 */
#define PEEK(typed, p, member) ((typed) ? (p)->member : BPF_CORE_READ(p, member))
#define PEEK2(typed, p, a, b) ((typed) ? (p)->a->b : BPF_CORE_READ(p, a, b))

/* The number of `pid` in the namespace `level` deep: pid->numbers has one for each level. */
static __always_inline void pid_number(bool typed, struct pid *pid, u32 level, u32 *ret_nr, u32 *ret_ns)
{
	struct upid *upid;

	if (level == 0) {
		*ret_nr = PEEK(typed, pid, numbers[0].nr);
		*ret_ns = PEEK2(typed, pid, numbers[0].ns, ns.inum);
		return;
	}
	upid = (void *)pid + bpf_core_field_offset(pid->numbers) + level * bpf_core_type_size(struct upid);
	*ret_nr = BPF_CORE_READ(upid, nr);
	*ret_ns = BPF_CORE_READ(upid, ns, ns.inum);
}

static __always_inline u32 pid_global(bool typed, struct pid *pid)
{
	return pid ? PEEK(typed, pid, numbers[0].nr) : 0;
}

/* The inode number of a namespace; 0: the kernel has none, or the task has left them (exit_task_namespaces()). */
#define NAMESPACE(typed, nsproxy, member, type) \
	(bpf_core_field_exists(struct type, ns) ? PEEK2(typed, nsproxy, member, ns.inum) : 0)

static __always_inline void namespaces_fill(bool typed, struct record_process *p, struct task_struct *task)
{
	struct nsproxy *nsproxy = PEEK(typed, task, nsproxy);

	p->mnt_ns = PEEK2(typed, nsproxy, mnt_ns, ns.inum);
	p->uts_ns = PEEK2(typed, nsproxy, uts_ns, ns.inum);
	p->net_ns = NAMESPACE(typed, nsproxy, net_ns, net);
	p->ipc_ns = NAMESPACE(typed, nsproxy, ipc_ns, ipc_namespace);
	p->cgroup_ns = NAMESPACE(typed, nsproxy, cgroup_ns, cgroup_namespace);
	p->time_ns = NAMESPACE(typed, nsproxy, time_ns, time_namespace);
}

/*
 * When the leader of the process's session began; 0: it is gone. Its pid is the number of the session, which no other
 * process gets while the session has members (kernel/pid.c, __change_pid()).
 */
static __always_inline u64 session_start(bool typed, const struct record_process *p, struct pid *session)
{
	struct hlist_node *link;

	if (!p->sid)
		return 0;
	if (p->sid == p->tgid)
		return p->start;
	if (p->sid == p->ppid)
		return p->parent_start;
	link = PEEK(typed, session, tasks[PIDTYPE_TGID].first);
	return link ? BPF_CORE_READ(container_of(link, struct task_struct, pid_links[PIDTYPE_TGID]), start_boottime)
		    : 0;
}

/* A fork sets PF_FORKNOEXEC and an exec clears it, for the thread that becomes the leader. */
static __always_inline u64 process_flags(bool typed, struct task_struct *leader)
{
	u32 flags = PEEK(typed, leader, flags);

	return (flags & PF_KTHREAD ? PROCESS_F_KTHREAD : 0) | (flags & PF_FORKNOEXEC ? 0 : PROCESS_F_EXECED);
}

static __always_inline void comm_copy(bool typed, char *to, struct task_struct *task)
{
	if (typed) {
		((u64 *)to)[0] = *(u64 *)&task->comm[0];
		((u64 *)to)[1] = *(u64 *)&task->comm[8];
	} else {
		bpf_core_read(to, RECORD_COMM_SIZE, &task->comm);
	}
}

static __always_inline void cred_fill(bool typed, struct record_process *p, const struct cred *cred)
{
	p->uid = PEEK(typed, cred, uid.val);
	p->gid = PEEK(typed, cred, gid.val);
	p->euid = PEEK(typed, cred, euid.val);
	p->egid = PEEK(typed, cred, egid.val);
	p->user_ns = PEEK2(typed, cred, user_ns, ns.inum);
	if (typed) {
		const void *caps = &cred->cap_effective;

		/* libbpf would compare the size of the load with that of the member. */
		barrier_var(caps);
		p->caps = *(const u64 *)caps;
	} else {
		bpf_core_read(&p->caps, sizeof(p->caps), &cred->cap_effective);
	}
}

static __always_inline void parent_fill(bool typed, struct record_process *p, struct task_struct *leader)
{
	p->ppid = PEEK(typed, leader, tgid);
	p->parent_start = 0;
	__builtin_memset(p->parent_comm, 0, sizeof(p->parent_comm));
	/* To users, pid 0, the idle task, is no parent. */
	if (!p->ppid)
		return;
	p->parent_start = PEEK(typed, leader, start_boottime);
	comm_copy(typed, p->parent_comm, leader);
}

static __always_inline void process_read(bool typed, struct record_process *p, struct task_struct *task)
{
	struct task_struct *leader = PEEK(typed, task, group_leader);
	struct task_struct *parent = PEEK(typed, task, real_parent);
	struct signal_struct *signal = PEEK(typed, task, signal);
	/* What /proc shows; a task may act by others for a while (override_creds()). */
	const struct cred *cred = PEEK(typed, task, real_cred);
	struct tty_struct *tty = PEEK(typed, signal, tty);
	struct pid *pid, *session;

	if (parent)
		parent = PEEK(typed, parent, group_leader);
	if (!leader || !parent || !cred) { /* never */
		__builtin_memset(p, 0, sizeof(*p));
		return;
	}
	p->start = PEEK(typed, leader, start_boottime);
	p->tgid = PEEK(typed, task, tgid);
	p->exec_id = PEEK(typed, task, self_exec_id);
	p->flags = process_flags(typed, leader);
	parent_fill(typed, p, parent);
	cred_fill(typed, p, cred);
	p->loginuid = p->session_id = (u32)-1;
	if (bpf_core_field_exists(task->loginuid)) {
		p->loginuid = PEEK(typed, task, loginuid.val);
		p->session_id = PEEK(typed, task, sessionid);
	}
	session = PEEK(typed, signal, pids[PIDTYPE_SID]);
	p->sid = pid_global(typed, session);
	p->session_start = session_start(typed, p, session);
	p->pgid = pid_global(typed, PEEK(typed, signal, pids[PIDTYPE_PGID]));
	p->tty_major = p->tty_minor = 0;
	if (tty && bpf_core_field_exists(tty->driver)) {
		struct tty_driver *driver = PEEK(typed, tty, driver);

		p->tty_major = PEEK(typed, driver, major);
		p->tty_minor = PEEK(typed, driver, minor_start) + PEEK(typed, tty, index);
	}
	namespaces_fill(typed, p, task);
	pid = PEEK(typed, leader, thread_pid);
	pid_number(typed, pid, PEEK(typed, pid, level), &p->ns_pid, &p->pid_ns);
	p->spare = 0;
	comm_copy(typed, p->comm, leader);
}

/* One function for all programs of an object that read by helpers: there are many, and it is long. */
static __noinline int process_read_untyped(struct record_process *p, struct task_struct *task)
{
	process_read(false, p, task);
	return 0;
}

/* task: any thread of the process; what the process has as a whole is read from the leader. */
static __always_inline void process_fill(bool typed, struct record_process *p, struct task_struct *task)
{
	if (typed)
		process_read(true, p, task);
	else
		process_read_untyped(p, task);
}
