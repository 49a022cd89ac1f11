/* SPDX-License-Identifier: GPL-2.0-only */
/* Failed execs by the syscall tracepoints: everywhere, but not for 32-bit callers on x86, and at the price of all system calls. */
#ifndef EXECSNOOP_TRACEPOINT_BPF_H
#define EXECSNOOP_TRACEPOINT_BPF_H

#include "error.bpf.h"

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

SEC("?tracepoint/syscalls/sys_exit_execve")
int probe_leave_execve(struct sys_exit *ctx)
{
	return error_exit(SCRATCH_ERROR, ctx->ret);
}

SEC("?tracepoint/syscalls/sys_exit_execveat")
int probe_leave_execveat(struct sys_exit *ctx)
{
	return error_exit(SCRATCH_ERROR_AT, ctx->ret);
}

#endif
