/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's types, as far as they are read: written by hand, to show what the probes depend on.
 * Each is preserve_access_index: libbpf adapts each access to where the running kernel has the
 * member (CO-RE). Names are the kernel's. A member that some kernel since 5.10 lacks is OPTIONAL,
 * and code asks bpf_core_field_exists() before it reads it; a struct with a ___name is another
 * kernel's version of it (a flavour). tests/e2e/fields.c compares all this with the running kernel.
 */
#pragma once

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;
typedef int pid_t;
typedef _Bool bool;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
enum { false = 0, true = 1 };

/* include/uapi/linux/bpf.h */
enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_RINGBUF = 27,
};
enum { BPF_ANY = 0, BPF_NOEXIST = 1 };
enum { BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2 };
enum { BPF_RB_AVAIL_DATA = 0, BPF_RB_RING_SIZE = 1 };

#define PF_FORKNOEXEC 0x00000040     /* include/linux/sched.h */
#define PF_KTHREAD 0x00200000	     /* include/linux/sched.h */
#define RWSEM_WRITER_LOCKED (1 << 0) /* kernel/locking/rwsem.c */
#define RWSEM_FLAG_WAITERS (1 << 1)
#define SIGNAL_GROUP_EXIT 0x00000004 /* include/linux/sched/signal.h */
#define AT_FDCWD (-100)
#define EEXIST 17
#define ENOSYS 38
#define SIGKILL 9

/* include/asm-generic/rwonce.h */
#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile typeof(x) *)&(x) = (value))

enum { PIDTYPE_TGID = 1, PIDTYPE_PGID = 2, PIDTYPE_SID = 3 }; /* include/linux/pid_types.h, since 4.19 */

/* For tests/e2e/fields.c; clang before 14 has no such tags. */
#if __has_attribute(btf_decl_tag)
#define OPTIONAL __attribute__((btf_decl_tag("optional")))
#else
#define OPTIONAL
#endif

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	s64 counter;
} atomic64_t;

typedef struct {
	u32 val;
} kuid_t;

typedef struct {
	u32 val;
} kgid_t;

/* u32[2] before 6.3 (f122a08b197d), then one u64: eight bytes either way, in the same order on
 * little-endian machines; read as a whole. */
typedef struct {
} kernel_cap_t;

struct ns_common {
	unsigned int inum;
};

struct user_namespace {
	struct ns_common ns;
};

struct cred {
	kuid_t uid;
	kgid_t gid;
	kuid_t euid;
	kgid_t egid;
	kernel_cap_t cap_effective;
	struct user_namespace *user_ns;
};

struct pid_namespace {
	struct ns_common ns;
};

struct mnt_namespace { /* fs/mount.h */
	struct ns_common ns;
	struct mount *root;
};

struct uts_namespace {
	struct ns_common ns;
};

struct ipc_namespace { /* with CONFIG_SYSVIPC or CONFIG_POSIX_MQUEUE */
	struct ns_common ns OPTIONAL;
};

struct net { /* with CONFIG_NET */
	struct ns_common ns OPTIONAL;
};

struct cgroup_namespace { /* with CONFIG_CGROUPS */
	struct ns_common ns OPTIONAL;
};

struct time_namespace { /* with CONFIG_TIME_NS */
	struct ns_common ns OPTIONAL;
};

struct nsproxy {
	struct uts_namespace *uts_ns;
	struct ipc_namespace *ipc_ns;
	struct mnt_namespace *mnt_ns;
	struct net *net_ns;
	struct time_namespace *time_ns;
	struct cgroup_namespace *cgroup_ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct pid {
	unsigned int level;
	struct hlist_head tasks[4];
	struct upid numbers[1];
};

struct tty_driver { /* with CONFIG_TTY */
	int major OPTIONAL;
	int minor_start OPTIONAL;
};

struct tty_struct { /* with CONFIG_TTY */
	struct tty_driver *driver OPTIONAL;
	int index OPTIONAL;
};

struct task_io_accounting { /* with CONFIG_TASK_IO_ACCOUNTING */
	u64 read_bytes OPTIONAL;
	u64 write_bytes OPTIONAL;
};

struct sched_entity {
	u64 sum_exec_runtime;
};

struct list_head {
	struct list_head *next, *prev;
};

typedef struct seqcount {
	unsigned int sequence;
} seqcount_t;

typedef struct seqcount_spinlock {
	seqcount_t seqcount;
} seqcount_spinlock_t;

typedef struct {
	seqcount_spinlock_t seqcount;
} seqlock_t;

struct signal_struct {
	atomic_t live;
	struct list_head thread_head;
	struct task_struct *curr_target;
	int group_exit_code;
	unsigned int flags;
	struct pid *pids[4];
	struct tty_struct *tty;
	seqlock_t stats_lock;
	u64 utime;
	u64 stime;
	unsigned long maxrss;
	unsigned long long sum_sched_runtime;
	struct task_io_accounting ioac;
};

struct qstr {
	u32 len;
	const unsigned char *name;
};

struct hlist_bl_node {
	struct hlist_bl_node **pprev;
};

struct super_block {
	u32 s_dev; /* dev_t: 12 bits of major, 20 of minor (include/linux/kdev_t.h) */
	unsigned long s_magic;
	void *s_fs_info;
};

struct timespec64 {
	s64 tv_sec;
	long tv_nsec;
};

struct inode {
	unsigned short i_mode;
	unsigned int i_nlink;
	unsigned long i_ino;
	struct super_block *i_sb;
	struct timespec64 i_ctime OPTIONAL; /* up to 6.5 */
};

struct inode___6_6 { /* 13bc24457850 */
	struct timespec64 __i_ctime;
};

struct inode___6_11 { /* 3aa63a569c64 */
	s64 i_ctime_sec;
	u32 i_ctime_nsec;
};

/* Bytes of an inline name that every kernel has, and that are read (include/linux/dcache.h,
 * DNAME_INLINE_LEN). */
#define SHORT_NAME 32

struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
	void *d_fsdata;
	unsigned char d_iname[SHORT_NAME] OPTIONAL; /* up to 6.13 */
};

