/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a thread gave to the exec that it is in. Two ways to know it when the call has failed:
 *
 * - The entry was seen: it is kept from there. An exec that succeeds forgets it in sched_process_exec. Threads are known by their
 *   task_struct: one that execs takes its leader's id on the way.
 * - The entry was not seen: it is in the registers that the system call saved. So it is for all calls where the kernel itself
 *   says that an exec comes to its point of no return (sched_prepare_exec, 6.10): nothing is done at an entry then.
 *
 * An exec that fails behind the point of no return has lost the memory that it was called with: of the path, what
 * could be read before is reported, and of the arguments nothing.
 */
#ifndef EXECSNOOP_FAILED_EXEC_PENDING_BPF_H
#define EXECSNOOP_FAILED_EXEC_PENDING_BPF_H

#include "args.bpf.h"
#include <bpf/bpf_tracing.h>

#define EARLY_PATH_SIZE 232

struct pending_call {
	u64 filename;
	u64 argv;
	u64 mm;
	u64 time; /* of the failure; 0: none yet */
	s32 dirfd;
	u32 early_path_size; /* of `early`, with its NUL; 0: it could not be read yet */
	u32 width;	     /* of a pointer of the caller: 8, or 4 of a 32-bit one */
	u32 spare;
	char early_path[EARLY_PATH_SIZE];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192); /* threads within execve at one time */
	__type(key, u64);	   /* task_struct */
	__type(value, struct pending_call);
} pending_calls SEC(".maps");

/*
 * Keeps what is known at the entry. If there is no room, pending_call_complete() looks into the registers. An attempt that is there
 * already has never ended for us: its return was not seen (a kretprobe has some ten instances, kernel/kprobes.c,
 * register_kretprobe()), and it failed, or pending_call_forget() had seen it.
 */
__attribute__((noinline)) int pending_call_add(u64 filename, u64 argv, s32 dirfd, u32 width)
{
	u64 task = bpf_get_current_task();
	struct pending_call call = {
		.filename = filename,
		.argv = argv,
		.mm = (u64)BPF_CORE_READ((struct task_struct *)task, mm),
		.dirfd = dirfd,
		.width = width,
	};
	long n = user_string(call.early_path, sizeof(call.early_path), (void *)filename);

	call.early_path_size = n > 0 ? n : 0;
	/* An int: before 6.4 (d7ba4cc900bf) the map's own function returns one, which the verifier calls directly. */
	if ((int)bpf_map_update_elem(&pending_calls, &task, &call, BPF_NOEXIST) == -EEXIST) {
		if (!settings.preempted_returns)
			lost_count(RECORD_ERROR);
		bpf_map_update_elem(&pending_calls, &task, &call, BPF_ANY);
	}
	return 0;
}

/* Of an exec that succeeded: its exit may show under another name, or not at all. */
static __always_inline int pending_call_forget(void)
{
	u64 task = bpf_get_current_task();

	bpf_map_delete_elem(&pending_calls, &task);
	return 0;
}

SEC("?tp_btf/sched_process_exec")
int probe_exec_forget(void *ctx)
{
	return pending_call_forget();
}

/* The same on kernels without type information of their own. */
SEC("?raw_tp/sched_process_exec")
int fallback_exec_forget(void *ctx)
{
	return pending_call_forget();
}

/* Of a thread that ends: a failure whose return was not seen. */
static __always_inline int pending_call_abandon(void)
{
	u64 task = bpf_get_current_task();

	if (bpf_map_lookup_elem(&pending_calls, &task) && bpf_map_delete_elem(&pending_calls, &task) == 0)
		lost_count(RECORD_ERROR);
	return 0;
}

SEC("?tp_btf/sched_process_exit")
int probe_exit_abandon(void *ctx)
{
	return pending_call_abandon();
}

SEC("?raw_tp/sched_process_exit")
int fallback_exit_abandon(void *ctx)
{
	return pending_call_abandon();
}

/* Registers. Those of a 32-bit caller have the arguments in other places on x86, and pointers have four bytes. */

struct passed {
	u64 filename, argv;
	s32 dirfd;
	u32 width;
};

#define PASSED(at, first, second, third, width) \
	((at) ? (struct passed){ second, third, first, width } : (struct passed){ first, second, AT_FDCWD, width })

/* Is it within a call of a 32-bit caller; or behind an exec, has it become one? */
static __always_inline bool is_compat(bool typed, struct task_struct *task)
{
#if defined(__TARGET_ARCH_x86)
	return PEEK(typed, task, thread_info.status) & TS_COMPAT;
#else
	return PEEK(typed, task, thread_info.flags) & (1ull << TIF_32BIT);
#endif
}

#if defined(__TARGET_ARCH_x86)
#define X32_CALL 0x40000000 /* arch/x86/include/uapi/asm/unistd.h, __X32_SYSCALL_BIT */

