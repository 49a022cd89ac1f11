/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/record_source.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

/* In systemd's store. */
static const char *stored_name(enum source_role role, uint32_t set)
{
	static const char *const names[ROLE_STORED][2] = {
		[ROLE_RING] = { "ring-0", "ring-1" },
		[ROLE_SHARED] = { "shared-0", "shared-1" },
		[ROLE_LINK] = { "link-0", "link-1" },
		[ROLE_EVENT] = { "event-program-0", "event-program-1" },
		[ROLE_FORK] = { "fork-program-0", "fork-program-1" },
	};

	ASSERT(role < ROLE_STORED && set < 2);
	return names[role][set];
}

void record_source_add(struct record_source *source, enum source_role role, int fd)
{
	ASSERT(source->count < SOURCE_FDS_MAX);
	source->fds[source->count].role = role;
	source->fds[source->count].fd = fd;
	source->count++;
}

static int map(struct record_source *source, int ring, size_t ring_size, int shared)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *at;

	source->shared_size = (sizeof(struct record_shared) + page - 1) / page * page;
	at = mmap(NULL, source->shared_size, PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0);
	if (at == MAP_FAILED)
		return -errno;
	source->shared = at;
	return ringbuf_new(&source->ring, ring, ring_size);
}

int record_source_new(struct record_source **ret, int ring, size_t ring_size, int shared)
{
	_cleanup_(record_source_free_p) struct record_source *source = calloc(1, sizeof(*source));
	int r;

	if (!source)
		return -ENOMEM;
	record_source_add(source, ROLE_RING, ring);
	record_source_add(source, ROLE_SHARED, shared);
	r = map(source, ring, ring_size, shared);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(source);
	return 0;
}

int record_source_restore(struct record_source **ret, struct fdstore *store, uint32_t set)
{
	_cleanup_(record_source_free_p) struct record_source *source = calloc(1, sizeof(*source));
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	int fd, r;

	if (!source)
		return -ENOMEM;
	source->owns_fds = true;
	for (unsigned role = 0; role < ROLE_STORED; role++)
		while (source->count < SOURCE_FDS_MAX && (fd = fdstore_take(store, stored_name(role, set))) >= 0)
			record_source_add(source, role, fd);
	if (record_source_fd(source, ROLE_RING) < 0 || record_source_fd(source, ROLE_SHARED) < 0) {
		*ret = NULL;
		return 0;
	}
	if (bpf_obj_get_info_by_fd(record_source_fd(source, ROLE_RING), &info, &size) < 0)
		return -errno;
	if (info.type != BPF_MAP_TYPE_RINGBUF)
		return -EINVAL;
	r = map(source, record_source_fd(source, ROLE_RING), info.max_entries, record_source_fd(source, ROLE_SHARED));
	if (r < 0)
		return r;
	*ret = TAKE_PTR(source);
	return 0;
}

struct record_source *record_source_free(struct record_source *source)
{
	if (!source)
		return NULL;
	if (source->is_stored)
		__atomic_store_n(&source->shared->wake_at, 0, __ATOMIC_RELAXED);
	for (size_t i = 0; source->owns_fds && i < source->count; i++)
		close(source->fds[i].fd);
	ringbuf_free(source->ring);
	if (source->shared)
		munmap(source->shared, source->shared_size);
	free(source);
	return NULL;
}

int record_source_fd(const struct record_source *source, enum source_role role)
{
	for (size_t i = 0; i < source->count; i++)
		if (source->fds[i].role == role)
			return source->fds[i].fd;
	return -1;
}

void record_source_store(struct record_source *source, uint32_t set)
{
	for (size_t i = 0; i < source->count; i++)
		if (source->fds[i].role < ROLE_STORED)
			fdstore_keep(stored_name(source->fds[i].role, set), source->fds[i].fd);
	source->is_stored = true;
}

void record_source_forget(uint32_t set)
{
	for (unsigned role = 0; role < ROLE_STORED; role++)
		fdstore_forget(stored_name(role, set));
}

bool record_source_sleep(struct record_source *source)
{
	__atomic_store_n(&source->shared->wake_at, 1, __ATOMIC_SEQ_CST);
	atomic_thread_fence(memory_order_seq_cst);
	if (ringbuf_used(source->ring) == 0)
		return true;
	record_source_awake(source);
	return false;
}

uint64_t record_source_waiting(const struct record_source *source)
{
	bool sleeps = __atomic_load_n(&source->shared->wake_at, __ATOMIC_RELAXED) == 1;

	return sleeps ? 0 : ringbuf_used(source->ring);
}

void record_source_awake(struct record_source *source)
{
	uint32_t part = (uint32_t)(ringbuf_size(source->ring) / RECORD_WAKE_PART);

	__atomic_store_n(&source->shared->wake_at, part, __ATOMIC_RELAXED);
}

struct loss_count record_source_lost(const struct record_source *source)
{
	return (struct loss_count){
		.events = __atomic_load_n(&source->shared->lost_events, __ATOMIC_RELAXED),
		.forks = __atomic_load_n(&source->shared->lost_forks, __ATOMIC_RELAXED),
	};
}

static struct program_stats stats_of(const struct record_source *source, enum source_role first, enum source_role last)
{
	struct program_stats stats = {};

	for (size_t i = 0; i < source->count; i++) {
		struct bpf_prog_info info = {};
		__u32 size = sizeof(info);

		if (source->fds[i].role < first || source->fds[i].role > last ||
		    bpf_obj_get_info_by_fd(source->fds[i].fd, &info, &size) < 0)
			continue;
		if (source->fds[i].role != ROLE_BACKUP)
			stats.skipped += info.recursion_misses;
		stats.runs += info.run_cnt;
		stats.run_ns += info.run_time_ns;
	}
	return stats;
}

/* To be called after the skipped runs were counted: a backup program makes up for a run later, so this may be more. */
static uint64_t not_made_up(uint64_t skipped, const __u64 *made_up)
{
	uint64_t less = __atomic_load_n(made_up, __ATOMIC_RELAXED);

	return skipped > less ? skipped - less : 0;
}

struct loss_count record_source_skipped(const struct record_source *source)
{
	uint64_t events = stats_of(source, ROLE_EVENT, ROLE_EVENT).skipped;
	uint64_t forks = stats_of(source, ROLE_FORK, ROLE_FORK).skipped;

	return (struct loss_count){
		.events = not_made_up(events, &source->shared->made_up_events),
		.forks = not_made_up(forks, &source->shared->made_up_forks),
	};
}

struct program_stats record_source_program_stats(const struct record_source *source)
{
	struct program_stats stats = stats_of(source, ROLE_EVENT, ROLE_AUXILIARY);

	stats.skipped = not_made_up(stats.skipped, &source->shared->made_up_events);
	stats.skipped = not_made_up(stats.skipped, &source->shared->made_up_forks);
	return stats;
}
