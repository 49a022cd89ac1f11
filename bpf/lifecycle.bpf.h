/* SPDX-License-Identifier: GPL-2.0-only */
/* The life of a process: fork, exec, exit. */
#ifndef EXECSNOOP_LIFECYCLE_BPF_H
#define EXECSNOOP_LIFECYCLE_BPF_H

#include "args.bpf.h"
#include "identity.bpf.h"
#include "place.bpf.h"
#include <bpf/bpf_tracing.h>

#define DEV_MAJOR(dev) ((dev) >> 20) /* include/linux/kdev_t.h */
#define DEV_MINOR(dev) ((dev) & ((1u << 20) - 1))

static __always_inline int fork_emit(bool typed, struct task_struct *parent, struct task_struct *child)
{
	struct record_fork r;
	struct task_struct *forker;
	u32 tgid = PEEK(typed, child, tgid);

	if ((u32)PEEK(typed, child, pid) != tgid)
		return 0; /* a thread */
	process_fill(typed, &r.process, child);
	forker = PEEK(typed, parent, group_leader);
	r.forker_tgid = PEEK(typed, parent, tgid);
	r.forker_start = forker ? PEEK(typed, forker, start_boottime) : 0;
	r.spare = 0;
	head_set(&r.head, RECORD_FORK, sizeof(r), bpf_ktime_get_boot_ns(), r.process.start, tgid, tgid);
	emit(&r, sizeof(r), RECORD_FORK);
	return 0;
}

/* d_unlinked(), include/linux/dcache.h */
static __always_inline bool is_unlinked(bool typed, struct dentry *dentry)
{
	return !PEEK(typed, dentry, d_hash.pprev) && dentry != PEEK(typed, dentry, d_parent);
}

static __always_inline u32 exec_exe(bool typed, u32 slot, struct scratch *s, u32 at, struct task_struct *task,
				    struct file *file, struct mount *root)
{
	struct record_exec *r = &s->exec;
	struct dentry *dentry = PEEK(typed, file, f_path.dentry);
	struct vfsmount *vfsmount = PEEK(typed, file, f_path.mnt);
	struct identity identity;
	bool cut;
	long n;

	identify(typed, &identity, task, file);
	if (identity.is_superblocks)
		r->flags |= EXEC_F_EXE_DEV;
	r->exe_inode = identity.inode;
	r->exe_dev_major = DEV_MAJOR(identity.dev);
	r->exe_dev_minor = DEV_MINOR(identity.dev);
	if (dentry == PEEK(typed, dentry, d_parent) && dentry != PEEK(typed, vfsmount, mnt_root)) {
		/* alloc_file_pseudo(): a memfd. Its dentry stands alone and has its name, which d_path() shows
		 * by way of simple_dname(). */
		n = bpf_probe_read_kernel_str(&s->bytes[bounded(at)], RECORD_PATH_MAX,
					      PEEK(typed, dentry, d_name.name));
		r->flags |= EXEC_F_EXE_ANON;
		r->exe.offset = at;
		r->exe.size = n > 0 ? n : 0;
		return at + r->exe.size;
	}
	if (is_unlinked(typed, dentry))
		r->flags |= EXEC_F_EXE_DELETED;
	at = path_walk(typed, slot, s, at, &r->exe, vfsmount, dentry, root, &cut);
	if (cut)
		r->flags |= EXEC_F_EXE_CUT;
	return at;
}

static __always_inline u32 exec_filename(struct scratch *s, u32 at, const char *filename)
{
	struct record_exec *r = &s->exec;
	long n = bpf_probe_read_kernel_str(&s->bytes[bounded(at)], RECORD_PATH_MAX, filename);

	r->filename.offset = at;
	r->filename.size = n > 0 ? n - 1 : 0;
	if (n <= 0 || n == RECORD_PATH_MAX)
		r->flags |= EXEC_F_FILENAME_CUT; /* execveat() makes "/dev/fd/N/path", which may be longer */
	return at + r->filename.size;
}

/* Reads `size` bytes of the user's memory into the record, or sends them in pieces before it. */
static __always_inline u32 exec_strings(u32 slot, struct scratch *s, u32 at, u32 kind, struct part *part, u64 from,
					u64 size, u64 time, u64 *ret_before)
{
	u32 n;

	part->offset = at;
	part->size = 0;
	*ret_before = 0;
	if (size > RECORD_ARGS_INLINE || at >= SCRATCH_START) {
		*ret_before = size;
		args_begin(slot, kind, time, s->exec.process.start, s->exec.process.tgid);
		args_send(slot, from, size);
		return at;
	}
	n = size;
	asm volatile("" : "+r"(n));
	n &= SCRATCH_WRITE - 1;
	if (bpf_probe_read_user(&s->bytes[bounded(at)], n, (void *)from))
		return at;
	part->size = n;
	return at + n;
}

static __always_inline int exec_emit(bool typed, u32 slot, struct task_struct *task, pid_t old_pid,
				     struct linux_binprm *bprm)
{
	struct scratch *s = scratch_get(slot);
	struct mm_struct *mm = PEEK(typed, task, mm);
	struct file *file = mm ? PEEK(typed, mm, exe_file) : NULL;
	struct owner owner = {};
	struct mount *root = typed ? task->nsproxy->mnt_ns->root : NULL;
	u64 time = bpf_ktime_get_boot_ns(), start, size;
	struct record_exec *r;
	u32 at;

