/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Failed execs, for kernels since 6.10: the path of one that has lost its memory is found, and where the kernel has
 * task work for BPF (6.18), arguments are deferred.
 *
 * A failed exec need not have touched its arguments (a path that does not exist is found missing
 * before), and a probe may not read pages that are not in memory. So where they are not, the rest
 * is deferred until the thread is about to return to user space: there it may, as long as it waits
 * for no other process. Nothing can have changed by then: it is the same thread, still in the same
 * system call.
 *
 * A kfunc that the kernel does not have, or has with other arguments, fails the whole BPF object, and so does a
 * function that is passed to a helper (before 5.13). So there is an object without any (failed_exec.bpf.c), and the
 * kfunc that came later, in several forms, is not declared at all: see task_work_schedule().
 */
#pragma once

#include "failed_exec_attach.bpf.h"
#include "failed_exec_path.bpf.h"

#define BPF_F_NO_PREALLOC 1
#define FAULT_IN_PART 256
/* Steps: for as many arguments as argv_send() reads, and as many bytes as [probes] args_limit
 * allows (src/settings/settings_table.c), each with a page to be faulted in. */
#define FAULT_IN_STEPS_MAX (2 * (ARGV_ROUNDS * ARGV_BATCH + (8 << 20) / FAULT_IN_PART))

/* include/uapi/linux/bpf.h, kernel/bpf/helpers.c. struct bpf_map must be a struct for the
 * prototypes to agree. */
struct bpf_task_work {
	__u64 opaque;
} __attribute__((aligned(8)));
struct bpf_map {
	__u32 id;
} __attribute__((preserve_access_index));
extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;

/* Where the walk over argv continues that only faults pages in. */
struct fault_in {
	u64 argv;
	u64 string;    /* the rest of the current argument; 0: none */
	u64 remaining; /* bytes that are wanted */
	u32 width;     /* of a pointer: 4 of a 32-bit caller */
	u32 touched;   /* of what is read in this step: its first byte, its last */
};

struct deferred_call {
	struct bpf_task_work work;
	s64 ret;
	struct fault_in fault_in;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024); /* threads between a failure and user space at one time */
	__type(key, u64);	   /* task_struct */
	__type(value, struct deferred_call);
} deferred_calls SEC(".maps");

/*
 * Touching a page may wait for it, though the traced program has no use for it here. So only pages
 * are touched that come by themselves: of memory on this machine, without userfaultfd
 * (userfaultfd(2)), where another process may never answer. A file may be on a server, or served by
 * a process (FUSE); so only those of known file systems are touched. An overlay's mapping has the
 * file below it (fs/backing-file.c, backing_file_mmap()). A device's memory is never touched.
 *
 * What is left: another thread of the process can change the mapping between the check and the
 * touch, or hold the lock of its memory.
 */
#define VM_DEVICE 0x10004400 /* include/linux/mm.h, VM_PFNMAP | VM_IO | VM_MIXEDMAP */
#define S_IS_REGULAR(mode) (((mode)&0170000) == 0100000)

static __always_inline bool is_local(u64 magic)
{
	switch (magic) { /* include/uapi/linux/magic.h; f2fs, xfs, zfs, bcachefs: their own headers */
	case 0xef53:	 /* ext2, ext3, ext4 */
	case 0x58465342: /* xfs */
	case 0x9123683e: /* btrfs */
	case 0xf2f52010: /* f2fs */
	case 0xca451a4e: /* bcachefs */
	case 0x2fc12fc1: /* zfs */
	case 0x73717368: /* squashfs */
	case 0xe0f5e1e2: /* erofs */
	case 0x9660:	 /* iso9660 */
	case 0x01021994: /* tmpfs, memfd, shared memory */
	case 0x858458f6: /* ramfs */
		return true;
	}
	return false;
}

static long check_area(struct task_struct *task, struct vm_area_struct *area, bool *may_touch)
{
	struct file *file = BPF_CORE_READ(area, vm_file);
	struct inode *inode;

	if (bpf_core_field_exists(area->vm_userfaultfd_ctx.ctx) && BPF_CORE_READ(area, vm_userfaultfd_ctx.ctx))
		return 0;
	if (BPF_CORE_READ(area, vm_flags) & VM_DEVICE)
		return 0;
	inode = file ? BPF_CORE_READ(file, f_inode) : NULL;
	*may_touch = !file ||
		     (S_IS_REGULAR(BPF_CORE_READ(inode, i_mode)) && is_local(BPF_CORE_READ(inode, i_sb, s_magic)));
	return 0;
}

