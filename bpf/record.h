/* SPDX-License-Identifier: GPL-2.0-only OR GPL-2.0-or-later */
/*
 * What crosses from the kernel to the daemon: the one definition, included by both sides.
 *
 * A record is a fixed part, then its variable parts, each named by a struct part {offset, size}
 * (offset from the record's first byte). Everything is fixed-width and naturally aligned; there is
 * no padding (the compiler makes it an error), so no kernel memory leaks through it and no byte of
 * it is undefined. Numbers are in the machine's byte order. Times are nanoseconds of CLOCK_BOOTTIME
 * (bpf_ktime_get_boot_ns, task_struct.start_boottime).
 *
 * Long argument lists come in chunks: first RECORD_ARGS, in order, then the record that they belong
 * to, which has the same tgid and time, and in args_before the number of bytes that must have come.
 * So an exec is complete when its record arrives, and a lost chunk truncates the arguments; it does
 * not lose the exec. The environment, if it is long, comes in the same way, as RECORD_ENV.
 */
#pragma once

#ifndef __bpf__
#include <linux/types.h>
#endif

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"

#define RECORD_COMM_SIZE 16	/* TASK_COMM_LEN, include/linux/sched.h */
#define RECORD_PATH_MAX 4096	/* PATH_MAX, include/uapi/linux/limits.h */
#define RECORD_ARGS_INLINE 8191 /* argument bytes that travel in the exec record itself */
#define RECORD_HIERARCHIES 16	/* of cgroup v1, of which one is chosen */
#define RECORD_CHUNK 16384	/* argument bytes of one RECORD_ARGS, at most */

enum record_kind {
	RECORD_FORK = 1,
	RECORD_EXEC = 2,
	RECORD_EXIT = 3,
	RECORD_ERROR = 4,
	RECORD_ARGS = 5,
	RECORD_ENV = 6,
};

/* A variable part of the record: bytes [offset, offset + size). size 0: not there. */
struct part {
	__u32 offset;
	__u32 size;
};

struct record_head {
	__u32 kind;  /* enum record_kind */
	__u32 size;  /* of the whole record */
	__u64 time;  /* when it happened */
	__u64 start; /* start_boottime of the process (its group leader) */
	__u32 tgid;  /* initial pid namespace */
	__u32 tid;
	/* What had been lost, on all CPUs, just before this record was sent: since load, modulo
	 * 2^32. If it is more than in the record before, the loss was between the two. */
	__u32 lost_events; /* exec, exit and error records */
	__u32 lost_forks;
};

/* What the kernel knows of a process: in fork, exec and error records, and from the iterator. */
struct record_process {
	__u64 start;	     /* start_boottime of the group leader */
	__u64 parent_start;  /* that of the real parent's group leader; 0: no parent */
	__u64 session_start; /* that of the session's leader; 0: it is gone */
	__u64 exec_id;	     /* task_struct.self_exec_id: one more at each exec, kept over fork */
	__u64 caps;	     /* effective capabilities */
	__u64 flags;	     /* PROCESS_F_x */
	__u32 tgid;
	__u32 ppid;		      /* the real parent's tgid; 0: no parent */
	__u32 uid, gid, euid, egid;   /* in the initial user namespace */
	__u32 loginuid;		      /* 0xffffffff: not set */
	__u32 session_id;	      /* audit session; 0xffffffff: not set */
	__u32 sid, pgid;	      /* initial pid namespace */
	__u32 tty_major, tty_minor;   /* 0, 0: none */
	__u32 ns_pid;		      /* the tgid as the process itself sees it */
	__u32 pid_ns, mnt_ns, net_ns; /* inode numbers; 0: not known */
	__u32 user_ns, uts_ns, ipc_ns;
	__u32 cgroup_ns, time_ns;
	__u32 spare;			    /* 0 */
	char comm[RECORD_COMM_SIZE];	    /* of the group leader */
	char parent_comm[RECORD_COMM_SIZE]; /* of the real parent's group leader */
};

/* What the list of tasks has (tasklist.bpf.h). */
struct record_running {
	struct record_process process;
	__u64 exe_inode; /* as in record_exec; 0: it has no program */
	__u64 exe_ctime;
	__u32 exe_dev_major, exe_dev_minor;
	__u64 flags; /* RUNNING_F_x */
	/* Bytes of the name of that file, and of the folder, in its own folder; 0: not known. */
	__u32 exe_name, cwd_name;
};

