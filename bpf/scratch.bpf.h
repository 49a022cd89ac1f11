/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Per-CPU memory in which a record of variable size is filled before it is sent: a slot for each
 * program. A program never runs twice at once on one CPU (the kernel skips the second run and
 * counts it in recursion_misses; before 5.11 it runs with preemption off), so its slot is its own,
 * also where the kernel preempts programs.
 *
 * Long loops. 5.10 has no bpf_loop(), and the verifier follows each iteration of a loop. So a loop
 * is X_ROUNDS calls of x_batch(), which takes X_BATCH steps: a global function (one that is not
 * static), which the verifier checks once, alone. Such a function takes scalars only, so all that
 * it needs is in a slot. It is there rather than in registers for one more reason: the verifier
 * forgets what it knew of a value once that is in the memory of a map. So all paths through the
 * loop are one to it, and it does not follow each.
 */
#pragma once

#include "emit.bpf.h"
#include "task.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* One for each program: a trampoline's program may be preempted, and another one run on its CPU
 * meanwhile. */
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

/* A value of a per-CPU map has 32 KiB at most (PCPU_MIN_UNIT_SIZE). No write begins after
 * SCRATCH_START, before which all paths fit at their longest. */
#define SCRATCH_START 24320
#define SCRATCH_WRITE 8192 /* the longest */

#define NO_MOUNT (~0ull)

/* Where a walk continues. */
struct walk {
	u64 dentry;
	u64 vfsmount;
	u64 root;    /* of vfsmount */
	u64 topmost; /* the vfsmount that was found to be; NO_MOUNT: none yet */
	u32 at;	     /* where the next name is written */
	u32 limit;   /* no name may end after it */
	/* Of cgroups alone: */
	u64 leaf;
	u32 begin;
	u32 skip;  /* components to pass before the first that is written */
	u32 names; /* written */
	u32 rank;  /* of the hierarchy that was found */
	u32 ends;  /* a path that is too long: its two ends are written */
	u32 first; /* position of the first choice's link */
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

/* A record that is being filled. All functions that take it are inlined, so it costs nothing. */
struct fill {
	bool typed; /* task.bpf.h */
	u32 slot;
	struct scratch *s;
	u32 at;		    /* where the next part begins */
	struct mount *root; /* of the task's mount namespace; NULL: not known */
};

static __always_inline struct fill fill_begin(bool typed, u32 slot, u32 at, struct task_struct *task)
{
	struct fill f = { typed, slot, scratch_get(slot), at, typed ? task->nsproxy->mnt_ns->root : NULL };

	if (f.s)
		f.s->walk.topmost = NO_MOUNT;
	return f;
}

/* An offset with a bound that the verifier knows. In assembly, since clang compares one copy and
 * uses another. */
static __always_inline u64 bounded(u64 offset)
{
	asm volatile("%0 &= 0x7fff\n\t"
		     "if %0 <= %1 goto +1\n\t"
		     "%0 = %1"
		     : "+r"(offset)
		     : "i"(SCRATCH_START));
	return offset;
}

/* Begins a part of at most `size` bytes. The offset is read back from memory, of which the verifier
 * knows nothing: else it would follow the whole walk once for each path to here. */
static __always_inline void walk_begin(struct fill *f, u32 size)
{
	volatile struct walk *walk = &f->s->walk;

	walk->limit = f->at + size;
	walk->at = f->at;
	f->at = walk->at;
}

/* Ends the part at the last name. */
static __always_inline void walk_end(struct fill *f, struct part *part)
{
	part->offset = f->at;
	part->size = f->s->walk.at - f->at;
	f->at = f->s->walk.at;
}

enum walk_outcome {
	WALK_DONE, /* at the root */
	WALK_ON,
	WALK_CUT, /* too long, too deep, or not readable */
};

/* Steps of a walk with typed pointers, before it continues in batches: a global function takes no
 * such pointer. Most walks are shorter. */
#define TYPED_STEPS 12

/* Writes one name, or `size - 1` bytes of it. No name has more bytes than a path (getname_flags(),
 * fs/namei.c), but NAME_MAX limits it in some file systems only: not in kernfs, and not where it
 * counts characters. */
static __always_inline bool walk_name(struct scratch *s, u32 size, const void *name)
{
	volatile struct walk *walk = &s->walk;
	long n = bpf_probe_read_kernel_str(&s->bytes[bounded(walk->at)], size, name);

	if (n <= 0)
		return false;
	walk->at += n;
	return walk->at <= walk->limit;
}

/* The number of bytes of a word in memory up to its first NUL, with it; 8 if there is none.
 * Little-endian. */
static __always_inline u32 bytes_to_nul(u64 word)
{
	u64 nul = (word - 0x0101010101010101) & ~word & 0x8080808080808080;

	/* The lowest bit that is set is that of the first NUL: one bit of each byte up to there,
	 * added up. */
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
