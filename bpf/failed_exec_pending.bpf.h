/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The arguments of the exec that a thread is in, for when the call has failed. There are two
 * sources:
 *
 * - The entry was seen: they are kept from there, until the call fails or sched_process_exec says
 *   that it succeeded. Threads are known by their task_struct: one that calls exec takes its
 *   leader's id on the way.
 * - The entry was not seen: they are in the registers that the system call saved. This is so for
 *   all calls where the program at the return can find the path of a call that has lost its memory
 *   (failed_exec_path.bpf.h): then no program runs at an entry.
 *
 * An exec that fails after the point of no return has lost the memory that it was called with: the
 * path is reported, or as much as was read at the entry, and of the arguments nothing.
 */
#pragma once

#include "args.bpf.h"
#include <bpf/bpf_tracing.h>

#define EARLY_PATH_SIZE 232

struct exec_args {
	u64 filename;
	u64 argv;
	s32 dirfd;
	u32 width; /* of a pointer of the caller: 8, or 4 of a 32-bit one */
};

struct pending_call {
	struct exec_args args;
	u64 mm;
	u64 time;	     /* of the failure; 0: it has not failed yet */
	u32 early_path_size; /* with its NUL; 0: it could not be read yet */
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
 * Keeps what is known at the entry. If the map is full, pending_call_complete() reads the
 * registers. A call that is in the map already has ended unseen: its return was missed (a kretprobe
 * has some ten instances, kernel/kprobes.c, register_kretprobe()), and it failed, or
 * pending_call_forget() would have deleted it.
 */
__noinline int pending_call_add(u64 filename, u64 argv, s32 dirfd, u32 width)
{
	u64 task = bpf_get_current_task();
	struct pending_call call = {
		.args = { filename, argv, dirfd, width },
		.mm = (u64)BPF_CORE_READ((struct task_struct *)task, mm),
	};
	long n = user_string(call.early_path, sizeof(call.early_path), (void *)filename);

	call.early_path_size = n > 0 ? n : 0;
	/* An int: before 6.4 (d7ba4cc900bf) the map's own function returns one, which the verifier
	 * calls directly. */
	if ((int)bpf_map_update_elem(&pending_calls, &task, &call, BPF_NOEXIST) == -EEXIST) {
		if (!settings.preempted_returns)
			lost_count(RECORD_ERROR);
		bpf_map_update_elem(&pending_calls, &task, &call, BPF_ANY);
	}
	return 0;
}

/* The exec has succeeded. Its return may have another name, or be seen nowhere. */
static __always_inline int pending_call_forget(void)
{
	u64 task = bpf_get_current_task();

	bpf_map_delete_elem(&pending_calls, &task);
	return 0;
}

SEC("?raw_tp/sched_process_exec")
int probe_exec_forget(void *ctx)
{
	return pending_call_forget();
}

/* A thread ends: its call has failed, and the return was missed. */
SEC("?raw_tp/sched_process_exit")
int probe_exit_abandon(void *ctx)
{
	u64 task = bpf_get_current_task();

	if (bpf_map_lookup_elem(&pending_calls, &task) && bpf_map_delete_elem(&pending_calls, &task) == 0)
		lost_count(RECORD_ERROR);
	return 0;
}

/* Registers. Those of a 32-bit caller have the arguments in other places on x86, and its pointers
 * have four bytes. */

#define EXEC_ARGS(is_execveat, first, second, third, width)                \
	((is_execveat) ? (struct exec_args){ second, third, first, width } \
		       : (struct exec_args){ first, second, AT_FDCWD, width })

/* Whether the task is in a call of a 32-bit caller; after an exec, whether it has become one. */
static __always_inline bool is_compat(bool typed, struct task_struct *task)
{
#if defined(__TARGET_ARCH_x86)
	return PEEK(typed, task, thread_info.status) & TS_COMPAT;
#else
	return PEEK(typed, task, thread_info.flags) & (1ull << TIF_32BIT);
#endif
}

#if defined(__TARGET_ARCH_x86)
static __always_inline struct exec_args exec_args_read(bool typed, struct task_struct *task, const struct pt_regs *regs)
{
	u32 nr = PEEK(typed, regs, orig_ax);

	if (is_compat(typed, task))
		return EXEC_ARGS(nr == __NR_compat_execveat, (u32)PEEK(typed, regs, bx), (u32)PEEK(typed, regs, cx),
				 (u32)PEEK(typed, regs, dx), 4);
	return EXEC_ARGS(nr == __NR_execveat || nr == __NR_x32_execveat, PEEK(typed, regs, di), PEEK(typed, regs, si),
			 PEEK(typed, regs, dx), nr & __X32_SYSCALL_BIT ? 4 : 8);
}
#else
static __always_inline struct exec_args exec_args_read(bool typed, struct task_struct *task, const struct pt_regs *regs)
{
	u64 first = PEEK(typed, regs, orig_x0); /* regs[0] has the result */
	u64 second = PEEK(typed, regs, regs[1]), third = PEEK(typed, regs, regs[2]);
	s32 nr = PEEK(typed, regs, syscallno);

	if (is_compat(typed, task))
		return EXEC_ARGS(nr == __NR_compat_execveat, (u32)first, (u32)second, (u32)third, 4);
	return EXEC_ARGS(nr == __NR_execveat, first, second, third, 8);
}
#endif

/* The address of the path of an exec that has lost the memory that it was called with; 0: it cannot be found. Each
 * object has its own. */
static u64 lost_path_find(void);

/*
 * Adds a call that has failed, if it is not there, with what can be known of it. Its entry was not
 * seen where no program runs at an entry (settings.exits_only); where a seccomp filter refused the
 * call, which it does before the tracepoint (kernel/entry/, syscall_trace_enter()); and if the call
 * began before the probes were attached. registers: the caller's, where the kernel cannot be asked
 * for them (bpf_task_pt_regs(), 5.15); 0: not known. A function of its own, since it is long.
 */
__noinline int pending_call_complete(u64 registers)
{
	u64 address = bpf_get_current_task();
	struct task_struct *task = (void *)address;
	struct pending_call call = { .args = { .dirfd = AT_FDCWD, .width = 8 } };

	if (!settings.exits_only && bpf_map_lookup_elem(&pending_calls, &address))
		return 0;
	call.mm = (u64)BPF_CORE_READ(task, mm);
	if (call.mm && !(BPF_CORE_READ(task, mm, start_code) | BPF_CORE_READ(task, mm, end_code))) {
		/* After the point of no return: the new memory, of which fs/binfmt_elf.c,
		 * load_elf_binary(), sets last where the code is. */
		call.mm = 0;
		if (settings.exits_only)
			call.args.filename = lost_path_find();
	} else if (settings.registers) {
		struct task_struct *self = bpf_get_current_task_btf();

		call.args = exec_args_read(true, self, (void *)bpf_task_pt_regs(self));
	} else if (registers) {
		call.args = exec_args_read(false, task, (void *)registers);
	} else {
		return 0;
	}
	bpf_map_update_elem(&pending_calls, &address, &call, BPF_ANY);
	return 0;
}
