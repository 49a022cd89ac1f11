// SPDX-License-Identifier: GPL-2.0-only
/* Fork, exec and exit, and the iterator over the processes that run already. */
#include "preempted.bpf.h"
#include "fallback.bpf.h"

SEC("tp_btf/sched_process_fork")
int BPF_PROG(probe_fork, struct task_struct *parent, struct task_struct *child)
{
	first_running_set(RECORD_FORK, 1);
	fork_emit(true, true, parent, child);
	first_running_set(RECORD_FORK, 0);
	return 0;
}

SEC("?tp_btf/sched_process_fork")
int BPF_PROG(second_fork, struct task_struct *parent, struct task_struct *child)
{
	return take_over(RECORD_FORK) ? fork_emit(true, false, parent, child) : 0;
}

/* One function for both programs, since it is long; each is verified with its own copy. */
static __noinline int exec_typed(u32 slot, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	return exec_emit(true, slot, task, old_pid, bprm);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(probe_exec, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	first_running_set(RECORD_EXEC, 1);
	exec_typed(SCRATCH_EXEC, task, old_pid, bprm);
	first_running_set(RECORD_EXEC, 0);
	return 0;
}

SEC("?tp_btf/sched_process_exec")
int BPF_PROG(second_exec, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	return take_over(RECORD_EXEC) ? exec_typed(SCRATCH_SECOND_EXEC, task, old_pid, bprm) : 0;
}

/* Since 6.16 (3c1a52f2a6c3) the tracepoint says whether this was the last thread. */
SEC("?tp_btf/sched_process_exit")
int BPF_PROG(probe_exit_group_dead, struct task_struct *task, bool group_dead)
{
	first_running_set(RECORD_EXIT, 1);
	if (group_dead)
		exit_emit(true, THREADS_EXIT, task);
	first_running_set(RECORD_EXIT, 0);
	return 0;
}

SEC("?tp_btf/sched_process_exit")
int BPF_PROG(second_exit, struct task_struct *task, bool group_dead)
{
	return take_over(RECORD_EXIT) && group_dead ? exit_emit(true, THREADS_SECOND_EXIT, task) : 0;
}

/* Before 6.16: signal->live has been decremented here. Two threads that end at the same time may
 * both see 0; the table ignores the second record. */
SEC("?tp_btf/sched_process_exit")
int BPF_PROG(probe_exit_live, struct task_struct *task)
{
	return BPF_CORE_READ(task, signal, live.counter) == 0 ? exit_emit(true, THREADS_EXIT, task) : 0;
}

SEC("iter/task")
int iterate_tasks(struct bpf_iter__task *ctx)
{
	struct record_running running = {};
	struct task_struct *task = ctx->task;

	if (task && running_fill(&running, task))
		bpf_seq_write(ctx->meta->seq, &running, sizeof(running));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
