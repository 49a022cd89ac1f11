/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Failed execs, by each way that there is. The daemon loads those of one way (src/errors.c has the order, and its reasons).
 *
 * The functions of the system calls have one argument, the caller's registers. Those of 32-bit callers are functions of their own.
 */
#ifndef EXECSNOOP_FAILED_EXEC_ATTACH_BPF_H
#define EXECSNOOP_FAILED_EXEC_ATTACH_BPF_H

#include "failed_exec.bpf.h"

#if defined(__TARGET_ARCH_x86)
#define ARGUMENT(ctx) BPF_CORE_READ(ctx, di)
#define RESULT(ctx) (long)BPF_CORE_READ(ctx, ax)
#else
#define ARGUMENT(ctx) BPF_CORE_READ(ctx, regs[0])
#define RESULT(ctx) (long)BPF_CORE_READ(ctx, regs[0])
#endif

/* registers: the one argument. */
__attribute__((noinline)) int call_entered(u64 registers)
{
	struct passed passed = passed_read(false, (void *)bpf_get_current_task(), (void *)registers);

	return pending_call_add(passed.filename, passed.argv, passed.dirfd, passed.width);
}

/*
 * Where the kernel preempts the program at a return, it leaves out the others' runs on that CPU meanwhile, and counts them
 * (recursion_misses), those of calls that succeeded too. So each success is noted before it returns, and taken back where the
 * return was seen: what stays is what was left out, and no loss.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u64); /* task_struct */
	__type(value, u8);
} expected_returns SEC(".maps");

/* Does the kernel itself exec (kernel_execve() for a usermode helper, kernel/umh.c)? There is no system call then. It is a
 * kernel thread's child, and its first exec. */
static __always_inline bool is_helper(struct task_struct *task)
{
	return BPF_CORE_READ(task, self_exec_id) == 1 && BPF_CORE_READ(task, real_parent, flags) & PF_KTHREAD;
}

SEC("?tp_btf/sched_process_exec")
int probe_exec_expect(void *ctx)
{
	u64 task = bpf_get_current_task();
	u8 one = 1;

	if (!settings.prepared)
		pending_call_forget();
	/* The tracepoints are not passed by what has become a 32-bit program (kernel/trace/trace_syscalls.c, trace_get_syscall_nr()). */
	if (settings.preempted_returns == RECORD_TRACEPOINTS && is_compat(false, (void *)task))
		return 0;
	if (!is_helper((void *)task) && bpf_map_update_elem(&expected_returns, &task, &one, BPF_ANY) == 0)
		__sync_fetch_and_add(&shared.made_up_events, 1);
	return 0;
}

static __always_inline int preemptible_return(bool often, u32 slot, s64 ret, u64 registers)
{
	u64 task = bpf_get_current_task();

	if (settings.preempted_returns && ret >= 0 && bpf_map_delete_elem(&expected_returns, &task) == 0)
		__sync_fetch_and_add(&shared.made_up_events, -1);
	return failed_exec_return(often, slot, ret, registers);
}

/* The returns of all the functions, since 6.14: the function graph tracer, which runs it with preemption off and has a return for
 * each call there is (kernel/trace/fprobe.c; fgraph.c, function_graph_enter_regs()). */
SEC("?kretprobe.multi")
int kprobe_multi_exit(struct pt_regs *ctx)
{
	return failed_exec_return(true, SCRATCH_EXECVE, RESULT(ctx), 0);
}

/* Trampolines; the daemon names the functions. The first argument is not read as ctx[0]: on 5.10 the type information of
 * execveat has its struct only declared, and the verifier then knows no such argument. */
static __always_inline u64 first_argument(void *ctx)
{
	u64 registers = 0;

	bpf_probe_read_kernel(&registers, sizeof(registers), ctx);
	return registers;
}

SEC("?fentry")
int fentry_execve(void *ctx)
{
	return call_entered(first_argument(ctx));
}

SEC("?fentry")
int fentry_execveat(void *ctx)
{
	return call_entered(first_argument(ctx));
}

SEC("?fentry")
int fentry_compat_execve(void *ctx)
{
	return call_entered(first_argument(ctx));
}

SEC("?fentry")
int fentry_compat_execveat(void *ctx)
{
	return call_entered(first_argument(ctx));
}

SEC("?fexit")
int BPF_PROG(fexit_execve, const struct pt_regs *regs, long ret)
{
	return preemptible_return(true, SCRATCH_EXECVE, ret, first_argument(ctx));
}

SEC("?fexit")
int BPF_PROG(fexit_execveat, const struct pt_regs *regs, long ret)
{
	return preemptible_return(false, SCRATCH_EXECVEAT, ret, first_argument(ctx));
}

SEC("?fexit")
int BPF_PROG(fexit_compat_execve, const struct pt_regs *regs, long ret)
{
	return preemptible_return(false, SCRATCH_COMPAT_EXECVE, ret, first_argument(ctx));
}

SEC("?fexit")
int BPF_PROG(fexit_compat_execveat, const struct pt_regs *regs, long ret)
{
	return preemptible_return(false, SCRATCH_COMPAT_EXECVEAT, ret, first_argument(ctx));
}

/* Kprobes, of all the functions. They are not preempted. They have entries on all kernels, since the returns can run out
 * (pending_call_add()). */

SEC("?kprobe")
int kprobe_entry(struct pt_regs *ctx)
{
	return call_entered(ARGUMENT(ctx));
}

SEC("?kretprobe")
int kprobe_exit(struct pt_regs *ctx)
{
	return failed_exec_return(true, SCRATCH_EXECVE, RESULT(ctx), 0);
}

/*
 * The syscall tracepoints: everywhere, but not for 32-bit callers on x86, and at the price of all system calls: a third of
 * it for the entries. A program here is not preempted (kernel/trace/trace_syscalls.c, perf_syscall_exit()) before
 * 7.x: where the kernel has trace_call_bpf_faultable(), it is.
 */

SEC("?tracepoint/syscalls/sys_enter_execve")
int tracepoint_enter_execve(struct sys_enter *ctx)
{
	return pending_call_add(ctx->args[0], ctx->args[1], AT_FDCWD, 8);
}

SEC("?tracepoint/syscalls/sys_enter_execveat")
int tracepoint_enter_execveat(struct sys_enter *ctx)
{
	return pending_call_add(ctx->args[1], ctx->args[2], ctx->args[0], 8);
}

/* Of both. What the program may not read itself, the first word, are the caller's registers up to 6.12 (kernel/trace/trace_syscalls.c,
 * perf_call_bpf_exit()); they are taken from there before 5.15 only. */
SEC("?tracepoint/syscalls/sys_exit_execve")
int tracepoint_exit(struct sys_exit *ctx)
{
	return preemptible_return(true, SCRATCH_EXECVE, ctx->ret, settings.registers ? 0 : first_argument(ctx));
}

#endif
