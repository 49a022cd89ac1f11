/* SPDX-License-Identifier: GPL-2.0-only */
/* Arguments and environment, however long: in the record itself if they are few, else in pieces sent before it. */
#ifndef EXECSNOOP_ARGS_BPF_H
#define EXECSNOOP_ARGS_BPF_H

#include "scratch.bpf.h"

/* A string of the user's, with its NUL; its size, or not more than 0 if it cannot be read. Before 6.13 the helper has 0 for the
 * empty one, since strncpy_from_user_nofault() did not count its NUL (mm/maccess.c). */
static __always_inline long user_string(void *to, u32 size, const void *from)
{
	long n = bpf_probe_read_user_str(to, size, from);

	if (n != 0)
		return n;
	*(char *)to = '\0';
	return 1;
}

#define ARGS_BATCH 8   /* pieces in one verified loop */
#define ARGS_ROUNDS 64 /* 8 MiB: more than the kernel's own limit of 6 (fs/exec.c, bprm_stack_limits) */

/* Where a long list stands is kept here, for the reason that walk_name() gives. */
struct args_chunk {
	u64 from; /* of the user's memory */
	u64 left; /* bytes still to be sent */
	struct record_args args;
	char bytes[RECORD_CHUNK + 4096]; /* what a masked offset and one more part may reach */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_SLOTS);
	__type(key, u32);
	__type(value, struct args_chunk);
} args_chunks SEC(".maps");

/* Before any piece of that kind: which record they will belong to. */
static __always_inline void args_begin(u32 slot, u32 kind, u64 time, u64 start, u32 tgid)
{
	struct args_chunk *p = bpf_map_lookup_elem(&args_chunks, &slot);

	if (!p)
		return;
	head_set(&p->args.head, kind, 0, time, start, tgid, tgid);
	p->args.position = 0;
	p->args.bytes.offset = sizeof(struct record_args);
}

/* Sends the `n` bytes that stand in `bytes`. */
static __always_inline void args_chunk_send(struct args_chunk *p, u32 n)
{
	p->args.head.size = sizeof(struct record_args) + n;
	p->args.head.lost_events = *(volatile u32 *)&shared.lost_events;
	p->args.head.lost_forks = *(volatile u32 *)&shared.lost_forks;
	p->args.bytes.size = n;
	emit(&p->args, sizeof(struct record_args) + n, p->args.head.kind);
	*(volatile u64 *)&p->args.position += n;
}

/* Goes on for ARGS_BATCH; 0 when there is no more to do. */
__attribute__((noinline)) int args_batch(u32 slot)
{
	volatile struct args_chunk *p = bpf_map_lookup_elem(&args_chunks, &slot);
	u64 left;
	u32 n;

	if (!p)
		return 0;
	for (int i = 0; i < ARGS_BATCH; i++) {
		left = p->left;
		if (left == 0)
			return 0;
		n = left < RECORD_CHUNK ? left : RECORD_CHUNK;
		asm volatile("" : "+r"(n));
		if (n > RECORD_CHUNK)
			return 0;
		if (bpf_probe_read_user((void *)p->bytes, n, (void *)p->from))
			return 0;
		args_chunk_send((struct args_chunk *)p, n);
		p->from += n;
		p->left -= n;
	}
	return 1;
}

/* Sends [from, from + size) of the user's memory, as far as it can be read. */
static __always_inline void args_send(u32 slot, u64 from, u64 size)
{
	struct args_chunk *p = bpf_map_lookup_elem(&args_chunks, &slot);

	if (!p)
		return;
	p->from = from;
	p->left = size;
	for (int i = 0; i < ARGS_ROUNDS; i++)
		if (!args_batch(slot))
			break;
}

#endif
