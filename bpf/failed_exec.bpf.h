/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Failed execs, however their calls are met: the record of one, and its way out. What was passed is read when the call has
 * failed, since the kernel has touched those pages then.
 */
#ifndef EXECSNOOP_FAILED_EXEC_BPF_H
#define EXECSNOOP_FAILED_EXEC_BPF_H

#include "failed_exec_pending.bpf.h"
#include "place.bpf.h"

#define ARGV_BATCH 16 /* in one verified loop: arguments, or parts of a long one */
#define ARGV_ROUNDS 512
#define ARGV_PART 4096 /* bytes of an argument that are read at a time */

/* Where the walk over argv stands; in memory, for the reason that walk_name() gives. */
struct argv_walk {
	u64 argv;   /* the next pointer */
	u64 string; /* the rest of the argument at hand; 0: none */
	u32 fill;   /* bytes that wait in the piece */
	u32 argc;
	u32 flags;
	u32 width;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_SLOTS);
	__type(key, u32);
	__type(value, struct argv_walk);
} argv_walks SEC(".maps");

/* One argument, or a part of a long one. 0 at the end. */
static __always_inline int argv_step(volatile struct argv_walk *w, struct args_chunk *p)
{
	u64 string = w->string;
	u32 fill;
	long n;

	if (!string) {
		string = 0;
		/* Little-endian: a narrow one is the beginning of a wide one. */
		if (w->width == 4 ? bpf_probe_read_user(&string, 4, (void *)w->argv)
				  : bpf_probe_read_user(&string, 8, (void *)w->argv)) {
			w->flags = ERROR_F_ARGS_FAULT;
			return 0;
		}
		if (!string) {
			w->flags = 0;
			return 0;
		}
		w->argv += w->width == 4 ? 4 : 8;
	}
	if (p->args.position + w->fill >= settings.args_limit)
		return 0;
	if (w->fill > RECORD_CHUNK - ARGV_PART) {
		fill = w->fill;
		asm volatile("" : "+r"(fill));
		args_chunk_send(p, fill & (RECORD_CHUNK - 1));
		w->fill = 0;
	}
	fill = w->fill;
	asm volatile("" : "+r"(fill));
	/* Never beyond the piece: the mask and the check above agree on it, the verifier needs the mask. */
	n = user_string(&p->bytes[fill & (RECORD_CHUNK - 1)], ARGV_PART, (void *)string);
	if (n <= 0) {
		w->flags = ERROR_F_ARGS_FAULT;
		return 0;
	}
	if (n == ARGV_PART) {
		/* The NUL is the helper's, and it may be the argument's too: look again behind the part. */
		w->fill += ARGV_PART - 1;
		w->string = string + ARGV_PART - 1;
	} else {
		w->fill += n;
		w->string = 0;
		w->argc++;
	}
	return 1;
}

__attribute__((noinline)) int argv_batch(u32 slot)
{
	struct args_chunk *p = bpf_map_lookup_elem(&args_chunks, &slot);
	struct argv_walk *w = bpf_map_lookup_elem(&argv_walks, &slot);

	if (!p || !w)
		return 0;
	for (int i = 0; i < ARGV_BATCH; i++)
		if (!argv_step(w, p))
			return 0;
	return 1;
}

/* Walks argv, an array of pointers that ends with NULL, sends the strings, and tells the record of it. */
static __always_inline void argv_send(u32 slot, struct record_error *r, u64 argv, u32 width)
{
	u32 fill;
	struct args_chunk *p = bpf_map_lookup_elem(&args_chunks, &slot);
	struct argv_walk *w = bpf_map_lookup_elem(&argv_walks, &slot);

	if (!p || !w)
		return;
	w->argv = argv;
	w->width = width;
	w->string = 0;
	w->fill = 0;
	w->argc = 0;
	w->flags = ERROR_F_ARGS_CUT;
	for (int i = 0; i < ARGV_ROUNDS; i++)
		if (!argv_batch(slot))
			break;
	fill = *(volatile u32 *)&w->fill;
	asm volatile("" : "+r"(fill));
	if (fill)
		args_chunk_send(p, fill & (RECORD_CHUNK - 1));
	r->argc = w->argc;
	r->args_size = r->args_before = p->args.position;
	r->flags |= w->flags;
}

static __always_inline int caller_fill(bool typed, u32 slot, struct task_struct *task)
{
	struct mount *root = typed ? task->nsproxy->mnt_ns->root : NULL;
	struct scratch *s = scratch_get(slot);
	struct owner owner = {};
	struct record_error *r;

	if (!s)
		return 0;
	r = &s->error;
	process_fill(typed, &r->process, task);
	if (typed && bpf_core_field_exists(task->mm->owner))
		owner = (struct owner){ task->mm->owner, r->process.tgid, r->process.ppid };
	r->flags = 0;
	return place_fill(typed, slot, s, sizeof(*r), task, &owner, root, &r->cwd, &r->cgroup, &r->ancestors,
			  &r->flags);
}

/* Who called and where, in scratch memory: returns where that ends. Functions of their own, since they are long. */
__attribute__((noinline)) int failed_exec_caller(u32 slot)
{
	return caller_fill(false, slot, (void *)bpf_get_current_task());
}

/*
 * In a third of the time, where the kernel can and the process has no other threads; else 0. Then the thread is the one that
 * its process would have signals taken by: by way of that it is a pointer that the verifier does not trust, see struct owner.
 */
__attribute__((noinline)) int failed_exec_caller_typed(u32 slot)
{
	struct task_struct *self;

	if (!settings.typed)
		return 0;
	self = bpf_get_current_task_btf()->signal->curr_target;
	return (u64)self == bpf_get_current_task() ? caller_fill(true, slot, self) : 0;
}

