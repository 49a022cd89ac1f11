/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records as the probes make them, for the tests of what reads them. */
#pragma once

#include <string.h>

#include "record.h"

#define RECORDS_ROOM 65536

static union {
	struct record_head head;
	struct record_fork fork;
	struct record_exec exec;
	struct record_exit exit;
	struct record_error error;
	struct record_args args;
	char bytes[RECORDS_ROOM];
} record __attribute__((aligned(8)));

static inline void record_begin(unsigned kind, size_t size, unsigned tgid, unsigned long long start,
				unsigned long long time)
{
	memset(&record, 0, size);
	record.head.kind = kind;
	record.head.size = (unsigned)size;
	record.head.tgid = record.head.tid = tgid;
	record.head.start = start;
	record.head.time = time;
}

static inline void record_process(struct record_process *p, unsigned tgid, unsigned long long start, unsigned ppid,
				  unsigned long long parent_start, const char *comm)
{
	p->tgid = tgid;
	p->start = start;
	p->ppid = ppid;
	p->parent_start = parent_start;
	p->uid = 1000;
	p->gid = 100;
	p->loginuid = p->session_id = 0xffffffff;
	memcpy(p->comm, comm, strlen(comm));
	memcpy(p->parent_comm, "parent", 7);
}

static inline void record_part(struct part *part, const void *data, size_t size)
{
	part->offset = record.head.size;
	part->size = (unsigned)size;
	memcpy(record.bytes + record.head.size, data, size);
	record.head.size += (unsigned)size;
}

#define RECORD_PART(part, literal) record_part(part, literal, sizeof(literal) - 1)

static inline void make_fork(unsigned tgid, unsigned long long start, unsigned ppid, unsigned long long parent_start)
{
	record_begin(RECORD_FORK, sizeof(record.fork), tgid, start, start);
	record_process(&record.fork.process, tgid, start, ppid, parent_start, "forker");
}

/* exec of /usr/bin/ls with the arguments given as a block. */
static inline void make_exec(unsigned tgid, unsigned long long start, unsigned long long time, const char *args,
			     size_t args_size, unsigned argc)
{
	record_begin(RECORD_EXEC, sizeof(record.exec), tgid, start, time);
	record_process(&record.exec.process, tgid, start, 1, 1, "ls");
	record.exec.process.exec_id = time;
	record.exec.process.flags = PROCESS_F_EXECED;
	record.exec.old_tid = tgid;
	record.exec.argc = argc;
	record.exec.args_size = args_size;
	RECORD_PART(&record.exec.exe, "ls\0bin\0usr\0");
	RECORD_PART(&record.exec.cwd, "home\0");
	RECORD_PART(&record.exec.filename, "/bin/ls");
	if (args)
		record_part(&record.exec.args, args, args_size);
}

static inline void make_exit(unsigned tgid, unsigned long long start, unsigned long long time, unsigned status)
{
	record_begin(RECORD_EXIT, sizeof(record.exit), tgid, start, time);
	record.exit.status = status;
}

static inline void make_error(unsigned tgid, unsigned long long start, unsigned long long time, int error)
{
	record_begin(RECORD_ERROR, sizeof(record.error), tgid, start, time);
	record_process(&record.error.process, tgid, start, 1, 1, "sh");
	record.error.error = -error;
	RECORD_PART(&record.error.filename, "/bin/nope");
}

static inline void make_piece(unsigned tgid, unsigned long long time, unsigned long long position, const char *data,
			      size_t size)
{
	record_begin(RECORD_ARGS, sizeof(record.args), tgid, 0, time);
	record.args.position = position;
	record_part(&record.args.bytes, data, size);
}