	if (!s || !file) /* never: the map has an entry for it, and an exec has a program */
		return 0;
	r = &s->exec;
	process_fill(typed, &r->process, task);
	if (typed && bpf_core_field_exists(mm->owner))
		owner = (struct owner){ mm->owner, r->process.tgid, 0 };
	r->flags = BPF_CORE_READ_BITFIELD_PROBED(bprm, secureexec) ? EXEC_F_SECURE : 0;
	r->argc = PEEK(typed, bprm, argc);
	r->envc = PEEK(typed, bprm, envc);
	r->old_tid = old_pid;
	at = sizeof(*r);
	at = exec_exe(typed, slot, s, at, task, file, root);
	at = exec_filename(s, at, PEEK(typed, bprm, filename));
	at = place_fill(typed, slot, s, at, task, &owner, root, &r->cwd, &r->cgroup, &r->ancestors, &r->flags);
	/* Copied to the user's stack just now (fs/exec.c, copy_strings), so the pages are there. */
	start = PEEK(typed, mm, arg_start);
	r->args_size = PEEK(typed, mm, arg_end) - start;
	size = r->args_size < settings.args_limit ? r->args_size : settings.args_limit;
	at = exec_strings(slot, s, at, RECORD_ARGS, &r->args, start, size, time, &r->args_before);
	r->env_size = r->env_before = 0;
	r->env.offset = r->env.size = 0;
	if (settings.env_wanted) {
		start = PEEK(typed, mm, env_start);
		r->env_size = PEEK(typed, mm, env_end) - start;
		size = r->env_size < settings.args_limit ? r->env_size : settings.args_limit;
		at = exec_strings(slot, s, at, RECORD_ENV, &r->env, start, size, time, &r->env_before);
	}
	head_set(&r->head, RECORD_EXEC, at, time, r->process.start, r->process.tgid, r->process.tgid);
	asm volatile("" : "+r"(at));
	if (at <= sizeof(s->bytes))
		emit(s->bytes, at, RECORD_EXEC);
	return 0;
}

#define THREADS_BATCH 64   /* in one verified piece */
#define THREADS_ROUNDS 512 /* 32,768 threads */

/* What all threads together used; and where the walk over them stands. */
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

/* Continues for THREADS_BATCH. */
__attribute__((noinline)) int threads_batch(u32 slot)
{
	volatile struct threads *t = threads_get(slot);
	struct task_struct *task;

	if (!t)
		return 0;
	for (int i = 0; i < THREADS_BATCH; i++) {
		if (!t->node || t->node == t->head)
			return 0;
		task = (void *)t->node - bpf_core_field_offset(struct task_struct, thread_node);
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

/* The barriers keep clang from moving other reads across; the processor's order is that of the kernel's memory on x86. */
static __always_inline u32 threads_sequence(bool typed, struct signal_struct *signal)
{
	u32 sequence;

	asm volatile("" ::: "memory");
	sequence = PEEK(typed, signal, stats_lock.seqcount.seqcount.sequence);
	asm volatile("" ::: "memory");
	return sequence;
}

/* What the threads that were released have left in signal_struct (kernel/exit.c, __exit_signal()). */
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
	t->head = (u64)signal + bpf_core_field_offset(struct signal_struct, thread_head);
	t->node = (u64)PEEK(typed, signal, thread_head.next);
}

/* A function of its own: clang would take what an `exists` guards out of the loop that this is in. */
__attribute__((noinline)) int threads_restart(u32 slot)
{
	struct threads *t = threads_get(slot);

	if (t)
		threads_begin(false, t, (void *)t->signal);
	return 0;
}

/* Where `task` is the only thread in the list, as it mostly is, this is the whole walk. */
static __always_inline void threads_typed(struct threads *t, struct task_struct *task)
{
	u64 node = (u64)task + bpf_core_field_offset(struct task_struct, thread_node);

	if (t->node != node || (u64)task->thread_node.next != t->head)
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

/* The walk has come to its end, and no thread was released meanwhile. */
static __always_inline bool threads_settled(bool typed, const struct threads *t, struct signal_struct *signal)
{
	return t->node == t->head && !(t->sequence & 1) && threads_sequence(typed, signal) == t->sequence;
}

/*
 * Those that are not released yet are still in signal_struct's list: the last one, a leader that ended before, and whatever
 * ends at the same time. A thread that is released meanwhile adds what it used to signal_struct's sums and leaves the list, both under
 * stats_lock (kernel/exit.c, __exit_signal()): it would count twice, or not at all. So it is a reader of that sequence
 * lock as thread_group_cputime() (kernel/sched/cputime.c) is; but it cannot take the lock, so it begins the walk again as long as the
 * limit of all its steps allows. False: that was not enough.
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
	struct task_struct *leader = PEEK(typed, task, group_leader);
	struct signal_struct *signal = PEEK(typed, task, signal);
	u64 time = bpf_ktime_get_boot_ns(), flags;
	u32 tgid = PEEK(typed, task, tgid);
	struct record_exit r;

	if (!leader) /* never */
		return 0;
	/* What wait() gives: kernel/exit.c, wait_task_zombie(). */
	r.status = PEEK(typed, signal, flags) & SIGNAL_GROUP_EXIT ? PEEK(typed, signal, group_exit_code)
								  : PEEK(typed, leader, exit_code);
	flags = process_flags(typed, leader);
	r.flags = (flags & PROCESS_F_KTHREAD ? EXIT_F_KTHREAD : 0) | (flags & PROCESS_F_EXECED ? EXIT_F_EXECED : 0);
	exit_usage(typed, slot, &r, task, signal);
	head_set(&r.head, RECORD_EXIT, sizeof(r), time, PEEK(typed, leader, start_boottime), tgid,
		 PEEK(typed, task, pid));
	emit(&r, sizeof(r), RECORD_EXIT);
	return 0;
}

#endif