/* Adds what failed to the record of who called, which ends at `at`, and sends the pieces of its arguments. Returns its size. */
static __always_inline u32 failed_exec_fill(u32 slot, u32 at, struct scratch *s, struct pending_call *call, s64 ret,
					    u64 time, u32 tid)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct record_error *r = &s->error;
	bool same_mm = call->mm == (u64)BPF_CORE_READ(task, mm);
	long n;

	r->argc = 0;
	r->args.offset = r->args.size = 0;
	r->args_size = r->args_before = 0;
	if (call->argv && same_mm) {
		args_begin(slot, RECORD_ARGS, time, r->process.start, r->process.tgid);
		argv_send(slot, r, call->argv, call->width);
	}
	r->error = ret;
	r->dirfd = call->dirfd;
	r->filename.offset = at;
	r->filename.size = 0;
	if (same_mm) {
		n = user_string(&s->bytes[bounded(at)], RECORD_PATH_MAX, (void *)call->filename);
		if (n == RECORD_PATH_MAX)
			r->flags |= ERROR_F_FILENAME_CUT; /* ENAMETOOLONG: what is there of it */
	} else {
		n = call->early_path_size;
		bpf_probe_read_kernel(&s->bytes[bounded(at)], sizeof(call->early_path), call->early_path);
		r->flags |= ERROR_F_ARGS_FAULT;
		if (n == EARLY_PATH_SIZE)
			r->flags |= ERROR_F_FILENAME_CUT;
	}
	if (n > 0) {
		r->filename.size = n - 1;
		at += n - 1;
	} else {
		r->flags |= ERROR_F_FILENAME_FAULT;
	}
	head_set(&r->head, RECORD_ERROR, at, time, r->process.start, r->process.tgid, tid);
	return at;
}

static __always_inline void failed_exec_send(struct scratch *s, u32 at)
{
	asm volatile("" : "+r"(at));
	if (at <= sizeof(s->bytes))
		emit(s->bytes, at, RECORD_ERROR);
}

/*
 * Takes care of a failure whose arguments are not in memory, if it can: failed_exec_finish() then comes later. Of the object that
 * includes this.
 */
static bool failed_exec_defer(struct pending_call *call, s64 ret);

/*
 * A signal may come first: then the call is made again, or was never a failure (include/linux/errno.h, ERESTARTSYS to
 * ERESTART_RESTARTBLOCK). And a thread that is killed in the ptrace stop at the entry leaves with the ENOSYS that the entry set,
 * without having made the call (kernel/entry/, syscall_trace_enter()): fatal_signal_pending() decides there, as here.
 */
static __always_inline bool is_failure(s64 ret)
{
	struct task_struct *task;

	if (ret != -ENOSYS)
		return ret < 0 && (ret > -512 || ret < -516);
	task = (void *)bpf_get_current_task();
	return !(BPF_CORE_READ(task, pending.signal.sig[0]) & (1ull << (SIGKILL - 1)));
}

/*
 * The record of a failed call, and its way out: all but a record whose arguments are not in memory, which stands in the scratch
 * memory then, with its attempt kept: the size of it, else 0. at: what failed_exec_caller() returned; 0: it has not failed. A function
 * of its own, since it is long. It may not be the one that puts off the rest: the verifier takes that for sleeping, which a global
 * function may not do here.
 */
__attribute__((noinline)) int failed_exec_record(u32 slot, u32 at, s64 ret)
{
	u64 task = bpf_get_current_task();
	struct pending_call *call = bpf_map_lookup_elem(&pending_calls, &task);
	struct scratch *s = scratch_get(slot);

	if (!call || !s) {
		/* pending_call_complete() knows nothing of it, or there was no room. */
		if (at)
			lost_count(RECORD_ERROR);
		return 0;
	}
	if (at) {
		if (call->time == 0)
			call->time = bpf_ktime_get_boot_ns();
		at = failed_exec_fill(slot, at, s, call, ret, call->time, bpf_get_current_pid_tgid());
		if (s->error.flags & ERROR_F_ARGS_FAULT)
			return at;
		failed_exec_send(s, at);
	}
	bpf_map_delete_elem(&pending_calls, &task);
	return 0;
}

/* Whatever there is of its arguments. */
static __always_inline void failed_exec_finish(u32 slot, u32 at)
{
	u64 task = bpf_get_current_task();
	struct scratch *s = scratch_get(slot);

	if (s)
		failed_exec_send(s, at);
	bpf_map_delete_elem(&pending_calls, &task);
}

/*
 * A call returns: as failed_exec_record(). often: such calls are so many that the longer start for failed_exec_caller_typed() is worth
 * it. registers: for pending_call_complete().
 */
__attribute__((noinline)) int failed_exec_check(u32 often, u32 slot, s64 ret, u64 registers)
{
	u32 at = 0;

	if (is_failure(ret)) {
		pending_call_complete(registers);
		at = often && settings.typed ? failed_exec_caller_typed(slot) : 0;
		if (!at)
			at = failed_exec_caller(slot);
	} else if (settings.prepared) {
		return 0;
	}
	return failed_exec_record(slot, at, ret);
}

static __always_inline int failed_exec_return(bool often, u32 slot, s64 ret, u64 registers)
{
	u64 task = bpf_get_current_task();
	struct pending_call *call;
	u32 at = ret < 0 || !settings.prepared ? failed_exec_check(often, slot, ret, registers) : 0;

	if (at == 0)
		return 0;
	call = bpf_map_lookup_elem(&pending_calls, &task);
	if (!call || !failed_exec_defer(call, ret))
		failed_exec_finish(slot, at);
	return 0;
}

#endif
