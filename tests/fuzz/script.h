/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes as a script: processes that fork, exec and exit, and damage to an archive before another
 * daemon reads it.
 */
#pragma once

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pipeline/pipeline.h"
#include "unit/records.h"
#include "util/cleanup.h"

#define SCRIPT_PIDS 16
#define SCRIPT_ARGS_MAX 6000 /* what is encoded is most of the time */

struct script {
	const uint8_t *at, *end;
};

static inline bool script_ended(const struct script *script)
{
	return script->at == script->end;
}

/* 0 behind its end. */
static inline uint8_t script_next(struct script *script)
{
	return script_ended(script) ? 0 : *script->at++;
}

static inline unsigned script_next16(struct script *script)
{
	unsigned high = script_next(script);

	return high << 8 | script_next(script);
}

struct script_processes {
	uint64_t clock_ns;
	struct {
		uint64_t start;
		bool exists;
	} list[SCRIPT_PIDS]; /* pid - 1 */
};

/* A record of process `which`. */
static inline void script_process(struct script_processes *processes, struct pipeline *pipeline, uint8_t what,
				  uint8_t which)
{
	static char args[SCRIPT_ARGS_MAX + 1];
	unsigned pid = 1 + which % SCRIPT_PIDS;
	size_t size = 1 + (which / SCRIPT_PIDS) * (what & 8 ? SCRIPT_ARGS_MAX / 15 : 10);
	__typeof__(processes->list[0]) *process = &processes->list[pid - 1];

	processes->clock_ns += 1000;
	memset(args, what & 16 ? '\1' : 'a', size - 1);
	args[size - 1] = '\0';
	if (what % 3 == 2) {
		make_exit(pid, process->start, processes->clock_ns, 0);
		process->exists = false;
	} else {
		if (!process->exists)
			process->start = processes->clock_ns;
		process->exists = true;
		if (what % 3 == 0)
			make_fork(pid, process->start, 1, 1);
		else
			make_exec(pid, process->start, processes->clock_ns, args, size, 1);
	}
	ASSERT(pipeline_record(pipeline, &record, record.head.size) == 0);
}

static inline struct pipeline *script_pipeline(struct checkpoint_counters *checkpoint)
{
	struct pipeline_config config = {
		.forks = true,
		.kernel_threads = true,
		.args_limit = 65536,
		.table_memory = 1 << 20,
		.checkpoint = checkpoint,
	};
	struct pipeline *ret;

	ASSERT(pipeline_new(&ret, &config) == 0);
	return ret;
}

/* One change; returns the new size. bytes has room for 256 more. */
static inline size_t script_change(struct script *script, char *bytes, size_t size)
{
	static const uint64_t values[] = { 0, 1, 2, UINT32_MAX, UINT64_MAX, INT64_MAX, 1 << 20, (1 << 20) + 1 };
	uint8_t what = script_next(script), value = script_next(script);
	size_t at = script_next16(script), count = 1 + value % 64;

	if (size == 0)
		return 0;
	at %= size;
	if (count > size - at)
		count = size - at;
	switch (what % 5) {
	case 0:
		bytes[at] ^= (char)value;
		return size;
	case 1:
		if (size - at >= sizeof(values[0]))
			memcpy(bytes + at, &values[value % 8], sizeof(values[0]));
		return size;
	case 2:
		memmove(bytes + at, bytes + at + count, size - at - count);
		return size - count;
	case 3:
		memmove(bytes + at + count, bytes + at, size - at);
		return size + count;
	default:
		return at;
	}
}

/* A sealed copy of the file with up to four changes. */
static inline int script_damage(struct script *script, int fd)
{
	int copy = memfd_create("damaged", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	off_t length = lseek(fd, 0, SEEK_END);
	_cleanup_free_ char *bytes = malloc((size_t)length + 256);
	size_t size = (size_t)length;

	ASSERT(copy >= 0 && length >= 0 && bytes && pread(fd, bytes, size, 0) == length);
	for (unsigned i = 0; i < 4 && (i == 0 || !script_ended(script)); i++)
		size = script_change(script, bytes, size);
	ASSERT(write(copy, bytes, size) == (ssize_t)size);
	ASSERT(fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0);
	return copy;
}