static __always_inline struct passed passed_read(bool typed, struct task_struct *task, const struct pt_regs *regs)
{
	u32 call = PEEK(typed, regs, orig_ax);

	if (is_compat(typed, task))
		return PASSED(call == 358, (u32)PEEK(typed, regs, bx), (u32)PEEK(typed, regs, cx),
			      (u32)PEEK(typed, regs, dx), 4);
	return PASSED(call == 322 || call == (X32_CALL | 545), PEEK(typed, regs, di), PEEK(typed, regs, si),
		      PEEK(typed, regs, dx), call & X32_CALL ? 4 : 8);
}
#else
static __always_inline struct passed passed_read(bool typed, struct task_struct *task, const struct pt_regs *regs)
{
	u64 first = PEEK(typed, regs, orig_x0); /* regs[0] has the result */
	u64 second = PEEK(typed, regs, regs[1]), third = PEEK(typed, regs, regs[2]);
	s32 call = PEEK(typed, regs, syscallno);

	if (is_compat(typed, task))
		return PASSED(call == 387, (u32)first, (u32)second, (u32)third, 4);
	return PASSED(call == 281, first, second, third, 8);
}
#endif

/*
 * The point of no return. The tracepoint just before it (6.10, 5c5fad46e48c) keeps the path, in an array: a hash would cost every
 * exec five times as much. Nothing needs to be forgotten, since every exec that comes to that point writes its slot again, or
 * finds one there that does.
 */
struct prepared {
	u64 task;
	u64 start;	 /* of the process: its threads may end meanwhile, but for this one */
	u32 begun, done; /* by the writer: one at a time */
	s32 dirfd;
	u32 early_path_size;
	char early_path[EARLY_PATH_SIZE];
};

#define PREPARED_BITS 9

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << PREPARED_BITS);
	__type(key, u32);
	__type(value, struct prepared);
} prepared SEC(".maps");

/* Of threads that are in that part of an exec at once and share a slot, only the last one's path is known. */
static __always_inline struct prepared *prepared_of(u64 task)
{
	u32 slot = (task * 0x9e3779b97f4a7c15) >> (64 - PREPARED_BITS);

	return bpf_map_lookup_elem(&prepared, &slot);
}

SEC("?tp_btf/sched_prepare_exec")
int probe_prepare(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 address = bpf_get_current_task(); /* the verifier knows no numbers in typed pointers */
	struct prepared *slot = prepared_of(address);
	struct passed passed;
	long n;

	if (!slot)
		return 0;
	__sync_fetch_and_add(&slot->begun, 1);
	if (*(volatile u32 *)&slot->begun == *(volatile u32 *)&slot->done + 1) {
		passed = passed_read(true, task, (void *)bpf_task_pt_regs(task));
		slot->task = address;
		slot->start = task->group_leader->start_boottime;
		slot->dirfd = passed.dirfd;
		n = user_string(slot->early_path, sizeof(slot->early_path), (void *)passed.filename);
		slot->early_path_size = n > 0 ? n : 0;
	} else {
		slot->task = 0; /* at worst it was the other one's, and neither path is known */
	}
	__sync_fetch_and_add(&slot->done, 1);
	return 0;
}

/* The path is all that there may be. */
static __always_inline void prepared_recall(struct pending_call *call)
{
	u64 task = bpf_get_current_task();
	volatile struct prepared *slot = prepared_of(task);
	u32 begun;

	if (!slot)
		return;
	begun = slot->begun;
	if (begun != slot->done || slot->task != task ||
	    slot->start != BPF_CORE_READ((struct task_struct *)task, group_leader, start_boottime))
		return;
	bpf_probe_read_kernel(call->early_path, sizeof(call->early_path), (void *)slot->early_path);
	call->early_path_size = slot->early_path_size;
	call->dirfd = slot->dirfd;
	if (slot->begun != begun)
		call->early_path_size = 0;
}

/*
 * Of a call that has failed: makes its attempt known, if it is not, as far as that can be known. The call's entry was not seen where
 * the daemon does without (settings.prepared); where a seccomp filter refused the call, which it does before the tracepoint
 * (kernel/entry/, syscall_trace_enter()); and of a call that had begun before the probes were attached. registers: the
 * caller's, where the kernel cannot be asked for them (bpf_task_pt_regs() is there since 5.15); 0: not known. A function of its own,
 * since it is long.
 */
__attribute__((noinline)) int pending_call_complete(u64 registers)
{
	u64 address = bpf_get_current_task();
	struct task_struct *task = (void *)address;
	struct pending_call call = { .dirfd = AT_FDCWD, .width = 8 };
	struct passed passed;

	if (!settings.prepared && bpf_map_lookup_elem(&pending_calls, &address))
		return 0;
	call.mm = (u64)BPF_CORE_READ(task, mm);
	if (call.mm && !(BPF_CORE_READ(task, mm, start_code) | BPF_CORE_READ(task, mm, end_code))) {
		/* Behind the point of no return: a new memory, of which it was not said yet where its code is, what
		 * fs/binfmt_elf.c, load_elf_binary(), does last of all. */
		call.mm = 0;
		if (settings.prepared)
			prepared_recall(&call);
	} else {
		if (settings.registers) {
			struct task_struct *self = bpf_get_current_task_btf();

			passed = passed_read(true, self, (void *)bpf_task_pt_regs(self));
		} else if (registers) {
			passed = passed_read(false, task, (void *)registers);
		} else {
			return 0;
		}
		call.filename = passed.filename;
		call.argv = passed.argv;
		call.dirfd = passed.dirfd;
		call.width = passed.width;
	}
	bpf_map_update_elem(&pending_calls, &address, &call, BPF_ANY);
	return 0;
}

#endif
