/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fork, exec and exit for kernels without type information of their own ([probes] btf), or with a
 * verifier that refuses what the other programs do with typed pointers: raw tracepoints, and
 * instead of the iterator a walk over the kernel's list of processes, in a program that the daemon
 * runs itself (BPF_PROG_TEST_RUN).
 */
#pragma once

#include "tasklist.bpf.h"

SEC("?raw_tp/sched_process_fork")
int fallback_fork(struct bpf_raw_tracepoint_args *ctx)
{
	return fork_emit(false, false, (void *)ctx->args[0], (void *)ctx->args[1]);
}

SEC("?raw_tp/sched_process_exec")
int fallback_exec(struct bpf_raw_tracepoint_args *ctx)
{
	return exec_emit(false, SCRATCH_EXEC, (void *)ctx->args[0], ctx->args[1], (void *)ctx->args[2]);
}

/* Does not read the second argument, which not all kernels pass (3c1a52f2a6c3): signal->live has
 * been decremented either way. */
SEC("?raw_tp/sched_process_exit")
int fallback_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[0];

	return BPF_CORE_READ(task, signal, live.counter) == 0 ? exit_emit(false, THREADS_EXIT, task) : 0;
}

#define TASKLIST_BATCH 32
#define TASKLIST_ROUNDS 4096 /* 131,072 processes */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20); /* 52,000 processes; set before load if there are more */
} tasklist SEC(".maps");

/* The first task of the walk, and the next. */
static struct {
	u64 first, next;
} tasklist_walk;

__noinline int tasklist_batch(void)
{
	struct record_running *running;
	struct task_struct *task;
	struct list_head *link;

	for (int i = 0; i < TASKLIST_BATCH; i++) {
		task = (void *)READ_ONCE(tasklist_walk.next);
		/* Pid 0 is the head of the list. */
		if (BPF_CORE_READ(task, tgid)) {
			running = bpf_ringbuf_reserve(&tasklist, sizeof(*running), 0);
			if (!running)
				return WALK_CUT;
			__builtin_memset(running, 0, sizeof(*running));
			if (running_fill(running, task))
				bpf_ringbuf_submit(running, BPF_RB_NO_WAKEUP);
			else
				bpf_ringbuf_discard(running, BPF_RB_NO_WAKEUP);
		}
		link = BPF_CORE_READ(task, tasks.next);
		task = container_of(link, struct task_struct, tasks);
		if (!link || (u64)task == READ_ONCE(tasklist_walk.first))
			return WALK_DONE;
		WRITE_ONCE(tasklist_walk.next, (u64)task);
	}
	return WALK_ON;
}

/* Returns 0 if the list is complete. Under the RCU lock, as each program: a task that is removed
 * meanwhile still leads to the next. */
SEC("?raw_tp")
int fallback_tasklist(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	int outcome = WALK_ON;

	task = BPF_CORE_READ(task, group_leader);
	WRITE_ONCE(tasklist_walk.first, (u64)task);
	WRITE_ONCE(tasklist_walk.next, (u64)task);
	for (int i = 0; i < TASKLIST_ROUNDS && outcome == WALK_ON; i++)
		outcome = tasklist_batch();
	return outcome == WALK_DONE ? 0 : 1;
}
