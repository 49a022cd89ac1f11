/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Decodes records of the ring buffer. Pure; every offset and size is checked: a malformed record is
 * -EBADMSG, never a wrong read. */
#pragma once

#include "model/process.h"
#include "record.h"

struct decoded {
	const struct record_head *head;
	struct process process;		     /* FORK, EXEC, ERROR: views of the record and of paths; start_time 0 */
	uint32_t caller_tid;		     /* FORK, EXEC, ERROR: the thread that made the call */
	uint64_t args_before;		     /* EXEC, ERROR: bytes of arguments that must have come in ARGS */
	uint64_t env_size, env_before;	     /* EXEC: bytes of the environment; of them, those that came in ENV */
	const struct record_exit *exit;	     /* EXIT */
	uint64_t cpu_user_ns, cpu_system_ns; /* EXIT: as rusage has them */
	int error;			     /* ERROR: positive errno */
	uint32_t error_flags;		     /* ERROR: ERROR_F_x */
	int dirfd;			     /* ERROR */
	uint64_t position;		     /* ARGS, ENV */
	struct bytes chunk;		     /* ARGS, ENV */
	/* The paths, put together from their components. */
	char paths[3][RECORD_PATH_MAX + 1];
	char by_descriptor[sizeof("/dev/fd/-2147483648/") + RECORD_PATH_MAX];
};

/* 0 or -EBADMSG. data must be aligned to 8. What ret points to lives as long as data and ret. */
int decode_record(struct decoded *ret, const void *data, size_t size);

/* The record_process of the iterator; the image is left unknown. */
void decode_process(struct process *ret, const struct record_process *record);

/* "ls\0bin\0usr\0" to "/usr/bin/ls" in ret (size bytes, of which the result takes at most size - 1;
 * no NUL is written). -EBADMSG if it does not fit or is not a list of components. */
int decode_path(struct bytes components, char *ret, size_t size, struct bytes *ret_path);
