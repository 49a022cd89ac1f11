/* SPDX-License-Identifier: GPL-2.0-only */
/* The records of fork, exec and exit. */
#pragma once

#include "args.bpf.h"
#include "identity.bpf.h"
#include "place.bpf.h"
#include <bpf/bpf_tracing.h>

#define DEV_MAJOR(dev) ((dev) >> 20) /* include/linux/kdev_t.h */
#define DEV_MINOR(dev) ((dev) & ((1u << 20) - 1))

static __always_inline void fork_fill(bool typed, struct record_fork *r, const struct record_head *head,
				      struct task_struct *parent, struct task_struct *child)
{
	struct task_struct *forker = PEEK(typed, parent, group_leader);

	r->head = *head;
	process_fill(typed, &r->process, child);
	r->forker_tgid = PEEK(typed, parent, tgid);
	r->forker_start = forker ? PEEK(typed, forker, start_boottime) : 0;
	r->forker_tid = PEEK(typed, parent, pid);
}

/* in_ring: fill the record there, unless the program may be preempted. */
static __always_inline int fork_emit(bool typed, bool in_ring, struct task_struct *parent, struct task_struct *child)
{
	u32 tgid = PEEK(typed, child, tgid);
	struct record_fork own, *r;
	struct record_head head;
	u64 start;

	if ((u32)PEEK(typed, child, pid) != tgid)
		return 0; /* a thread */
	start = PEEK(typed, child, start_boottime);
	head_set(&head, RECORD_FORK, sizeof(*r), start, start, tgid, tgid);
	if (in_ring && !settings.preempted) {
		r = reserve(sizeof(*r), RECORD_FORK);
		if (!r)
			return 0;
		barrier_var(r); /* clang would compute addresses before the check */
		fork_fill(typed, r, &head, parent, child);
		submit(r, settings.forks);
	} else {
		fork_fill(typed, &own, &head, parent, child);
		emit(&own, sizeof(own), RECORD_FORK, settings.forks);
	}
	return 0;
}

/* d_unlinked(), include/linux/dcache.h */
static __always_inline bool is_unlinked(bool typed, struct dentry *dentry)
{
	return !PEEK(typed, dentry, d_hash.pprev) && dentry != PEEK(typed, dentry, d_parent);
}

static __always_inline void exec_exe(struct fill *f, struct task_struct *task, struct file *file)
{
	struct record_exec *r = &f->s->exec;
	struct dentry *dentry = PEEK(f->typed, file, f_path.dentry);
	struct vfsmount *vfsmount = PEEK(f->typed, file, f_path.mnt);
	struct identity identity;
	long n;

	identify(f->typed, &identity, task, file);
	if (identity.is_superblocks)
		r->flags |= EXEC_F_EXE_DEV;
	if (identity.is_upper)
		r->flags |= EXEC_F_EXE_UPPER;
	r->exe_inode = identity.inode;
	r->exe_ctime = identity.ctime;
	r->exe_dev_major = DEV_MAJOR(identity.dev);
	r->exe_dev_minor = DEV_MINOR(identity.dev);
	if (dentry == PEEK(f->typed, dentry, d_parent) && dentry != PEEK(f->typed, vfsmount, mnt_root)) {
		/* A memfd (alloc_file_pseudo()): a dentry without a parent, whose name d_path()
		 * shows by simple_dname(). */
		n = bpf_probe_read_kernel_str(&f->s->bytes[bounded(f->at)], RECORD_PATH_MAX,
					      PEEK(f->typed, dentry, d_name.name));
		r->flags |= EXEC_F_EXE_ANON;
		r->exe.offset = f->at;
		r->exe.size = n > 0 ? n : 0;
		f->at += r->exe.size;
		return;
	}
	if (is_unlinked(f->typed, dentry))
		r->flags |= EXEC_F_EXE_DELETED;
	if (!path_walk(f, &r->exe, vfsmount, dentry))
		r->flags |= EXEC_F_EXE_CUT;
}