/* Brings the page of an address into memory, if it comes by itself. */
static __always_inline bool fault_in_page(u64 address)
{
	bool may_touch = false;
	char byte;

	if (bpf_probe_read_user(&byte, 1, (void *)address) == 0)
		return true;
	/* It takes the lock of the memory only if that is free: else it returns -EBUSY. */
	bpf_find_vma(bpf_get_current_task_btf(), address, check_area, &may_touch, 0);
	return may_touch && bpf_copy_from_user(&byte, 1, (void *)address) == 0;
}

/* Reads the next pointer. False: it is not in memory. */
static __always_inline bool read_pointer(struct fault_in *f)
{
	/* Little-endian: a narrow pointer is the beginning of a wide one. */
	if (f->width == 4 ? bpf_probe_read_user(&f->string, 4, (void *)f->argv)
			  : bpf_probe_read_user(&f->string, 8, (void *)f->argv))
		return false;
	f->argv += f->width;
	if (!f->string)
		f->remaining = 0;
	return true;
}

/* Reads an argument, or a part of a long one. False: it is not in memory. */
static __always_inline bool read_part(struct fault_in *f)
{
	char bytes[FAULT_IN_PART];
	long n = bpf_probe_read_user_str(bytes, sizeof(bytes), (void *)f->string);

	if (n < 0)
		return false;
	f->remaining = (u64)n < f->remaining ? f->remaining - n : 0;
	f->string = n == sizeof(bytes) ? f->string + n - 1 : 0;
	return true;
}

/* Reads, or faults in what could not be read. Returns 1 at the end. */
static long fault_in_step(u64 index, struct deferred_call **deferred)
{
	struct fault_in *f = &(*deferred)->fault_in;
	u64 at = f->string ? f->string : f->argv, size = f->string ? FAULT_IN_PART : f->width;

	if (f->string ? read_part(f) : read_pointer(f)) {
		f->touched = 0;
		return f->remaining == 0;
	}
	if (f->touched == 2)
		return 1;
	/* If the read fails though the first byte is in memory, the rest is in the next page. */
	return !fault_in_page(f->touched++ ? at + size - 1 : at);
}

static int deferred_run(struct bpf_map *map, void *key, void *value)
{
	struct deferred_call *deferred = value;
	u64 task = bpf_get_current_task();
	struct pending_call *call = bpf_map_lookup_elem(&pending_calls, &task);
	u32 at;

	if (call) {
		deferred->fault_in.argv = call->args.argv;
		deferred->fault_in.width = call->args.width;
		deferred->fault_in.remaining = settings.args_limit;
		bpf_loop(FAULT_IN_STEPS_MAX, fault_in_step, &deferred, 0);
	}
	/* The scratch memory is this CPU's. */
	bpf_preempt_disable();
	at = failed_exec_record(SCRATCH_DEFERRED, failed_exec_caller(SCRATCH_DEFERRED), deferred->ret);
	if (at)
		failed_exec_finish(SCRATCH_DEFERRED, at);
	bpf_preempt_enable();
	bpf_map_delete_elem(map, &task);
	return 0;
}

/*
 * Calls bpf_task_work_schedule_signal(), which has four arguments since 7.0 (6e663ffdf760,
 * KF_IMPLICIT_ARGS), or the bpf_task_work_schedule_signal_impl() of before (ea0714d61dea), whose
 * fifth one the verifier fills in. libbpf would compare the types of a declaration; so a mark is in
 * the place of the call, and the daemon replaces it with a call of the one that the kernel has.
 * Each program that sees returns has the mark once (tests/unit/test_failed_exec.c).
 */
static __always_inline int task_work_schedule(struct task_struct *task, struct bpf_task_work *work)
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
		     : [task] "r"(task), [work] "r"(work), [map] "r"(&deferred_calls), [callback] "r"(deferred_run),
		       [mark] "i"(RECORD_CALL_MARK)
		     : "r0", "r1", "r2", "r3", "r4", "r5", "memory");
	return r;
}

static __always_inline bool failed_exec_defer(struct pending_call *call, s64 ret)
{
	static const struct deferred_call empty;
	u64 task = bpf_get_current_task();
	struct deferred_call *deferred;

	/* To the verifier all of this is dead code then. */
	if (!settings.task_work)
		return false;
	/* Its memory is gone: no page of it can come. */
	if (call->mm != (u64)BPF_CORE_READ((struct task_struct *)task, mm))
		return false;
	if (bpf_map_update_elem(&deferred_calls, &task, &empty, BPF_ANY))
		return false;
	deferred = bpf_map_lookup_elem(&deferred_calls, &task);
	if (!deferred)
		return false;
	deferred->ret = ret;
	return task_work_schedule(bpf_get_current_task_btf(), &deferred->work) == 0;
}
