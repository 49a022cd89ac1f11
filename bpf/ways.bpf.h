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

/* The syscall tracepoints: everywhere, but not for 32-bit callers on x86, and at the price of all system calls. */

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

/* Of both: a program at a syscall tracepoint is not preempted (kernel/trace/trace_syscalls.c, perf_syscall_exit()). */
SEC("?tracepoint/syscalls/sys_exit_execve")
int probe_leave(struct sys_exit *ctx)
{
	return error_exit(SCRATCH_ERROR, ctx->ret);
}

#endif
