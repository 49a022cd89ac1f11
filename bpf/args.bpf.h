/* SPDX-License-Identifier: GPL-2.0-only */
/* Arguments and environment of any length: in the record itself if they are short, else in chunks
 * that are sent before it. */
#pragma once

#include "scratch.bpf.h"

/* Reads a string of the user's. Returns its size with the NUL; 0 or less if it cannot be read.
 * Before 6.13 the helper returns 0 for the empty one, since strncpy_from_user_nofault() did not
 * count its NUL (mm/maccess.c). */
static __always_inline long user_string(void *to, u32 size, const void *from)
{
	long n = bpf_probe_read_user_str(to, size, from);

	if (n != 0)
		return n;
	*(char *)to = '\0';
	return 1;
}

#define ARGS_BATCH 8   /* chunks */
#define ARGS_ROUNDS 64 /* 8 MiB: more than the kernel's own limit of 6 (fs/exec.c, bprm_stack_limits) */

struct args_chunk {
	u64 from;      /* of the user's memory */
	u64 remaining; /* bytes */
	struct record_args args;
	char bytes[RECORD_CHUNK + 4096]; /* as far as a masked offset and one more part reach */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_SLOTS);
	__type(key, u32);
	__type(value, struct args_chunk);
} args_chunks SEC(".maps");

/* Before the first chunk of that kind: the record that it belongs to. */
static __always_inline void args_begin(u32 slot, u32 kind, u64 time, u64 start, u32 tgid)
{
	struct args_chunk *c = bpf_map_lookup_elem(&args_chunks, &slot);

	if (!c)
		return;
	head_set(&c->args.head, kind, 0, time, start, tgid, tgid);
	c->args.position = 0;
	c->args.bytes.offset = sizeof(struct record_args);
}

/* Sends the first `n` of `bytes`. */
static __always_inline void args_chunk_send(struct args_chunk *c, u32 n)
{
	c->args.head.size = sizeof(struct record_args) + n;
	c->args.head.lost_events = READ_ONCE(shared.lost_events);
	c->args.head.lost_forks = READ_ONCE(shared.lost_forks);
	c->args.bytes.size = n;
	emit(&c->args, sizeof(struct record_args) + n, c->args.head.kind, false);
	*(volatile u64 *)&c->args.position += n;
}

/* False at the end. */
__noinline int args_batch(u32 slot)
{
	volatile struct args_chunk *c = bpf_map_lookup_elem(&args_chunks, &slot);
	u64 remaining;
	u32 n;

	if (!c)
		return false;
	for (int i = 0; i < ARGS_BATCH; i++) {
		remaining = c->remaining;
		if (remaining == 0)
			return false;
		n = remaining < RECORD_CHUNK ? remaining : RECORD_CHUNK;
		barrier_var(n);
		if (n > RECORD_CHUNK)
			return false;
		if (bpf_probe_read_user((void *)c->bytes, n, (void *)c->from))
			return false;
		args_chunk_send((struct args_chunk *)c, n);
		c->from += n;
		c->remaining -= n;
	}
	return true;
}

/* Sends [from, from + size) of the user's memory, as far as it can be read. */
static __always_inline void args_send(u32 slot, u64 from, u64 size)
{
	struct args_chunk *c = bpf_map_lookup_elem(&args_chunks, &slot);

	if (!c)
		return;
	c->from = from;
	c->remaining = size;
	for (int i = 0; i < ARGS_ROUNDS; i++)
		if (!args_batch(slot))
			break;
}
