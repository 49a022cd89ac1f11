// SPDX-License-Identifier: GPL-2.0-only
/* Failed execs since 7.0, where the verifier adds the last argument (6e663ffdf760, KF_IMPLICIT_ARGS). */
#include "late.bpf.h"

extern int bpf_task_work_schedule_signal(struct task_struct *task, struct bpf_task_work *tw, void *map__map,
					 bpf_task_work_callback_t callback) __ksym __weak;

static __always_inline int schedule(struct task_struct *task, struct bpf_task_work *work, void *map,
				    bpf_task_work_callback_t callback)
{
	return bpf_task_work_schedule_signal(task, work, map, callback);
}

char LICENSE[] SEC("license") = "GPL";
