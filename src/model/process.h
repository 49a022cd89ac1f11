/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What user space knows of a process: its identity (struct process) and what it runs (struct image,
 * which a fork shares and an exec replaces). Both are views that own nothing: decode makes them
 * over a record, proctable over its own copies. How long one is valid is up to the function that
 * passes it on.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "handover/archive.h"
#include "util/bytes.h"

#define PROCESS_ID_SIZE 48	 /* longest id, with its NUL */
#define PROCESS_UNSET UINT32_MAX /* loginuid, session_id: not set */

enum source {
	SOURCE_PROBE,  /* seen by a probe */
	SOURCE_PROC,   /* was already there when the daemon started */
	SOURCE_RESYNC, /* found by the check after a kernel loss */
};

/* Parts that could not be determined in full; the names are those of the keys. */
enum incomplete {
	INCOMPLETE_EXE,
	INCOMPLETE_FILENAME,
	INCOMPLETE_ENV,
	INCOMPLETE_CWD,
	INCOMPLETE_CGROUP,
	INCOMPLETE_ANCESTORS,
	INCOMPLETE_EXE_DEV, /* not unique: the superblock's */
	INCOMPLETE_ARGS,    /* they could not be read */
	INCOMPLETE_MAX
};
#define INCOMPLETE_BIT(part) (1u << (part))

/* What exec sets. */
struct image {
	struct bytes exe;      /* absolute path, without " (deleted)"; in an error: as passed */
	struct bytes filename; /* as passed */
	struct bytes args;     /* every argument with its NUL, all that is held; data NULL: not known */
	uint32_t argc;	       /* of the whole list, held or not */
	uint64_t args_size;    /* bytes of the whole list, each with its NUL; 0 and args_truncated: not known */
	bool args_truncated;   /* args holds less than argc and args_size */
	bool exe_deleted;
	bool exe_memfd;
	bool exe_upper; /* in the upper layer of an overlay */
	bool exe_ctime_known;
	bool secureexec;
	unsigned incomplete; /* INCOMPLETE_BITs: a path that is too long is left out, a list ends early */
	uint64_t exe_inode;  /* 0: not known */
	uint64_t exe_ctime;  /* ns since the epoch */
	uint32_t exe_dev_major, exe_dev_minor;
	struct bytes cwd;    /* absolute */
	struct bytes cgroup; /* absolute, of the hierarchy that counts (hierarchy.h); incomplete: both ends, "/../"
				between them */
	struct bytes unit;
	struct bytes container_id;
	struct bytes pod_uid;
	struct bytes env; /* chosen variables, NAME=VALUE, each with its NUL */
};

struct process {
	/* Identity: tgid and start, within one boot. Ids are made of nothing else. */
	uint32_t tgid;	     /* initial pid namespace */
	uint64_t start;	     /* ns, CLOCK_BOOTTIME: start_boottime of the group leader */
	uint64_t start_time; /* ns since the epoch, fixed when the process became known */
	uint64_t exec_id;    /* grows at each exec: distinguishes an old image from a new one */

	uint32_t ppid;		/* real parent's tgid; 0: none */
	uint64_t parent_start;	/* its start; 0: not known */
	uint64_t session_start; /* that of the process `sid`; 0: not known, or gone */
	uint32_t uid, gid, euid, egid;
	uint64_t caps;		       /* effective */
	bool ids_known;		       /* euid, egid, caps, sid and pgid are */
	uint32_t loginuid, session_id; /* PROCESS_UNSET: not set */
	uint32_t sid, pgid;	       /* 0: of the kernel's own session, group */
	uint32_t tty_major, tty_minor; /* 0, 0: none */
	uint32_t ns_pid;	       /* 0: not known, like these: */
	uint32_t pid_ns, mnt_ns, net_ns, user_ns, uts_ns, ipc_ns, cgroup_ns, time_ns;
	bool kernel_thread;
	bool execed; /* it called exec since its fork */
	/* Listed within an exec: the record of this exec_id may have been made after that. */
	bool execing;
	enum source source;
	struct bytes comm, parent_comm;
	struct bytes ancestors; /* comms of parent, grandparent, ... up to pid 1, each with its NUL */
	/* The caller of fork, where it is known: the parent, but for CLONE_PARENT. 0: the parent. */
	uint32_t forker;
	uint64_t forker_start;
	/* The program that the process came from: of the parent, or where that had not called exec, of the nearest
	 * before it that had. starter 0: not known. */
	uint32_t starter;
	uint64_t starter_start;
	uint64_t starter_exec_time; /* as exec_time */
	uint64_t exec_time;	    /* `time` of the last `started`; 0: a probe did not see it */

	struct image image;
};

/*
 * The id of the process (tgid, start) of the boot `boot` (any 64 bits that are this boot's alone):
 * 16 hex digits of boot, '-', tgid in decimal, '-', start in hex. Opaque to users.
 */
void process_id_format(char ret[static PROCESS_ID_SIZE], uint64_t boot, uint32_t tgid, uint64_t start);

/* The name of a tty as users know it ("pts/3", "tty1", "ttyS0", "console"; else "MAJOR:MINOR").
 * Majors from Documentation/admin-guide/devices.txt. Returns false for 0:0 (none). */
bool tty_name(char *ret, size_t size, uint32_t major, uint32_t minor);
/* A device of that name. Of several that have it (pts beyond 255) the one of the first major. */
bool tty_number(const char *name, uint32_t *ret_major, uint32_t *ret_minor);

void process_copy_starter(struct process *to, const struct process *from);

/* All of an image; all of a process except its image. on read: the bytes are the archive's. */
void image_archive(struct image *image, struct archive *archive);
void process_archive(struct process *process, struct archive *archive);