#define RUNNING_F_EXECING (1ull << 0)	  /* within an execve: the record of exec_id may be yet to come */
#define RUNNING_F_EXE_DEV (1ull << 1)	  /* as EXEC_F_EXE_DEV */
#define RUNNING_F_ENDING (1ull << 2)	  /* no thread is left: the record of its end may be yet to come */
#define RUNNING_F_EXE_DELETED (1ull << 3) /* as in record_exec */
#define RUNNING_F_EXE_ANON (1ull << 4)
#define RUNNING_F_CWD_DELETED (1ull << 5)
#define RUNNING_F_MM_LOCKED (1ull << 6) /* its mmap_lock was held for writing, or waited for */
#define RUNNING_F_EXE_UPPER (1ull << 7)

#define PROCESS_F_KTHREAD (1ull << 0)
#define PROCESS_F_EXECED (1ull << 1) /* it called exec since its fork */

/* fork(2), clone(2) and friends, of processes (threads make no record). */
struct record_fork {
	struct record_head head;
	struct record_process process; /* the child's */
	/* The caller of fork: with CLONE_PARENT not the real parent. */
	__u64 forker_start;
	__u32 forker_tgid;
	__u32 forker_tid; /* its thread */
};

#define EXEC_F_EXE_DELETED (1u << 0) /* the binary is unlinked */
#define EXEC_F_EXE_ANON (1u << 1)    /* it is in no file system: exe is its name (memfd) */
#define EXEC_F_EXE_CUT (1u << 2)     /* the path was too long or too deep to be walked in full */
#define EXEC_F_FILENAME_CUT (1u << 3)
#define EXEC_F_SECURE (1u << 4)	   /* bprm->secureexec */
#define EXEC_F_EXE_DEV (1u << 5)   /* exe_dev is the superblock's, and stat(2) may have another */
#define EXEC_F_EXE_UPPER (1u << 6) /* in the upper layer of an overlay */

/* The place of a process, in exec and error records. */
#define PLACE_F_CWD_CUT (1u << 16)
#define PLACE_F_CGROUP_CUT (1u << 17)
#define PLACE_F_ANCESTORS_CUT (1u << 18)
#define PLACE_F_NO_CGROUP (1u << 19) /* the kernel has none */

/* exe_ctime: not known. */
#define RECORD_NO_TIME (~0ull)

/* A successful exec, seen after it. */
struct record_exec {
	struct record_head head;
	struct record_process process;
	__u64 exe_inode;
	__u64 exe_ctime; /* ns since the epoch */
	__u32 exe_dev_major, exe_dev_minor;
	__u32 flags; /* EXEC_F_x */
	__u32 argc;
	__u32 envc;
	__u32 old_tid;	   /* the thread that called exec, before it became the leader */
	__u64 args_size;   /* bytes of all arguments, each with its NUL */
	__u64 args_before; /* of them, those that came in RECORD_ARGS */
	__u64 env_size;	   /* bytes of the environment; 0 if none is wanted */
	__u64 env_before;  /* of them, those that came in RECORD_ENV */
	/* Paths as components, each with its NUL, from the leaf up to the root, as the kernel
	 * walks: "/usr/bin/ls" is "ls\0bin\0usr\0". The root itself is size 0. */
	struct part exe;
	struct part cwd;
	/* If it was cut: its last components, an empty one, and its first ones if they are
	 * known. */
	struct part cgroup;
	struct part filename;  /* as passed, without its NUL */
	struct part ancestors; /* comms of parent, grandparent, ... up to pid 1, each with its NUL */
	struct part args;      /* the last of the arguments, each with its NUL */
	struct part env;       /* the environment, NAME=VALUE each with its NUL; the last may be cut */
};

/* The last thread is gone. */
struct record_exit {
	struct record_head head;
	__u64 utime_ns, stime_ns; /* by the kernel's ticks, of all threads */
	__u64 runtime_ns;	  /* by the scheduler's clock, of all threads, up to the last tick or switch */
	__u64 max_rss_bytes;
	__u64 read_bytes, write_bytes; /* as /proc/PID/io: to and from storage */
	__u32 status;		       /* as wait(2) gives it */
	__u32 flags;		       /* EXIT_F_x */
};

#define EXIT_F_CPU (1u << 0) /* utime_ns, stime_ns are known */
#define EXIT_F_RSS (1u << 1)
#define EXIT_F_IO (1u << 2)
#define EXIT_F_KTHREAD (1u << 3)
#define EXIT_F_EXECED (1u << 4) /* it had called exec since its fork */

