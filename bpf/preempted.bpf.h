/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Since 7.0 a program at a tracepoint may be preempted (include/linux/tracepoint.h,
 * __DECLARE_TRACE()), and the kernel skips the same program for other tasks that pass the
 * tracepoint on that CPU meanwhile (bpf_trace_run(), prog->active). So each program has a second
 * one attached after it, which does its work if the first one is running on this CPU: then the
 * kernel has just skipped it.
 *
 * The second one cannot see when its own task was preempted between the two and finds another
 * task's first one running. Then it sends the same record again, which the pipeline recognizes, and
 * one skipped run is taken for made up. That takes two task switches within some ten nanoseconds
 * and a microsecond. A run where both are skipped is reported as lost.
 *
 * Disabling preemption (bpf_preempt_disable()) would not help: a pending preemption happens in
 * bpf_preempt_enable(), where the kernel still counts the program as running.
 */
#pragma once

#include "emit.bpf.h"

/* By enum record_kind: 1 from the first program's begin to its end. No other program writes to it,
 * and that one runs once at a time. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, RECORD_EXIT + 1);
	__type(key, u32);
	__type(value, u32);
} first_running SEC(".maps");

static __always_inline void first_running_set(u32 kind, u32 value)
{
	u32 *running = settings.preempted ? bpf_map_lookup_elem(&first_running, &kind) : NULL;

	if (running)
		WRITE_ONCE(*running, value);
}

/* Returns whether the second program has to do the work of the first; then it counts that as made
 * up. */
static __always_inline bool take_over(u32 kind)
{
	u32 *running = bpf_map_lookup_elem(&first_running, &kind);

	if (!running || !READ_ONCE(*running))
		return false;
	__sync_fetch_and_add(kind == RECORD_FORK ? &shared.made_up_forks : &shared.made_up_events, 1);
	return true;
}
