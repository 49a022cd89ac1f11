/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/predecessor.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <sys/mman.h>

#include "kernel/ringbuf.h"

#define FDS_MAX 32 /* of one name */

/* All of one name. */
struct fds {
	int fds[FDS_MAX];
	size_t count;
};

struct predecessor {
	int ring_fd;
	struct ringbuf *ring;
	const struct record_shared *shared; /* a page; NULL: not mapped */
	struct fds links, event_programs, fork_programs;
};

static void take_all(struct fds *fds, struct fdstore *store, const char *name)
{
	int fd;

	while (fds->count < FDS_MAX && (fd = fdstore_take(store, name)) >= 0)
		fds->fds[fds->count++] = fd;
}

static void close_all(struct fds *fds)
{
	while (fds->count > 0)
		close(fds->fds[--fds->count]);
}

static size_t shared_size(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (sizeof(struct record_shared) + page - 1) / page * page;
}

static int map_ring(struct predecessor *p)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(p->ring_fd, &info, &size) < 0)
		return -errno;
	return info.type == BPF_MAP_TYPE_RINGBUF ? ringbuf_new(&p->ring, p->ring_fd, info.max_entries) : -EINVAL;
}

static int map_shared(struct predecessor *p, int fd)
{
	void *at = mmap(NULL, shared_size(), PROT_READ, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	p->shared = at;
	return 0;
}

int predecessor_new(struct predecessor **ret, struct fdstore *store, uint32_t set)
{
	_cleanup_(predecessor_free_p) struct predecessor *p = calloc(1, sizeof(*p));
	_cleanup_close_ int shared = fdstore_take(store, probe_kept_name(PROBE_KEPT_SHARED, set));
	int r;

	if (!p)
		return -ENOMEM;
	p->ring_fd = fdstore_take(store, probe_kept_name(PROBE_KEPT_RING, set));
	take_all(&p->links, store, probe_kept_name(PROBE_KEPT_LINK, set));
	take_all(&p->event_programs, store, probe_kept_name(PROBE_KEPT_EVENT_PROGRAM, set));
	take_all(&p->fork_programs, store, probe_kept_name(PROBE_KEPT_FORK_PROGRAM, set));
	if (p->ring_fd < 0 || shared < 0) {
		*ret = NULL;
		return 0;
	}
	r = map_ring(p);
	if (r == 0)
		r = map_shared(p, shared);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(p);
	return 0;
}

struct predecessor *predecessor_free(struct predecessor *p)
{
	if (!p)
		return NULL;
	close_all(&p->links);
	close_all(&p->event_programs);
	close_all(&p->fork_programs);
	ringbuf_free(p->ring);
	if (p->shared)
		munmap((void *)p->shared, shared_size());
	if (p->ring_fd >= 0)
		close(p->ring_fd);
	free(p);
	return NULL;
}

int predecessor_drain(struct predecessor *p, unsigned most, probe_on_record on_record, void *userdata)
{
	return ringbuf_consume(p->ring, most, on_record, userdata);
}

uint64_t predecessor_produced(const struct predecessor *p)
{
	return ringbuf_produced(p->ring);
}

uint64_t predecessor_consumed(const struct predecessor *p)
{
	return ringbuf_consumed(p->ring);
}

bool predecessor_skip(struct predecessor *p)
{
	return ringbuf_skip(p->ring);
}

uint64_t predecessor_first_time(const struct predecessor *p)
{
	const void *data;
	size_t size;

	return ringbuf_peek(p->ring, &data, &size) && size >= sizeof(struct record_head)
		       ? ((const struct record_head *)data)->time
		       : 0;
}

void predecessor_lost(const struct predecessor *p, uint32_t *ret_events, uint32_t *ret_forks)
{
	*ret_events = __atomic_load_n(&p->shared->lost_events, __ATOMIC_RELAXED);
	*ret_forks = __atomic_load_n(&p->shared->lost_forks, __ATOMIC_RELAXED);
}

static uint64_t all_skipped(const struct fds *fds)
{
	uint64_t skipped = 0;

	for (size_t i = 0; i < fds->count; i++)
		skipped += probe_program_skipped(fds->fds[i]);
	return skipped;
}

void predecessor_skipped(const struct predecessor *p, uint64_t *ret_events, uint64_t *ret_forks)
{
	*ret_events = probe_not_made_up(all_skipped(&p->event_programs), &p->shared->made_up_events);
	*ret_forks = probe_not_made_up(all_skipped(&p->fork_programs), &p->shared->made_up_forks);
}