static __always_inline void exec_filename(struct fill *f, const char *filename)
{
	struct record_exec *r = &f->s->exec;
	long n = bpf_probe_read_kernel_str(&f->s->bytes[bounded(f->at)], RECORD_PATH_MAX, filename);

	r->filename.offset = f->at;
	r->filename.size = n > 0 ? n - 1 : 0;
	if (n <= 0 || n == RECORD_PATH_MAX)
		r->flags |= EXEC_F_FILENAME_CUT; /* execveat() makes "/dev/fd/N/path", which may be longer */
	f->at += r->filename.size;
}

/* A part that is the user's memory [from, from + size): in the record, or in chunks before it;
 * *ret_before: bytes in those. */
static __always_inline void exec_strings(struct fill *f, struct part *part, u64 *ret_before, u32 kind, u64 time,
					 u64 from, u64 size)
{
	struct record_process *process = &f->s->exec.process;
	u32 n;

	*part = (struct part){ .offset = f->at };
	*ret_before = 0;
	if (size > RECORD_ARGS_INLINE || f->at >= SCRATCH_START) {
		*ret_before = size;
		args_begin(f->slot, kind, time, process->start, process->tgid);
		args_send(f->slot, from, size);
		return;
	}
	n = size;
	barrier_var(n);
	n &= SCRATCH_WRITE - 1;
	if (bpf_probe_read_user(&f->s->bytes[bounded(f->at)], n, (void *)from))
		return;
	part->size = n;
	f->at += n;
}

static __always_inline int exec_emit(bool typed, u32 slot, struct task_struct *task, pid_t old_pid,
				     struct linux_binprm *bprm)
{
	/* First, since the CPU completes all loads before it reads its clock (rdtsc_ordered()). */
	u64 time = bpf_ktime_get_boot_ns(), start, size;
	struct fill f = fill_begin(typed, slot, sizeof(struct record_exec), task);
	struct mm_struct *mm = PEEK(typed, task, mm);
	struct file *file = mm ? PEEK(typed, mm, exe_file) : NULL;
	struct owner owner = {};
	struct record_exec *r;
	u32 at;

	if (!f.s || !file) /* never: the map has an entry for it, and an exec has a program */
		return 0;
	r = &f.s->exec;
	process_fill(typed, &r->process, task);
	if (typed && bpf_core_field_exists(mm->owner))
		owner = (struct owner){ mm->owner, r->process.tgid, 0 };
	r->flags = (typed ? BPF_CORE_READ_BITFIELD(bprm, secureexec) : BPF_CORE_READ_BITFIELD_PROBED(bprm, secureexec))
			   ? EXEC_F_SECURE
			   : 0;
	r->argc = PEEK(typed, bprm, argc);
	r->envc = PEEK(typed, bprm, envc);
	r->old_tid = old_pid;
	exec_exe(&f, task, file);
	exec_filename(&f, PEEK(typed, bprm, filename));
	place_fill(&f, &(struct record_place){ &r->cwd, &r->cgroup, &r->ancestors, &r->flags }, task, &owner);
	/* The kernel has just copied them to the user's stack (fs/exec.c, copy_strings()), so the
	 * pages are in memory. */
	start = PEEK(typed, mm, arg_start);
	r->args_size = PEEK(typed, mm, arg_end) - start;
	size = r->args_size < settings.args_limit ? r->args_size : settings.args_limit;
	exec_strings(&f, &r->args, &r->args_before, RECORD_ARGS, time, start, size);
	r->env_size = r->env_before = 0;
	r->env = (struct part){};
	if (settings.env_wanted) {
		start = PEEK(typed, mm, env_start);
		r->env_size = PEEK(typed, mm, env_end) - start;
		size = r->env_size < settings.args_limit ? r->env_size : settings.args_limit;
		exec_strings(&f, &r->env, &r->env_before, RECORD_ENV, time, start, size);
	}
	at = f.at;
	head_set(&r->head, RECORD_EXEC, at, time, r->process.start, r->process.tgid, r->process.tgid);
	barrier_var(at);
	if (at <= sizeof(f.s->bytes))
		emit(f.s->bytes, at, RECORD_EXEC, true);
	return 0;
}

