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
	return error_exit(SCRATCH_ERROR, ret);
}

SEC("?fexit")
int BPF_PROG(fexit_execveat, const struct pt_regs *regs, long ret)
{
	return error_exit(SCRATCH_ERROR_AT, ret);
}

SEC("?fexit")
int BPF_PROG(fexit_compat_execve, const struct pt_regs *regs, long ret)
{
	return error_exit(SCRATCH_COMPAT, ret);
}

SEC("?fexit")
int BPF_PROG(fexit_compat_execveat, const struct pt_regs *regs, long ret)
{
	return error_exit(SCRATCH_COMPAT_AT, ret);
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
	return error_exit(SCRATCH_ERROR, (long)RESULT(ctx));
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
	return error_exit(SCRATCH_ERROR, ctx->ret);
}

/*
 * Without the entries. When the call has failed, what it was given is in the caller's registers still; but for an exec that fails
 * behind the point of no return, for which the tracepoint just before it (6.10, 5c5fad46e48c) does what an entry does.
 */

/* Of the call that the thread is in. The kernels that have the tracepoint know these types. */
static __always_inline int enter_current(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
#if defined(__TARGET_ARCH_x86)
	u64 first = regs->di, second = regs->si, third = regs->dx;
	bool at = regs->orig_ax == 322;
#else
	u64 first = regs->orig_x0, second = regs->regs[1], third = regs->regs[2]; /* regs[0] has the result */
	bool at = regs->syscallno == 281;
#endif

	if (at)
		return error_enter_as((u64)task->mm, task->start_boottime, second, third, first, 8);
	return error_enter_as((u64)task->mm, task->start_boottime, first, second, AT_FDCWD, 8);
}

SEC("?tp_btf/sched_prepare_exec")
int BPF_PROG(probe_prepare, struct task_struct *task, struct linux_binprm *bprm)
{
	return enter_current();
}

/* It was killed; as whoever fails behind the point of no return is (fs/exec.c, bprm_execve()), by a signal that is not
 * blocked then (kernel/signal.c, force_sig_info_to_task()). */
static __always_inline bool is_doomed(struct task_struct *task)
{
	return BPF_CORE_READ(task, pending.signal.sig[0]) & ~BPF_CORE_READ(task, blocked.sig[0]) &
	       (1ul << (SIGKILL - 1) | 1ul << (SIGSEGV - 1));
}

SEC("?tracepoint/syscalls/sys_exit_execve")
int probe_leave_alone(struct sys_exit *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	u64 pid_tgid = bpf_get_current_pid_tgid();
	u32 tid = pid_tgid;
	struct attempt *attempt;

	if (!is_failure(ctx->ret))
		return 0;
	if (!is_doomed(task)) {
		enter_current();
		return error_exit(SCRATCH_ERROR, ctx->ret);
	}
	attempt = bpf_map_lookup_elem(&attempts, &tid);
	if (!attempt || attempt->start != BPF_CORE_READ(task, start_boottime)) {
		enter_current();
		attempt = bpf_map_lookup_elem(&attempts, &tid);
		/* A thread that took its leader's id before it failed is not found by it, and its registers are of a memory that is gone. */
		if (attempt && tid == pid_tgid >> 32) {
			attempt->mm = 0;
			attempt->early_size = 0;
		}
	}
	return error_exit(SCRATCH_ERROR, ctx->ret);
}

#endif
