/* SPDX-License-Identifier: GPL-2.0-only */
/* The place of a process: current directory, cgroup, ancestors. */
#pragma once

#include "walk_cgroup.bpf.h"
#include "walk_path.bpf.h"

#define ANCESTORS_BATCH 16
#define ANCESTORS_ROUNDS 32

/* The comms of parent, grandparent, ... up to pid 1. walk.dentry is the task whose parent comes
 * next. */
__noinline int ancestors_batch(u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct task_struct *task, *parent;

	if (!s)
		return WALK_CUT;
	for (int i = 0; i < ANCESTORS_BATCH; i++) {
		task = (void *)READ_ONCE(s->walk.dentry);
		parent = BPF_CORE_READ(task, real_parent, group_leader);
		/* To users, the idle task is no parent. */
		if (!BPF_CORE_READ(parent, tgid))
			return WALK_DONE;
		if (!walk_name(s, RECORD_PATH_MAX, &parent->comm))
			return WALK_CUT;
		WRITE_ONCE(s->walk.dentry, (u64)parent);
	}
	return WALK_ON;
}

/* As path_typed(). */
static __always_inline int ancestors_typed(struct scratch *s, struct task_struct *task)
{
	struct task_struct *parent;
	int outcome = WALK_ON;

	for (int i = 0; i < TYPED_STEPS; i++) {
		parent = task->real_parent;
		if (parent)
			parent = parent->group_leader;
		if (!parent || !parent->tgid) {
			outcome = WALK_DONE;
			break;
		}
		if (!walk_comm(s, parent)) {
			outcome = WALK_CUT;
			break;
		}
		task = parent;
	}
	s->walk.dentry = (u64)task;
	return outcome;
}

/*
 * The owner of the task's memory, by a pointer that the verifier does not trust. With one that it
 * trusts, as the tracepoint's argument, it takes long over each step of a walk: it searches the
 * names of all the kernel's types for one that decides whether to trust what is read through the
 * pointer (since 6.4, btf_nested_type_is_trusted()).
 */
struct owner {
	struct task_struct *task; /* NULL: not known */
	/* After an exec or a fork it is the process itself (kernel/fork.c, mm_init_owner()), after
	 * a vfork still the parent. */
	u32 tgid;
	u32 ppid; /* 0: it cannot be the parent */
};

/* False: there are more; the nearest are written. */
static __always_inline bool ancestors_walk(struct fill *f, struct part *part, struct task_struct *task,
					   const struct owner *owner)
{
	struct task_struct *from = f->typed && owner->task ? owner->task->group_leader : NULL;
	u32 tgid = f->typed && from ? from->tgid : 0;
	int outcome = WALK_ON;

	walk_begin(f, RECORD_PATH_MAX - RECORD_COMM_SIZE);
	f->s->walk.dentry = (u64)task;
	if (tgid && tgid == owner->ppid)
		outcome = walk_comm(f->s, from) ? ancestors_typed(f->s, from) : WALK_CUT;
	else if (tgid && tgid == owner->tgid)
		outcome = ancestors_typed(f->s, from);
	for (int i = 0; i < ANCESTORS_ROUNDS && outcome == WALK_ON; i++)
		outcome = ancestors_batch(f->slot);
	walk_end(f, part);
	return outcome == WALK_DONE;
}

/* Where a record has the place of its process. */
struct record_place {
	struct part *cwd, *cgroup, *ancestors;
	u32 *flags; /* PLACE_F_x */
};

static __always_inline void place_fill(struct fill *f, const struct record_place *place, struct task_struct *task,
				       const struct owner *owner)
{
	struct fs_struct *fs = PEEK(f->typed, task, fs);

	if (!path_walk(f, place->cwd, PEEK(f->typed, fs, pwd.mnt), PEEK(f->typed, fs, pwd.dentry)))
		*place->flags |= PLACE_F_CWD_CUT;
	*place->flags |= cgroup_walk(f, place->cgroup, task);
	if (!ancestors_walk(f, place->ancestors, task, owner))
		*place->flags |= PLACE_F_ANCESTORS_CUT;
}
