/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Failed execs, by each way that there is: trampolines (fentry and fexit) and kprobes on the functions of the system
 * calls, which cost nobody else anything, and the syscall tracepoints. The daemon loads those of one way.
 *
 * The functions have one argument, the caller's registers. Those of 32-bit callers are functions of their own, which
 * have the arguments in other registers on x86, and pointers of four bytes.
 */
#ifndef EXECSNOOP_WAYS_BPF_H
#define EXECSNOOP_WAYS_BPF_H

#include "error.bpf.h"

#if defined(__TARGET_ARCH_x86)
#define NATIVE_0(regs) BPF_CORE_READ(regs, di)
#define NATIVE_1(regs) BPF_CORE_READ(regs, si)
#define NATIVE_2(regs) BPF_CORE_READ(regs, dx)
#define COMPAT_0(regs) (u32) BPF_CORE_READ(regs, bx)
#define COMPAT_1(regs) (u32) BPF_CORE_READ(regs, cx)
#define COMPAT_2(regs) (u32) BPF_CORE_READ(regs, dx)
#define RESULT(ctx) BPF_CORE_READ(ctx, ax)
#else
#define NATIVE_0(r) BPF_CORE_READ(r, regs[0])
#define NATIVE_1(r) BPF_CORE_READ(r, regs[1])
#define NATIVE_2(r) BPF_CORE_READ(r, regs[2])
#define COMPAT_0(r) (u32) NATIVE_0(r)
#define COMPAT_1(r) (u32) NATIVE_1(r)
#define COMPAT_2(r) (u32) NATIVE_2(r)
#define RESULT(ctx) NATIVE_0(ctx)
#endif

static __always_inline int enter_execve(const struct pt_regs *regs)
{
	return error_enter(NATIVE_0(regs), NATIVE_1(regs), AT_FDCWD, 8);
}

static __always_inline int enter_execveat(const struct pt_regs *regs)
{
	return error_enter(NATIVE_1(regs), NATIVE_2(regs), NATIVE_0(regs), 8);
}

static __always_inline int enter_compat_execve(const struct pt_regs *regs)
{
	return error_enter(COMPAT_0(regs), COMPAT_1(regs), AT_FDCWD, 4);
}

static __always_inline int enter_compat_execveat(const struct pt_regs *regs)
{
	return error_enter(COMPAT_1(regs), COMPAT_2(regs), COMPAT_0(regs), 4);
}

/* Trampolines; the daemon names the functions. The first argument is not read as ctx[0]: on 5.10 the type information of
 * execveat has its struct only declared, and the verifier then knows no such argument. */
static __always_inline const struct pt_regs *first_argument(void *ctx)
{
	const struct pt_regs *regs = NULL;

	bpf_probe_read_kernel(&regs, sizeof(regs), ctx);
	return regs;
}

SEC("?fentry")
int fentry_execve(void *ctx)
{
	return enter_execve(first_argument(ctx));
}

SEC("?fentry")
int fentry_execveat(void *ctx)
{
	return enter_execveat(first_argument(ctx));
}

SEC("?fentry")
int fentry_compat_execve(void *ctx)
{
	return enter_compat_execve(first_argument(ctx));
}

SEC("?fentry")
int fentry_compat_execveat(void *ctx)
{
	return enter_compat_execveat(first_argument(ctx));
}

SEC("?fexit")
int BPF_PROG(fexit_execve, const struct pt_regs *regs, long ret)
{
	return error_exit(true, SCRATCH_ERROR, ret);
}

SEC("?fexit")
int BPF_PROG(fexit_execveat, const struct pt_regs *regs, long ret)
{
	return error_exit(false, SCRATCH_ERROR_AT, ret);
}

SEC("?fexit")
int BPF_PROG(fexit_compat_execve, const struct pt_regs *regs, long ret)
{
	return error_exit(false, SCRATCH_COMPAT, ret);
}

SEC("?fexit")
int BPF_PROG(fexit_compat_execveat, const struct pt_regs *regs, long ret)
{
	return error_exit(false, SCRATCH_COMPAT_AT, ret);
}

/* Kprobes. The first argument of the probed function is the first of a native system call too. */

SEC("?kprobe")
int kprobe_execve(struct pt_regs *ctx)
{
	return enter_execve((void *)NATIVE_0(ctx));
}

SEC("?kprobe")
int kprobe_execveat(struct pt_regs *ctx)
{
	return enter_execveat((void *)NATIVE_0(ctx));
}

SEC("?kprobe")
int kprobe_compat_execve(struct pt_regs *ctx)
{
	return enter_compat_execve((void *)NATIVE_0(ctx));
}

SEC("?kprobe")
int kprobe_compat_execveat(struct pt_regs *ctx)
{
	return enter_compat_execveat((void *)NATIVE_0(ctx));
}

/* Of all four: kprobes are not preempted. */
SEC("?kretprobe")
int kretprobe_leave(struct pt_regs *ctx)
{
	return error_exit(true, SCRATCH_ERROR, (long)RESULT(ctx));
}

/*
 * The syscall tracepoints: everywhere, but not for 32-bit callers on x86, and at the price of all system calls: a third of
 * it for the entries. A program here is not preempted (kernel/trace/trace_syscalls.c, perf_syscall_exit()).
 */

