/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Failed execs, for kernels that have task work for BPF (6.18).
 *
 * A failed exec need not have touched its arguments (a path that is not there is found missing before), and a
 * probe may not wait for their pages. So where they are not in memory, the rest is put off until the thread is about
 * to go back to user space, where it may wait. Nothing can have changed by then: it is the same thread, still in the
 * same system call.
 *
 * A kfunc that the kernel does not have, or has with other arguments, fails the whole BPF object. So there is one without any
 * (errors.bpf.c). The one that has several forms is not declared at all: see schedule().
 */
#ifndef EXECSNOOP_LATE_BPF_H
#define EXECSNOOP_LATE_BPF_H

#include "ways.bpf.h"

#define BPF_F_NO_PREALLOC 1
#define TOUCH_PART 256
#define TOUCH_MOST (1 << 20) /* parts, or pointers */

/* include/uapi/linux/bpf.h, kernel/bpf/helpers.c. struct bpf_map must be a struct for the prototypes to agree. */
struct bpf_task_work {
	__u64 opaque;
} __attribute__((aligned(8)));
struct bpf_map {
	__u32 id;
} __attribute__((preserve_access_index));
extern int bpf_copy_from_user_str(void *dst, __u32 dst__sz, const void *unsafe_ptr__ign, __u64 flags) __ksym __weak;
extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;

struct later {
	struct bpf_task_work work;
	s64 ret;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024); /* threads between a failure and user space at one time */
	__type(key, u64);	   /* task_struct */
	__type(value, struct later);
} laters SEC(".maps");

/* Where the walk over argv stands that does nothing but touch. */
struct touch {
	u64 argv;
	u64 string; /* the rest of the argument at hand; 0: none */
	u64 left;   /* bytes that anybody wants to have */
	u32 width;  /* of a pointer: 4 of a 32-bit caller */
};

/* One pointer, or a part of an argument. 1 at the end. */
static long touch_once(u64 index, struct touch *touch)
{
	char bytes[TOUCH_PART];
	long n;

	if (!touch->string) {
		/* Little-endian: a narrow one is the beginning of a wide one. */
		if (touch->width == 4 ? bpf_copy_from_user(&touch->string, 4, (void *)touch->argv)
				      : bpf_copy_from_user(&touch->string, 8, (void *)touch->argv))
			return 1;
		if (!touch->string)
			return 1;
		touch->argv += touch->width == 4 ? 4 : 8;
	}
	n = bpf_copy_from_user_str(bytes, sizeof(bytes), (void *)touch->string, 0);
	if (n < 0 || (u64)n >= touch->left)
		return 1;
	touch->left -= n;
	touch->string = n == sizeof(bytes) ? touch->string + n - 1 : 0;
	return 0;
}

static int later_send(struct bpf_map *map, void *key, void *value)
{
	struct later *later = value;
	u64 task = bpf_get_current_task();
	struct attempt *attempt = bpf_map_lookup_elem(&attempts, &task);
	struct touch touch = {
		.argv = attempt ? attempt->argv : 0,
		.left = settings.args_limit,
		.width = attempt ? attempt->width : 8,
	};
	u32 at;

	bpf_loop(TOUCH_MOST, touch_once, &touch, 0);
	/* The scratch memory is this CPU's. */
	bpf_preempt_disable();
	at = error_leave(SCRATCH_LATE, error_caller(SCRATCH_LATE), later->ret);
	if (at)
		error_finish(SCRATCH_LATE, at);
	bpf_preempt_enable();
	bpf_map_delete_elem(map, &task);
	return 0;
}

/*
 * bpf_task_work_schedule_signal() since 7.0 (6e663ffdf760, KF_IMPLICIT_ARGS), which has four arguments; before, there was
 * bpf_task_work_schedule_signal_impl() (ea0714d61dea) with a fifth, that the verifier gives. The daemon puts the call in, of
 * whichever there is; libbpf would compare their types.
 */
static __always_inline int schedule(struct task_struct *task, struct bpf_task_work *work)
{
	int r;

	asm volatile("r1 = %[task]\n"
		     "r2 = %[work]\n"
		     "r3 = %[map]\n"
		     "r4 = %[callback]\n"
		     "r5 = 0\n"
		     "r0 = %[mark]\n"
		     "%[r] = r0\n"
		     : [r] "=r"(r)
		     : [task] "r"(task), [work] "r"(work), [map] "r"(&laters), [callback] "r"(later_send),
		       [mark] "i"(RECORD_CALL_MARK)
		     : "r0", "r1", "r2", "r3", "r4", "r5", "memory");
	return r;
}

static __always_inline bool error_later(struct attempt *attempt, s64 ret)
{
	static const struct later empty;
	u64 task = bpf_get_current_task();
	struct later *later;

	/* Its memory is gone: there is nothing to wait for. */
	if (attempt->mm != (u64)BPF_CORE_READ((struct task_struct *)task, mm))
		return false;
	if (bpf_map_update_elem(&laters, &task, &empty, BPF_ANY))
		return false;
	later = bpf_map_lookup_elem(&laters, &task);
	if (!later)
		return false;
	later->ret = ret;
	return schedule(bpf_get_current_task_btf(), &later->work) == 0;
}

#endif
