/* SPDX-License-Identifier: GPL-2.0-only */
/* Where a process is: current directory, cgroup, ancestors. */
#ifndef EXECSNOOP_PLACE_BPF_H
#define EXECSNOOP_PLACE_BPF_H

#include "walk_cgroup.bpf.h"
#include "walk_path.bpf.h"

#define ANCESTORS_BATCH 16 /* in one verified piece */
#define ANCESTORS_ROUNDS 32

/* The comms of parent, grandparent, ... up to pid 1. walk.dentry is the task whose parent comes next. */
__attribute__((noinline)) int ancestors_batch(u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct task_struct *task, *parent;

	if (!s)
		return WALK_CUT;
	for (int i = 0; i < ANCESTORS_BATCH; i++) {
		task = (void *)*(volatile u64 *)&s->walk.dentry;
		parent = BPF_CORE_READ(task, real_parent, group_leader);
		/* The idle task is nobody's parent in the eyes of users. */
		if (!BPF_CORE_READ(parent, tgid))
			return WALK_DONE;
		if (!walk_name(s, RECORD_PATH_MAX, (void *)parent + bpf_core_field_offset(struct task_struct, comm)))
			return WALK_CUT;
		*(volatile u64 *)&s->walk.dentry = (u64)parent;
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
 * Whose memory it is, by a pointer that the verifier does not trust. With one that it trusts, as the tracepoint's argument, each
 * step of a walk takes it long: it looks through the names of all the kernel's types for one that says whether to trust what is read
 * by way of it (since 6.4, btf_nested_type_is_trusted()).
 */
struct owner {
	struct task_struct *task; /* NULL: not known */
	/* After an exec or a fork it is the process itself (kernel/fork.c, mm_init_owner()), after a vfork it is still the parent. */
	u32 tgid;
	u32 ppid; /* 0: it cannot be the parent */
};

/* If they are too many, those that were reached: the nearest. */
static __always_inline u32 ancestors_walk(bool typed, u32 slot, struct scratch *s, u32 at, struct part *part,
					  struct task_struct *task, const struct owner *owner, bool *ret_cut)
{
	struct task_struct *from = typed && owner->task ? owner->task->group_leader : NULL;
	u32 tgid = typed && from ? from->tgid : 0;
	int outcome = WALK_ON;

	at = walk_begin(s, at, RECORD_PATH_MAX - RECORD_COMM_SIZE);
	s->walk.dentry = (u64)task;
	if (tgid && tgid == owner->ppid)
		outcome = walk_comm(s, from) ? ancestors_typed(s, from) : WALK_CUT;
	else if (tgid && tgid == owner->tgid)
		outcome = ancestors_typed(s, from);
	for (int i = 0; i < ANCESTORS_ROUNDS && outcome == WALK_ON; i++)
		outcome = ancestors_batch(slot);
	*ret_cut = outcome != WALK_DONE;
	part->offset = at;
	part->size = s->walk.at - at;
	return s->walk.at;
}

/* Where a process is: what exec and error records both tell. */
static __always_inline u32 place_fill(bool typed, u32 slot, struct scratch *s, u32 at, struct task_struct *task,
				      const struct owner *owner, struct mount *root, struct part *cwd,
				      struct part *cgroup, struct part *ancestors, u32 *flags)
{
	struct fs_struct *fs = PEEK(typed, task, fs);
	bool cut;

	at = path_walk(typed, slot, s, at, cwd, PEEK(typed, fs, pwd.mnt), PEEK(typed, fs, pwd.dentry), root, &cut);
	if (cut)
		*flags |= PLACE_F_CWD_CUT;
	at = cgroup_walk(typed, slot, s, at, cgroup, task, flags);
	at = ancestors_walk(typed, slot, s, at, ancestors, task, owner, &cut);
	if (cut)
		*flags |= PLACE_F_ANCESTORS_CUT;
	return at;
}

#endif