#define THREADS_BATCH 64
#define THREADS_ROUNDS 512 /* 32,768 threads */

/* What all threads together used, and where the walk over them continues. */
struct threads {
	u64 node; /* task_struct.thread_node of the next one */
	u64 head; /* signal_struct.thread_head */
	u64 signal;
	u64 utime, stime, runtime, read_bytes, write_bytes;
	u32 sequence; /* of signal_struct.stats_lock, when the walk began */
	u32 spare;
};

enum threads_slot { THREADS_EXIT, THREADS_SECOND_EXIT, THREADS_SLOTS };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, THREADS_SLOTS);
	__type(key, u32);
	__type(value, struct threads);
} threads SEC(".maps");

static __always_inline struct threads *threads_get(u32 slot)
{
	return bpf_map_lookup_elem(&threads, &slot);
}

__noinline int threads_batch(u32 slot)
{
	volatile struct threads *t = threads_get(slot);
	struct task_struct *task;

	if (!t)
		return 0;
	for (int i = 0; i < THREADS_BATCH; i++) {
		if (!t->node || t->node == t->head)
			return 0;
		task = container_of(t->node, struct task_struct, thread_node);
		t->utime += BPF_CORE_READ(task, utime);
		t->stime += BPF_CORE_READ(task, stime);
		t->runtime += BPF_CORE_READ(task, se.sum_exec_runtime);
		if (bpf_core_field_exists(task->ioac.read_bytes)) {
			t->read_bytes += BPF_CORE_READ(task, ioac.read_bytes);
			t->write_bytes += BPF_CORE_READ(task, ioac.write_bytes);
		}
		t->node = (u64)BPF_CORE_READ(task, thread_node.next);
	}
	return 0;
}

/* The barriers keep clang from moving other reads across; the order of x86's reads is that of the
 * program. */
static __always_inline u32 threads_sequence(bool typed, struct signal_struct *signal)
{
	u32 sequence;

	barrier();
	sequence = PEEK(typed, signal, stats_lock.seqcount.seqcount.sequence);
	barrier();
	return sequence;
}

/* Begins with the sums of the threads that were released, in signal_struct (kernel/exit.c,
 * __exit_signal()). */
static __always_inline void threads_begin(bool typed, struct threads *t, struct signal_struct *signal)
{
	t->sequence = threads_sequence(typed, signal);
	t->utime = PEEK(typed, signal, utime);
	t->stime = PEEK(typed, signal, stime);
	t->runtime = PEEK(typed, signal, sum_sched_runtime);
	t->read_bytes = t->write_bytes = 0;
	if (bpf_core_field_exists(signal->ioac.read_bytes)) {
		t->read_bytes = PEEK(typed, signal, ioac.read_bytes);
		t->write_bytes = PEEK(typed, signal, ioac.write_bytes);
	}
	t->head = (u64)&signal->thread_head;
	t->node = (u64)PEEK(typed, signal, thread_head.next);
}

/* A function of its own: else clang moves what a bpf_core_field_exists() guards out of the loop
 * around it. */
__noinline int threads_restart(u32 slot)
{
	struct threads *t = threads_get(slot);

	if (t)
		threads_begin(false, t, (void *)t->signal);
	return 0;
}

