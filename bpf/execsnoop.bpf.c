// SPDX-License-Identifier: GPL-2.0-only
/* The BPF object: the probes, and the iterator over what runs already. */
#include "life.bpf.h"

#include "error.bpf.h"

static __always_inline bool error_later(struct attempt *attempt, s64 ret, u64 time, u32 tid)
{
	return false;
}

/* Every process that is alive: those whose last thread is gone have had their exit already, zombies too. */
SEC("iter/task")
int iterate(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct record_process process;

	if (!task || BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid))
		return 0;
	if (BPF_CORE_READ(task, signal, live.counter) == 0)
		return 0;
	process_fill(&process, task);
	bpf_seq_write(ctx->meta->seq, &process, sizeof(process));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
