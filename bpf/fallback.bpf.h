/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fork, exec and exit for kernels without type information of their own ([probes] btf), or with a verifier that refuses what the
 * others do with typed pointers: raw tracepoints, and instead of the iterator a walk over the list of all processes, by a
 * program that the daemon runs itself (BPF_PROG_TEST_RUN).
 */
#ifndef EXECSNOOP_FALLBACK_BPF_H
#define EXECSNOOP_FALLBACK_BPF_H

#include "tasklist.bpf.h"

SEC("?raw_tp/sched_process_fork")
int plain_fork(struct bpf_raw_tracepoint_args *ctx)
{
	return fork_emit(false, (void *)ctx->args[0], (void *)ctx->args[1]);
}

SEC("?raw_tp/sched_process_exec")
int plain_exec(struct bpf_raw_tracepoint_args *ctx)
{
	return exec_emit(false, SCRATCH_EXEC, (void *)ctx->args[0], ctx->args[1], (void *)ctx->args[2]);
}

/* Without the second argument, which may be there or not (3c1a52f2a6c3): the last thread is counted out either way. */
SEC("?raw_tp/sched_process_exit")
int plain_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[0];

	return BPF_CORE_READ(task, signal, live.counter) == 0 ? exit_emit(false, THREADS_EXIT, task) : 0;
}

#define LIST_STEPS 32	 /* in one verified piece */
#define LIST_PIECES 4096 /* 131,072 processes */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20); /* 52,000 processes; set before load if there are more */
} list SEC(".maps");

/* Where the walk stands: its first task, and the next. */
static struct {
	u64 first, next;
} list_walk;

enum { LIST_ON, LIST_DONE, LIST_FULL };

/* Goes on for LIST_STEPS. */
__attribute__((noinline)) int list_some(void)
{
	struct record_running *running;
	struct task_struct *task;
	struct list_head *link;

	for (int i = 0; i < LIST_STEPS; i++) {
		task = (void *)*(volatile u64 *)&list_walk.next;
		/* pid 0 is the head of the list. */
		if (BPF_CORE_READ(task, tgid)) {
			running = bpf_ringbuf_reserve(&list, sizeof(*running), 0);
			if (!running)
				return LIST_FULL;
			__builtin_memset(running, 0, sizeof(*running));
			if (running_fill(running, task))
				bpf_ringbuf_submit(running, BPF_RB_NO_WAKEUP);
			else
				bpf_ringbuf_discard(running, BPF_RB_NO_WAKEUP);
		}
		link = BPF_CORE_READ(task, tasks.next);
		task = (void *)link - bpf_core_field_offset(struct task_struct, tasks);
		if (!link || (u64)task == *(volatile u64 *)&list_walk.first)
			return LIST_DONE;
		*(volatile u64 *)&list_walk.next = (u64)task;
	}
	return LIST_ON;
}

/* 0: it is complete. Under the RCU lock, as every program: a task that goes away meanwhile still leads on. */
SEC("?raw_tp")
int plain_list(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	int outcome = LIST_ON;

	task = BPF_CORE_READ(task, group_leader);
	*(volatile u64 *)&list_walk.first = *(volatile u64 *)&list_walk.next = (u64)task;
	for (int i = 0; i < LIST_PIECES && outcome == LIST_ON; i++)
		outcome = list_some();
	return outcome == LIST_DONE ? 0 : 1;
}

#endif