SEC("?tracepoint/syscalls/sys_enter_execve")
int probe_enter_execve(struct sys_enter *ctx)
{
	return error_enter(ctx->args[0], ctx->args[1], AT_FDCWD, 8);
}

SEC("?tracepoint/syscalls/sys_enter_execveat")
int probe_enter_execveat(struct sys_enter *ctx)
{
	return error_enter(ctx->args[1], ctx->args[2], ctx->args[0], 8);
}

/* Of both. */
SEC("?tracepoint/syscalls/sys_exit_execve")
int probe_leave(struct sys_exit *ctx)
{
	return error_exit(true, SCRATCH_ERROR, ctx->ret);
}

/*
 * Without the entries. When the call has failed, what it was given is in the caller's registers still, and in its memory; but not
 * if it failed behind the point of no return. So the tracepoint just before that point (6.10, 5c5fad46e48c) keeps the path,
 * in an array: a hash would cost every exec five times as much. Nothing needs to be forgotten, since every exec that comes to that
 * point writes its slot anew, or finds somebody there who does.
 */
struct prepared {
	u64 task;
	u64 start;	 /* of the process: its threads may end meanwhile, but for this one */
	u32 begun, done; /* by whoever writes here: one at a time */
	s32 dirfd;
	u32 early_size;
	char early[EARLY_FILENAME];
};

#define PREPARED_BITS 9

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << PREPARED_BITS);
	__type(key, u32);
	__type(value, struct prepared);
} prepared SEC(".maps");

/* Of threads that are in that part of an exec at once and share a slot, only the last one's path is known. */
static __always_inline struct prepared *prepared_of(u64 task)
{
	u32 slot = (task * 0x9e3779b97f4a7c15) >> (64 - PREPARED_BITS);

	return bpf_map_lookup_elem(&prepared, &slot);
}

/* What a thread has given to the call that it is in. The kernels that have the tracepoint know these types. */
struct given {
	u64 filename, argv;
	s32 dirfd;
};

static __always_inline struct given given_by(struct task_struct *task)
{
	struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
#if defined(__TARGET_ARCH_x86)
	u64 first = regs->di, second = regs->si, third = regs->dx;
	bool at = regs->orig_ax == 322;
#else
	u64 first = regs->orig_x0, second = regs->regs[1], third = regs->regs[2]; /* regs[0] has the result */
	bool at = regs->syscallno == 281;
#endif

	return at ? (struct given){ second, third, first } : (struct given){ first, second, AT_FDCWD };
}

SEC("?tp_btf/sched_prepare_exec")
int probe_prepare(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 address = bpf_get_current_task(); /* the verifier knows no numbers in typed pointers */
	struct prepared *slot = prepared_of(address);
	struct given given;
	long n;

	if (!slot)
		return 0;
	__sync_fetch_and_add(&slot->begun, 1);
	if (*(volatile u32 *)&slot->begun == *(volatile u32 *)&slot->done + 1) {
		given = given_by(task);
		slot->task = address;
		slot->start = task->group_leader->start_boottime;
		slot->dirfd = given.dirfd;
		n = user_string(slot->early, sizeof(slot->early), (void *)given.filename);
		slot->early_size = n > 0 ? n : 0;
	} else {
		slot->task = 0; /* at worst it was the other one's, and nobody's path is known */
	}
	__sync_fetch_and_add(&slot->done, 1);
	return 0;
}

/* It has a new memory, of which nobody has said where its code is: what fs/binfmt_elf.c, load_elf_binary(), does last of all. */
static __always_inline bool is_behind_return(struct task_struct *task)
{
	struct mm_struct *mm = task->mm;

	return mm && !(mm->start_code | mm->end_code);
}

/* The path is all that there may be. */
static __always_inline void recall_prepared(struct task_struct *task, struct attempt *attempt)
{
	u64 address = bpf_get_current_task();
	volatile struct prepared *slot = prepared_of(address);
	u32 begun;

	attempt->dirfd = AT_FDCWD;
	if (!slot)
		return;
	begun = slot->begun;
	if (begun != slot->done || slot->task != address || slot->start != task->group_leader->start_boottime)
		return;
	bpf_probe_read_kernel(attempt->early, sizeof(attempt->early), (void *)slot->early);
	attempt->early_size = slot->early_size;
	attempt->dirfd = slot->dirfd;
	if (slot->begun != begun)
		attempt->early_size = 0;
}

SEC("?tracepoint/syscalls/sys_exit_execve")
int probe_leave_alone(struct sys_exit *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct attempt attempt = { .width = 8 };
	struct given given;

	if (!is_failure(ctx->ret))
		return 0;
	if (is_behind_return(task)) {
		recall_prepared(task, &attempt);
	} else {
		given = given_by(task);
		attempt.filename = given.filename;
		attempt.argv = given.argv;
		attempt.dirfd = given.dirfd;
		attempt.mm = (u64)task->mm;
	}
	attempt_keep(&attempt);
	return error_exit(true, SCRATCH_ERROR, ctx->ret);
}

#endif