union shortname_store {
	unsigned char string[SHORT_NAME];
};

struct dentry___6_14 { /* 58cf9c383c5c: in words */
	union shortname_store d_shortname;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount { /* fs/mount.h */
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
};

struct fs_struct {
	struct path pwd;
};

struct kernfs_node {
	const char *name;
	struct kernfs_node *parent OPTIONAL; /* up to 6.14 */
};

struct kernfs_node___6_15 { /* 633488947ef6: the parent is under RCU and was renamed */
	struct kernfs_node *__parent;
};

/* With CONFIG_CGROUPS, to task_struct.cgroups: */

struct cgroup_root {
	int hierarchy_id OPTIONAL; /* as in /proc/PID/cgroup; 0: v2 */
};

struct cgroup {
	struct kernfs_node *kn OPTIONAL;
	struct cgroup_root *root OPTIONAL;
};

struct cgrp_cset_link { /* kernel/cgroup/cgroup-internal.h */
	struct cgroup *cgrp OPTIONAL;
	struct list_head cgrp_link OPTIONAL; /* in css_set.cgrp_links */
};

struct css_set {
	struct cgroup *dfl_cgrp OPTIONAL;
	struct list_head cgrp_links OPTIONAL; /* one for each hierarchy */
};

struct rw_semaphore {
	atomic64_t count OPTIONAL; /* not with PREEMPT_RT */
};

struct mm_struct {
	struct rw_semaphore mmap_lock;
	unsigned long start_code, end_code, arg_start, arg_end, env_start, env_end;
	struct file *exe_file;
	struct task_struct *owner OPTIONAL; /* CONFIG_MEMCG */
};

struct vm_userfaultfd_ctx {
	struct userfaultfd_ctx *ctx OPTIONAL; /* CONFIG_USERFAULTFD */
};

struct vm_area_struct {
	unsigned long vm_end;
	unsigned long vm_flags;
	struct file *vm_file;
	struct vm_userfaultfd_ctx vm_userfaultfd_ctx;
};

typedef struct {
	unsigned long sig[1];
} sigset_t;

struct sigpending {
	sigset_t signal;
};

#if defined(__TARGET_ARCH_x86)
#define __NR_execveat 322	     /* arch/x86/entry/syscalls/syscall_64.tbl, as the next */
#define __X32_SYSCALL_BIT 0x40000000 /* arch/x86/include/uapi/asm/unistd.h */
#define __NR_x32_execveat (__X32_SYSCALL_BIT | 545)
#define __NR_compat_execveat 358 /* arch/x86/entry/syscalls/syscall_32.tbl */
#define TS_COMPAT 0x0002	 /* arch/x86/include/asm/thread_info.h */
struct thread_info {
	u32 status;
};
#else
#define __NR_execveat 281	 /* include/uapi/asm-generic/unistd.h */
#define __NR_compat_execveat 387 /* arch/arm/tools/syscall.tbl */
#define TIF_32BIT 22		 /* arch/arm64/include/asm/thread_info.h */
struct thread_info {
	unsigned long flags;
};
#endif

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	pid_t pid;
	pid_t tgid;
	int exit_code;
	int exit_state;
	struct mm_struct *mm;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	struct hlist_node pid_links[4];
	u64 utime;
	u64 stime;
	u64 start_boottime;
	const struct cred *real_cred;
	char comm[16];
	struct fs_struct *fs;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	struct sigpending pending;
	sigset_t blocked;
	unsigned int in_execve : 1 OPTIONAL;
	kuid_t loginuid OPTIONAL;	 /* with CONFIG_AUDIT */
	unsigned int sessionid OPTIONAL; /* with CONFIG_AUDIT */
	u64 self_exec_id;
	struct list_head tasks;
	struct list_head thread_node;
	struct sched_entity se;
	struct task_io_accounting ioac;	  /* empty without CONFIG_TASK_IO_ACCOUNTING */
	struct css_set *cgroups OPTIONAL; /* with CONFIG_CGROUPS */
};

#if defined(__TARGET_ARCH_x86)
struct pt_regs { /* arch/x86/include/asm/ptrace.h */
	unsigned long bx, cx, ax, dx, si, di, orig_ax;
};
#else
struct pt_regs { /* arch/arm64/include/asm/ptrace.h */
	u64 regs[31];
	u64 orig_x0;
	s32 syscallno;
};
#endif

struct linux_binprm {
	unsigned int secureexec : 1;
	int argc, envc;
	const char *filename;
};

struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
};
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop

/* Not relocated: the layout is that of the `format` files of events/syscalls, the same since
 * 2.6.31. */
struct sys_enter {
	u64 common;
	s64 nr;
	u64 args[6];
};
struct sys_exit {
	u64 common;
	s64 nr;
	s64 ret;
};

struct bpf_raw_tracepoint_args { /* include/uapi/linux/bpf.h; as many as are read */
	u64 args[3];
};
