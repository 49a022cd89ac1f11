/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where records of variable size are put together before they are sent: for each CPU one piece of memory a
 * program. A program never runs twice at once on one CPU (the kernel skips the second run and counts it in
 * recursion_misses; before 5.11 it runs with preemption off), so its scratch is its own, also where the
 * kernel preempts probes.
 *
 * The long loops are global functions with scalar arguments: the verifier looks at each of them once, alone.
 * They share nothing with their caller but the scratch memory.
 */
#ifndef EXECSNOOP_SCRATCH_BPF_H
#define EXECSNOOP_SCRATCH_BPF_H

#include "emit.bpf.h"
#include "task.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* Each program has its own: a trampoline's program may be preempted, and another run on its CPU meanwhile. */
enum scratch_slot {
	SCRATCH_EXEC, /* the daemon makes room for these two alone where the others are not used */
	SCRATCH_SECOND_EXEC,
	SCRATCH_EXECVE,
	SCRATCH_EXECVEAT,
	SCRATCH_COMPAT_EXECVE,
	SCRATCH_COMPAT_EXECVEAT,
	SCRATCH_DEFERRED,
	SCRATCH_SLOTS
};

/* A value of a per-CPU map can have 32 KiB at most (PCPU_MIN_UNIT_SIZE). No write begins behind SCRATCH_START, and below it there is
 * room for all paths at their longest. */
#define SCRATCH_START 24320
#define SCRATCH_WRITE 8192 /* the longest */

/* Where a walk stands: a global function takes scalars only. */
struct walk {
	u64 dentry;
	u64 vfsmount;
	u64 root; /* of vfsmount */
	u32 at;
	u32 limit; /* no name may end behind it */
	/* Of cgroups alone: */
	u64 leaf;
	u32 begin;
	u32 skip;  /* so many components are passed before the first that is written */
	u32 names; /* written */
	u32 rank;  /* of the hierarchy that was found */
	u32 ends;  /* a path that is too long */
	u32 spare;
};

struct scratch {
	struct walk walk;
	union {
		struct record_exec exec;
		struct record_error error;
		char bytes[SCRATCH_START + SCRATCH_WRITE];
	};
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_SLOTS);
	__type(key, u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

static __always_inline struct scratch *scratch_get(u32 slot)
{
	return bpf_map_lookup_elem(&scratch, &slot);
}

/* An offset that the verifier believes in. In assembly, since clang compares one copy and uses another. */
static __always_inline u64 bounded(u64 offset)
{
	asm volatile("%0 &= 0x7fff\n\t"
		     "if %0 <= %1 goto +1\n\t"
		     "%0 = %1"
		     : "+r"(offset)
		     : "i"(SCRATCH_START));
	return offset;
}

/* A part may have `size` bytes. Returns `at` out of memory, of which the verifier knows nothing: else it would look at the whole walk
 * once for each way to come here. */
static __always_inline u32 walk_begin(struct scratch *s, u32 at, u32 size)
{
	volatile struct walk *walk = &s->walk;

	walk->limit = at + size;
	walk->at = at;
	return walk->at;
}

#define TYPED_STEPS 12 /* of a walk with typed pointers, which goes as far as most do */

enum walk_outcome {
	WALK_DONE, /* at the root */
	WALK_ON,
	WALK_CUT, /* too long, too deep, or not readable */
};

/*
 * Writes one name, or `size - 1` bytes of it. No name has more bytes than a path (getname_flags(), fs/namei.c), but NAME_MAX limits it in
 * some file systems only: not in kernfs, and not where it counts characters. Where a walk stands is kept in memory, not in registers: the verifier forgets what it knew
 * of it there, so that all ways through the loop are alike to it; else it would walk every one of them.
 */
static __always_inline bool walk_name(struct scratch *s, u32 size, const void *name)
{
	volatile struct walk *walk = &s->walk;
	long n = bpf_probe_read_kernel_str(&s->bytes[bounded(walk->at)], size, name);

	if (n <= 0)
		return false;
	walk->at += n;
	return walk->at <= walk->limit;
}

/* Of a word's bytes in memory, those up to the first NUL, with it; 8 if there is none. Little-endian. */
static __always_inline u32 bytes_to_nul(u64 word)
{
	u64 nul = (word - 0x0101010101010101) & ~word & 0x8080808080808080;

	/* The lowest bit that is set is that of the first NUL: one bit of each byte up to there, added up. */
	return ((((nul & -nul) - 1) & 0x0101010101010101) * 0x0101010101010101) >> 56;
}

/* As walk_name(), without a helper: task->comm always ends with a NUL. */
static __always_inline bool walk_comm(struct scratch *s, struct task_struct *task)
{
	volatile struct walk *walk = &s->walk;
	u64 first = *(u64 *)&task->comm[0], second = *(u64 *)&task->comm[8];
	u64 *to = (u64 *)&s->bytes[bounded(walk->at)];
	u32 n = bytes_to_nul(first);

	to[0] = first;
	to[1] = second & ~0ull >> 8;
	walk->at += n == 8 && first >> 56 ? 8 + bytes_to_nul(second & ~0ull >> 8) : n;
	return walk->at <= walk->limit;
}

#endif
