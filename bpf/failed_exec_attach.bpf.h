/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The programs that see failed execs, for each way to attach them. The daemon loads those of one
 * way (src/kernel/failed_exec.c has the order, and its reasons).
 *
 * The functions of the system calls have one argument, the caller's registers. 32-bit callers have
 * functions of their own.
 */
#pragma once

#include "failed_exec.bpf.h"

#if defined(__TARGET_ARCH_x86)
#define ARGUMENT(ctx) BPF_CORE_READ(ctx, di)
#define RESULT(ctx) (long)BPF_CORE_READ(ctx, ax)
#else
#define ARGUMENT(ctx) BPF_CORE_READ(ctx, regs[0])
#define RESULT(ctx) (long)BPF_CORE_READ(ctx, regs[0])
#endif

/* A call begins. registers: the one argument. */
__noinline int call_entered(u64 registers)
{
	struct exec_args args = exec_args_read(false, (void *)bpf_get_current_task(), (void *)registers);

	return pending_call_add(args.filename, args.argv, args.dirfd, args.width);
}

/*
 * Where the kernel preempts the program at a return, it skips the program's runs for other tasks on
 * that CPU meanwhile, and counts them (recursion_misses), those of calls that succeeded too. So
 * each success is added here before it returns, and removed when the return is seen: what is left
 * are skipped runs that lost no event.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u64); /* task_struct */
	__type(value, u8);
} expected_returns SEC(".maps");

/* Whether the kernel itself calls exec (kernel_execve() for a usermode helper, kernel/umh.c),
 * without a system call. The task is a kernel thread's child then, and it is its first exec. */
static __always_inline bool is_helper(struct task_struct *task)
{
	return BPF_CORE_READ(task, self_exec_id) == 1 && BPF_CORE_READ(task, real_parent, flags) & PF_KTHREAD;
}

SEC("?tp_btf/sched_process_exec")
int probe_exec_expect(void *ctx)
{
	u64 task = bpf_get_current_task();
	u8 one = 1;

	if (!settings.exits_only)
		pending_call_forget();
	/* A task that has become a 32-bit program does not pass the tracepoints
	 * (kernel/trace/trace_syscalls.c, trace_get_syscall_nr()). */
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

/* kprobe-multi: the returns of all the functions, since 6.14. The function graph tracer runs it
 * with preemption disabled, and returns never run out (kernel/trace/fprobe.c; fgraph.c,
 * function_graph_enter_regs()). */
SEC("?kretprobe.multi")
int kprobe_multi_exit(struct pt_regs *ctx)
{
	return failed_exec_return(true, SCRATCH_EXECVE, RESULT(ctx), 0);
}

/* fexit: trampolines; the daemon names the functions. The first argument is not read as ctx[0]: in
 * the type information of 5.10, the struct of execveat's is only declared, and the verifier refuses
 * such an argument. */
static __always_inline u64 first_argument(void *ctx)
{
	u64 registers = 0;

	bpf_probe_read_kernel(&registers, sizeof(registers), ctx);
	return registers;
}

#define FENTRY(name)                                      \
	SEC("?fentry")                                    \
	int fentry_##name(void *ctx)                      \
	{                                                 \
		return call_entered(first_argument(ctx)); \
	}
FENTRY(execve)
FENTRY(execveat)
FENTRY(compat_execve)
FENTRY(compat_execveat)

/* The slot is the program's own; often: as of failed_exec_check(). */
#define FEXIT(name, slot, often)                                                  \
	SEC("?fexit")                                                             \
	int BPF_PROG(fexit_##name, const struct pt_regs *regs, long ret)          \
	{                                                                         \
		return preemptible_return(often, slot, ret, first_argument(ctx)); \
	}
FEXIT(execve, SCRATCH_EXECVE, true)
FEXIT(execveat, SCRATCH_EXECVEAT, false)
FEXIT(compat_execve, SCRATCH_COMPAT_EXECVE, false)
FEXIT(compat_execveat, SCRATCH_COMPAT_EXECVEAT, false)

/* kprobe, on all the functions. It is not preempted. It has entries on all kernels, since returns
 * can run out (pending_call_add()). */
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
 * tracepoint: the syscall tracepoints, on all kernels, but not for 32-bit callers on x86. All
 * system calls pay for them, a third of it for the entries. A program on them is not preempted
 * (kernel/trace/trace_syscalls.c, perf_syscall_exit()) before 7.x: where the kernel has
 * trace_call_bpf_faultable(), it is.
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

/* Of both. The first word, which the program may not read itself, is the caller's registers up to
 * 6.12 (kernel/trace/trace_syscalls.c, perf_call_bpf_exit()); it is read before 5.15 only. */
SEC("?tracepoint/syscalls/sys_exit_execve")
int tracepoint_exit(struct sys_exit *ctx)
{
	return preemptible_return(true, SCRATCH_EXECVE, ctx->ret, settings.registers ? 0 : first_argument(ctx));
}