#define ERROR_F_FILENAME_FAULT (1u << 0) /* the path could not be read */
#define ERROR_F_ARGS_FAULT (1u << 1)	 /* some argument could not be read: they end before it */
#define ERROR_F_ARGS_CUT (1u << 2)	 /* more arguments than the probe can walk */
#define ERROR_F_FILENAME_CUT (1u << 3)

/* A failed execve or execveat. */
struct record_error {
	struct record_head head;
	struct record_process process;
	__s32 error;	 /* negative errno */
	__u32 flags;	 /* ERROR_F_x */
	__u32 argc;	 /* arguments that were read or counted */
	__s32 dirfd;	 /* execveat's; AT_FDCWD for execve */
	__u64 args_size; /* bytes of the arguments that were read or counted */
	__u64 args_before;
	struct part filename; /* without its NUL */
	struct part args;
	struct part cwd, cgroup, ancestors; /* as in record_exec */
};

/* A chunk of a long argument list, or of an environment. */
struct record_args {
	struct record_head head; /* tgid and time as in the record that will follow */
	__u64 position;		 /* of this chunk in the whole */
	struct part bytes;
};

#define RECORD_WAKE_PART 4 /* of the ring buffer: if a fourth of it waits, a consumer that is awake is woken too */

/* Memory that both sides see: when to wake the consumer (emit.bpf.h), and what was lost since
 * load. */
struct record_shared {
	__u32 wake_at;
	__u32 lost_events; /* exec, exit, error */
	__u32 lost_forks;
	__u32 lost_by_kind[8]; /* by enum record_kind */
	__u32 spare;
	/* Of the runs that the kernel skipped (recursion_misses), those that a second program made
	 * up for, or that lost no event. */
	__u64 made_up_events; /* exec, exit, error */
	__u64 made_up_forks;
};

/* Where file systems that may be modules keep the device that stat(2) reports of a file
 * (identity.bpf.h): offsets in bytes. */
struct layout_btrfs {
	__u32 inode_vfs, inode_root; /* struct btrfs_inode */
	__u32 root_anon_dev;	     /* struct btrfs_root */
};

struct layout_overlay {
	__u32 inode_vfs, inode_upper, inode_flags, inode_entry; /* struct ovl_inode */
	__u32 entry_in_dentry;			/* before 6.5 the entry is not in the inode, but in d_fsdata */
	__u32 entry_numlower, entry_lowerstack; /* struct ovl_entry */
	__u32 path_layer, path_dentry;		/* struct ovl_path */
	__u32 layer_fsid;			/* struct ovl_layer */
	__u32 fs_layers, fs_xino_mode;		/* struct ovl_fs */
	__u32 sb_size, sb_pseudo_dev;		/* struct ovl_sb */
	__u32 flag_const_ino, flag_index;	/* enum ovl_inode_flag */
	__u32 flag_upperdata;
};

enum { LAYOUT_BTRFS = 1, LAYOUT_OVERLAY = 2 };

struct record_layouts {
	__u32 known;   /* by the daemon: those that are filled in */
	__u32 missing; /* by the probes: those that are not, and a file was met */
	struct layout_btrfs btrfs;
	struct layout_overlay overlay;
};

/* The daemon replaces the instruction r0 = this with the call of a kernel function
 * (bpf/failed_exec_deferred.bpf.h). */
#define RECORD_CALL_MARK 0x65780001

/* Of which programs. 0: none. */
enum { RECORD_TRAMPOLINES = 1, RECORD_TRACEPOINTS = 2 };

/* What the daemon sets in every BPF object before it loads it. */
struct record_settings {
	__u64 args_limit; /* bytes of arguments that are wanted, and of the environment */
	__u32 page_size;
	__u32 env_wanted;
	__u32 preempted; /* programs at tracepoints may be: there are second ones (preempted.bpf.h) */
	/* Of failed execs: */
	__u32 typed;		 /* there is bpf_get_current_task_btf() (5.11) */
	__u32 registers;	 /* there is bpf_task_pt_regs() (5.15) */
	__u32 exits_only;	 /* the entries of the calls are not seen (bpf/failed_exec_pending.bpf.h) */
	__u32 preempted_returns; /* the kernel may skip runs at returns: RECORD_x (bpf/failed_exec_attach.bpf.h) */
	__u32 task_work;	 /* arguments may be deferred (6.18, bpf/failed_exec_deferred.bpf.h) */
	__u32 spare;
	__u32 forks; /* events are made of them */
	/* Ids of the cgroup v1 hierarchies, the first choice first; then 0. */
	__u32 hierarchies[RECORD_HIERARCHIES];
};

#pragma GCC diagnostic pop