/* Where `task` is the only thread in the list, as in most processes, this is the whole walk. */
static __always_inline void threads_typed(struct threads *t, struct task_struct *task)
{
	if (t->node != (u64)&task->thread_node || (u64)task->thread_node.next != t->head)
		return;
	t->utime += task->utime;
	t->stime += task->stime;
	t->runtime += task->se.sum_exec_runtime;
	if (bpf_core_field_exists(task->ioac.read_bytes)) {
		t->read_bytes += task->ioac.read_bytes;
		t->write_bytes += task->ioac.write_bytes;
	}
	t->node = t->head;
}

/* The walk is complete, and no thread was released meanwhile. */
static __always_inline bool threads_settled(bool typed, const struct threads *t, struct signal_struct *signal)
{
	return t->node == t->head && !(t->sequence & 1) && threads_sequence(typed, signal) == t->sequence;
}

/*
 * Adds the threads that are not released yet, which are in signal_struct's list: the last one, a
 * leader that ended before, and those that end at the same time. A thread that is released
 * meanwhile adds its sums to signal_struct's and leaves the list, both under stats_lock
 * (kernel/exit.c, __exit_signal()): it would count twice, or not at all. So this is a reader of
 * that sequence lock, as thread_group_cputime() (kernel/sched/cputime.c) is, but one that cannot
 * take the lock: it restarts until it has used up its rounds. False: they were not enough.
 */
static __always_inline bool threads_sum(bool typed, u32 slot, struct threads *t, struct task_struct *task,
					struct signal_struct *signal)
{
	t->signal = (u64)signal;
	threads_begin(typed, t, signal);
	if (typed)
		threads_typed(t, task);
	for (int i = 0; i < THREADS_ROUNDS; i++) {
		if (threads_settled(typed, t, signal))
			return true;
		if (t->node == t->head || !t->node)
			threads_restart(slot);
		threads_batch(slot);
	}
	return threads_settled(typed, t, signal);
}

static __always_inline void exit_usage(bool typed, u32 slot, struct record_exit *r, struct task_struct *task,
				       struct signal_struct *signal)
{
	struct threads *t = threads_get(slot);

	r->flags |= EXIT_F_RSS;
	r->max_rss_bytes = PEEK(typed, signal, maxrss) * settings.page_size;
	r->utime_ns = r->stime_ns = r->runtime_ns = r->read_bytes = r->write_bytes = 0;
	if (!t || !threads_sum(typed, slot, t, task, signal))
		return;
	r->flags |= EXIT_F_CPU;
	if (bpf_core_field_exists(signal->ioac.read_bytes))
		r->flags |= EXIT_F_IO;
	r->utime_ns = t->utime;
	r->stime_ns = t->stime;
	r->runtime_ns = t->runtime;
	r->read_bytes = t->read_bytes;
	r->write_bytes = t->write_bytes;
}

static __always_inline int exit_emit(bool typed, u32 slot, struct task_struct *task)
{
	u64 time = bpf_ktime_get_boot_ns(), flags;
	struct task_struct *leader = PEEK(typed, task, group_leader);
	struct signal_struct *signal = PEEK(typed, task, signal);
	u32 tgid = PEEK(typed, task, tgid);
	struct record_exit r;

	if (!leader) /* never */
		return 0;
	/* The status that wait() returns: kernel/exit.c, wait_task_zombie(). */
	r.status = PEEK(typed, signal, flags) & SIGNAL_GROUP_EXIT ? PEEK(typed, signal, group_exit_code)
								  : PEEK(typed, leader, exit_code);
	flags = process_flags(typed, leader);
	r.flags = (flags & PROCESS_F_KTHREAD ? EXIT_F_KTHREAD : 0) | (flags & PROCESS_F_EXECED ? EXIT_F_EXECED : 0);
	exit_usage(typed, slot, &r, task, signal);
	head_set(&r.head, RECORD_EXIT, sizeof(r), time, PEEK(typed, leader, start_boottime), tgid,
		 PEEK(typed, task, pid));
	emit(&r, sizeof(r), RECORD_EXIT, r.flags & EXIT_F_EXECED || settings.forks);
	return 0;
}
