/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The path of an exec that failed after the point of no return, found in its new memory: the kernel has copied it to
 * the end of the new stack, before environment and arguments (fs/exec.c, do_execveat_common()). So it is the last
 * string there, and after its NUL only a pointer's size is left (__bprm_mm_init()). It is the kernel's own copy, the
 * filename that a success reports.
 */
#pragma once

#include "vmlinux_min.h"
#include "record.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* Where a stack ends before it is moved to its place (STACK_TOP_MAX): so far below a power of two. */
#if defined(__TARGET_ARCH_x86)
#define STACK_TOP_GAP 4096 /* arch/x86/include/asm/page_64.h, task_size_max() */
#else
#define STACK_TOP_GAP 0 /* arch/arm64/include/asm/processor.h, TASK_SIZE_64 */
#endif
#define STACK_TOP_BITS_MIN 36 /* arm64 with pages of 16 KiB */
#define STACK_TOP_BITS_MAX 56 /* x86 with five levels of page tables */

/* "/dev/fd/N/" may be before a path (alloc_bprm()). */
#define LOST_PATH_MAX (RECORD_PATH_MAX + 32)

static long area_end(struct task_struct *task, struct vm_area_struct *area, u64 *end)
{
	*end = BPF_CORE_READ(area, vm_end);
	return 0;
}

/* 0: not known, as when another process holds the lock of the memory. */
static __always_inline u64 stack_end(void)
{
	struct task_struct *self = bpf_get_current_task_btf();
	u64 arguments = self->mm->arg_start, end = 0;

	/* Set when the stack is moved (setup_arg_pages()). */
	if (arguments)
		bpf_find_vma(self, arguments, area_end, &end, 0);
	for (u32 bits = STACK_TOP_BITS_MIN; bits <= STACK_TOP_BITS_MAX && !end; bits++)
		bpf_find_vma(self, (1ull << bits) - STACK_TOP_GAP - 1, area_end, &end, 0);
	return end;
}

/* Stops where the string before has its NUL. */
static long lost_path_step(u64 index, u64 *begin)
{
	char byte;

	if (bpf_probe_read_user(&byte, 1, (void *)(*begin - 1))) {
		*begin = 0; /* not in memory */
		return 1;
	}
	if (byte)
		(*begin)--;
	return !byte;
}

static u64 lost_path_find(void)
{
	u64 end = stack_end(), begin = end - sizeof(u64) - 1;

	if (!end)
		return 0;
	bpf_loop(LOST_PATH_MAX, lost_path_step, &begin, 0);
	return begin;
}
