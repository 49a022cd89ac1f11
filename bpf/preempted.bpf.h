/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Since 7.0 a program at a tracepoint may be preempted (include/linux/tracepoint.h, __DECLARE_TRACE()), and for whoever comes
 * there on that CPU meanwhile the kernel leaves the same program out (bpf_trace_run(), prog->active). So each has a second one
 * behind it, which does the same if the first one is at work here: then it was left out just now.
 *
 * It cannot see who was preempted between the two, and finds somebody else's first one at work: it tells the same again, which the
 * pipeline knows, and one run that was left out is taken for made up for. That takes two switches of tasks within some ten
 * nanoseconds and a microsecond. Where both are left out, it is told as lost.
 *
 * To put preemption off (bpf_preempt_disable()) would be no cure: it is made up for at bpf_preempt_enable(), when the program is
 * not over for the kernel.
 */
#ifndef EXECSNOOP_PREEMPTED_BPF_H
#define EXECSNOOP_PREEMPTED_BPF_H

#include "emit.bpf.h"

/* By enum record_kind: 1 while the first program runs, or waits to run on. Nobody else writes here: there is one at a time. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, RECORD_EXIT + 1);
	__type(key, u32);
	__type(value, u32);
} first_running SEC(".maps");

static __always_inline void first_running_set(u32 kind, u32 value)
{
	u32 *is = settings.preempted ? bpf_map_lookup_elem(&first_running, &kind) : NULL;

	if (is)
		*(volatile u32 *)is = value;
}

/* Of the second program: is there something to make up for? */
static __always_inline bool take_over(u32 kind)
{
	u32 *is = bpf_map_lookup_elem(&first_running, &kind);

	if (!is || !*(volatile u32 *)is)
		return false;
	__sync_fetch_and_add(kind == RECORD_FORK ? &shared.made_up_forks : &shared.made_up_events, 1);
	return true;
}

#endif
