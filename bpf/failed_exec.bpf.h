/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The record of a failed exec, by whichever program it is seen. The arguments are read when the
 * call has failed, since the kernel has touched their pages by then.
 */
#pragma once

#include "failed_exec_pending.bpf.h"
#include "place.bpf.h"

#define ARGV_BATCH 16 /* arguments, or parts of a long one */
#define ARGV_ROUNDS 512
#define ARGV_PART 4096 /* bytes of an argument that are read at a time */

/* Where the walk over argv continues. */
struct argv_walk {
	u64 argv;   /* the next pointer */
	u64 string; /* the rest of the current argument; 0: none */
	u32 fill;   /* bytes in the chunk */
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

static __always_inline bool argv_flush(volatile struct argv_walk *w, struct args_chunk *c)
{
	u32 fill = w->fill;

	barrier_var(fill);
	if (fill)
		args_chunk_send(c, fill & (RECORD_CHUNK - 1));
	return fill;
}

/* One argument, or a part of a long one. False at the end. */
static __always_inline bool argv_step(volatile struct argv_walk *w, struct args_chunk *c)
{
	u64 string = w->string;
	u32 fill;
	long n;

	if (!string) {
		string = 0;
		/* Little-endian: a narrow pointer is the beginning of a wide one. */
		if (w->width == 4 ? bpf_probe_read_user(&string, 4, (void *)w->argv)
				  : bpf_probe_read_user(&string, 8, (void *)w->argv)) {
			w->flags = ERROR_F_ARGS_FAULT;
			return false;
		}
		if (!string) {
			w->flags = 0;
			return false;
		}
		w->argv += w->width == 4 ? 4 : 8;
	}
	if (c->args.position + w->fill >= settings.args_limit)
		return false;
	if (w->fill > RECORD_CHUNK - ARGV_PART) {
		argv_flush(w, c);
		w->fill = 0;
	}
	fill = w->fill;
	barrier_var(fill);
	/* Never outside the chunk: the mask changes nothing after the check above, but the verifier
	 * needs it. */
	n = user_string(&c->bytes[fill & (RECORD_CHUNK - 1)], ARGV_PART, (void *)string);
	if (n <= 0) {
		w->flags = ERROR_F_ARGS_FAULT;
		return false;
	}
	if (n == ARGV_PART) {
		/* The NUL is the helper's, and may be the argument's too: the next step finds
		 * out. */
		w->fill += ARGV_PART - 1;
		w->string = string + ARGV_PART - 1;
	} else {
		w->fill += n;
		w->string = 0;
		w->argc++;
	}
	return true;
}

__noinline int argv_batch(u32 slot)
{
	struct args_chunk *c = bpf_map_lookup_elem(&args_chunks, &slot);
	struct argv_walk *w = bpf_map_lookup_elem(&argv_walks, &slot);

	if (!c || !w)
		return false;
	for (int i = 0; i < ARGV_BATCH; i++)
		if (!argv_step(w, c))
			return false;
	return true;
}

/* Sends the strings of argv, an array of pointers that ends with NULL, and fills in what the record
 * has of them. */
static __always_inline void argv_send(u32 slot, struct record_error *r, const struct exec_args *args)
{
	struct args_chunk *c = bpf_map_lookup_elem(&args_chunks, &slot);
	struct argv_walk *w = bpf_map_lookup_elem(&argv_walks, &slot);

	if (!c || !w)
		return;
	*w = (struct argv_walk){ .argv = args->argv, .width = args->width, .flags = ERROR_F_ARGS_CUT };
	for (int i = 0; i < ARGV_ROUNDS; i++)
		if (!argv_batch(slot))
			break;
	argv_flush(w, c);
	r->argc = w->argc;
	r->args_size = r->args_before = c->args.position;
	r->flags |= w->flags;
}

static __always_inline int caller_fill(bool typed, u32 slot, struct task_struct *task)
{
	struct fill f = fill_begin(typed, slot, sizeof(struct record_error), task);
	struct owner owner = {};
	struct record_error *r;

	if (!f.s)
		return 0;
	r = &f.s->error;
	process_fill(typed, &r->process, task);
	if (typed && bpf_core_field_exists(task->mm->owner))
		owner = (struct owner){ task->mm->owner, r->process.tgid, r->process.ppid };
	r->flags = 0;
	place_fill(&f, &(struct record_place){ &r->cwd, &r->cgroup, &r->ancestors, &r->flags }, task, &owner);
	return f.at;
}

/* Fills in the caller, in the scratch memory; returns where that ends. Functions of their own,
 * since they are long. */
__noinline int failed_exec_caller(u32 slot)
{
	return caller_fill(false, slot, (void *)bpf_get_current_task());
}

/*
 * In a third of the time, where the kernel allows it and the process has no other threads; else 0.
 * Then the thread is the one that takes its process's signals: read through that, the pointer is
 * one that the verifier does not trust, see struct owner.
 */
__noinline int failed_exec_caller_typed(u32 slot)
{
	struct task_struct *self;

	if (!settings.typed)
		return 0;
	self = bpf_get_current_task_btf()->signal->curr_target;
	return (u64)self == bpf_get_current_task() ? caller_fill(true, slot, self) : 0;
}

/* Completes the record, in which the caller ends at `at`, and sends the chunks of its arguments.
 * Returns its size. */
static __always_inline u32 failed_exec_fill(u32 slot, u32 at, struct scratch *s, struct pending_call *call, s64 ret)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct record_error *r = &s->error;
	bool same_mm = call->mm == (u64)BPF_CORE_READ(task, mm);
	u64 time = call->time;
	long n;

