// SPDX-License-Identifier: GPL-2.0-only
/* Failed execs on 6.18 and 6.19 (ea0714d61dea). */
#include "late.bpf.h"

extern int bpf_task_work_schedule_signal_impl(struct task_struct *task, struct bpf_task_work *tw, void *map__map,
					      bpf_task_work_callback_t callback, void *aux__prog) __ksym __weak;

static __always_inline int schedule(struct task_struct *task, struct bpf_task_work *work, void *map,
				    bpf_task_work_callback_t callback)
{
	return bpf_task_work_schedule_signal_impl(task, work, map, callback, NULL);
}

char LICENSE[] SEC("license") = "GPL";
