/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sending a record: one ring buffer for all records, loss counted by kind, and a consumer that is
 * woken only when it asked for it.
 *
 * The consumer writes to wake_at how many waiting bytes are worth a wake-up: 1 while it sleeps, a
 * good part of the ring while it drains by a timer, 0 for never. A record that makes no event, as
 * that of a fork, does not wake a consumer that sleeps: it waits for one that does, or until it and
 * its like fill a good part of the ring. A producer commits its record
 * first (the commit is an xchg, hence a full barrier) and reads wake_at then; the consumer sets
 * wake_at first and looks at the ring then. So one of both sees the other, and no record is left
 * waiting. The wake-up itself is an empty record that is discarded, since only a commit or a
 * discard can wake.
 */
#pragma once

#include "vmlinux_min.h"
#include "record.h"
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20); /* set before load from [probes] ring_buffer */
} ring SEC(".maps");

/* Shared with the consumer, and with the other BPF object, through mmap. */
struct record_shared shared SEC(".data.shared");
const volatile struct record_settings settings SEC(".rodata.settings") = { .args_limit = 2 << 20, .page_size = 4096 };

static __always_inline void head_set(struct record_head *head, u32 kind, u32 size, u64 time, u64 start, u32 tgid,
				     u32 tid)
{
	head->kind = kind;
	head->size = size;
	head->time = time;
	head->start = start;
	head->tgid = tgid;
	head->tid = tid;
	head->lost_events = READ_ONCE(shared.lost_events);
	head->lost_forks = READ_ONCE(shared.lost_forks);
}

static __always_inline void lost_count(u32 kind)
{
	__sync_fetch_and_add(&shared.lost_by_kind[kind & 7], 1);
	/* A chunk is no event: the record after it shows that its arguments are truncated. */
	if (kind == RECORD_FORK)
		__sync_fetch_and_add(&shared.lost_forks, 1);
	else if (kind != RECORD_ARGS && kind != RECORD_ENV)
		__sync_fetch_and_add(&shared.lost_events, 1);
}

static __always_inline void wake_consumer(bool is_event)
{
	u32 wake_at = READ_ONCE(shared.wake_at);
	void *empty;

	if (wake_at == 1 && !is_event)
		wake_at = bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE) / RECORD_WAKE_PART;
	if (wake_at == 0 || (wake_at > 1 && bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) < wake_at))
		return;
	empty = bpf_ringbuf_reserve(&ring, 8, 0);
	if (!empty)
		return;
	WRITE_ONCE(shared.wake_at, 0);
	bpf_ringbuf_discard(empty, BPF_RB_FORCE_WAKEUP);
}

/*
 * Sends `size` bytes. A record is filled elsewhere first: the consumer stops at one that is
 * reserved and not committed (kernel/bpf/ringbuf.c, BPF_RINGBUF_BUSY_BIT), so all later records
 * would wait for the program that fills it. is_event: it makes one, for which a reader may be waiting.
 */
static __always_inline bool emit(void *record, u32 size, u32 kind, bool is_event)
{
	bool sent = bpf_ringbuf_output(&ring, record, size, BPF_RB_NO_WAKEUP) == 0;

	if (!sent)
		lost_count(kind);
	wake_consumer(is_event);
	return sent;
}

/*
 * A short record may be filled in the ring buffer itself, by a program that is never preempted: then the memory, which
 * the consumer read last, is fetched while the rest is read. NULL: the record is lost.
 */
static __always_inline void *reserve(u32 size, u32 kind)
{
	void *record = bpf_ringbuf_reserve(&ring, size, 0);

	if (!record) {
		lost_count(kind);
		wake_consumer(false);
	}
	return record;
}

static __always_inline void submit(void *record, bool is_event)
{
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	wake_consumer(is_event);
}