	r->argc = 0;
	r->args = (struct part){};
	r->args_size = r->args_before = 0;
	if (call->args.argv && same_mm) {
		args_begin(slot, RECORD_ARGS, time, r->process.start, r->process.tgid);
		argv_send(slot, r, &call->args);
	}
	r->error = ret;
	r->dirfd = call->args.dirfd;
	r->filename = (struct part){ .offset = at };
	if (same_mm || settings.exits_only) {
		n = user_string(&s->bytes[bounded(at)], RECORD_PATH_MAX, (void *)call->args.filename);
		if (n == RECORD_PATH_MAX)
			r->flags |= ERROR_F_FILENAME_CUT; /* ENAMETOOLONG: as much as fits */
	} else {
		n = call->early_path_size;
		bpf_probe_read_kernel(&s->bytes[bounded(at)], sizeof(call->early_path), call->early_path);
		if (n == EARLY_PATH_SIZE)
			r->flags |= ERROR_F_FILENAME_CUT;
	}
	if (!same_mm)
		r->flags |= ERROR_F_ARGS_FAULT;
	if (n > 0) {
		r->filename.size = n - 1;
		at += n - 1;
	} else {
		r->flags |= ERROR_F_FILENAME_FAULT;
	}
	head_set(&r->head, RECORD_ERROR, at, time, r->process.start, r->process.tgid, bpf_get_current_pid_tgid());
	return at;
}

static __always_inline void failed_exec_send(struct scratch *s, u32 at)
{
	barrier_var(at);
	if (at <= sizeof(s->bytes))
		emit(s->bytes, at, RECORD_ERROR, true);
}

/* Puts off a failure whose arguments are not in memory, if it can: failed_exec_finish() comes later
 * then. Each object has its own. */
static bool failed_exec_defer(struct pending_call *call, s64 ret);

/*
 * A signal may interrupt the call: then it is restarted, or was no failure (include/linux/errno.h,
 * ERESTARTSYS to ERESTART_RESTARTBLOCK). And a thread that is killed in the ptrace stop at the
 * entry returns with the ENOSYS that the entry set, without having made the call (kernel/entry/,
 * syscall_trace_enter()): fatal_signal_pending() decides there, as here.
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
 * Sends the record of a failed call, and returns 0. If arguments are not in memory, it leaves the
 * record in the scratch memory, keeps the pending call, and returns the record's size. at: what
 * failed_exec_caller() returned; 0: the call has not failed. A function of its own, since it is
 * long; but not together with what defers the rest: that sleeps, as the verifier sees it, which a
 * global function may not do here.
 */
__noinline int failed_exec_record(u32 slot, u32 at, s64 ret)
{
	u64 task = bpf_get_current_task();
	struct pending_call *call = bpf_map_lookup_elem(&pending_calls, &task);
	struct scratch *s = scratch_get(slot);

	if (!call || !s) {
		/* pending_call_complete() found nothing out, or the map was full. */
		if (at)
			lost_count(RECORD_ERROR);
		return 0;
	}
	if (at) {
		if (call->time == 0)
			call->time = bpf_ktime_get_boot_ns();
		at = failed_exec_fill(slot, at, s, call, ret);
		if (s->error.flags & ERROR_F_ARGS_FAULT)
			return at;
		failed_exec_send(s, at);
	}
	bpf_map_delete_elem(&pending_calls, &task);
	return 0;
}

/* Sends the record with as many arguments as it has. */
static __always_inline void failed_exec_finish(u32 slot, u32 at)
{
	u64 task = bpf_get_current_task();
	struct scratch *s = scratch_get(slot);

	if (s)
		failed_exec_send(s, at);
	bpf_map_delete_elem(&pending_calls, &task);
}

/*
 * If the call has failed, fills in the caller; then as failed_exec_record(). often: such calls are
 * so many that failed_exec_caller_typed() is worth the time that it takes to load. registers: for
 * pending_call_complete().
 */
__noinline int failed_exec_check(u32 often, u32 slot, s64 ret, u64 registers)
{
	u32 at = 0;

	if (is_failure(ret)) {
		pending_call_complete(registers);
		at = often && settings.typed ? failed_exec_caller_typed(slot) : 0;
		if (!at)
			at = failed_exec_caller(slot);
	} else if (settings.exits_only) {
		return 0;
	}
	return failed_exec_record(slot, at, ret);
}

/* A call returns. */
static __always_inline int failed_exec_return(bool often, u32 slot, s64 ret, u64 registers)
{
	u64 task = bpf_get_current_task();
	struct pending_call *call;
	u32 at = ret < 0 || !settings.exits_only ? failed_exec_check(often, slot, ret, registers) : 0;

	if (at == 0)
		return 0;
	call = bpf_map_lookup_elem(&pending_calls, &task);
	if (!call || !failed_exec_defer(call, ret))
		failed_exec_finish(slot, at);
	return 0;
}
