/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The map's pages, as ringbuf_map_mmap_user() gives them: one with the consumer's position, which
 * is ours to write; one with the producers'; then the data, twice in a row, so that a record that
 * goes over the end is contiguous. Positions only grow; the offset is the position modulo the size.
 *
 * A record begins with its length (with two flags in it) followed by its data; both
 * together are rounded up to
 * 8. A producer that is not done yet has the BUSY flag: all records after it have to wait.
 */
#include "kernel/ringbuf.h"

#include <errno.h>
#include <linux/bpf.h>
#include <sys/mman.h>

#define WINDOW ((size_t)512 << 10) /* several of the largest records */

struct ringbuf {
	int fd;
	size_t size, page;
	uint64_t *consumer;
	const uint64_t *producer;
	char *window;
	size_t window_at, window_size; /* in the data, which is 2 * size long */
};

int ringbuf_new(struct ringbuf **ret, int fd, size_t size)
{
	_cleanup_(ringbuf_free_p) struct ringbuf *ring = calloc(1, sizeof(*ring));
	void *at;

	if (!ring)
		return -ENOMEM;
	ring->fd = fd;
	ring->size = size;
	ring->page = (size_t)sysconf(_SC_PAGESIZE);
	at = mmap(NULL, ring->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	ring->consumer = at;
	at = mmap(NULL, ring->page, PROT_READ, MAP_SHARED, fd, (off_t)ring->page);
	if (at == MAP_FAILED)
		return -errno;
	ring->producer = at;
	*ret = TAKE_PTR(ring);
	return 0;
}

struct ringbuf *ringbuf_free(struct ringbuf *ring)
{
	if (!ring)
		return NULL;
	if (ring->window)
		munmap(ring->window, ring->window_size);
	if (ring->consumer)
		munmap(ring->consumer, ring->page);
	if (ring->producer)
		munmap((void *)ring->producer, ring->page);
	free(ring);
	return NULL;
}

/* The address of `length` bytes of data at `offset` (less than the size); moves the window if they are not in it. */
static int look(struct ringbuf *ring, size_t offset, size_t length, const char **ret)
{
	size_t begin = offset & ~(ring->page - 1), size = WINDOW;
	void *at;

	if (ring->window && offset >= ring->window_at && offset + length <= ring->window_at + ring->window_size) {
		*ret = ring->window + (offset - ring->window_at);
		return 0;
	}
	while (size < offset - begin + length)
		size *= 2;
	if (size > 2 * ring->size - begin)
		size = 2 * ring->size - begin;
	if (ring->window)
		munmap(ring->window, ring->window_size);
	ring->window = NULL;
	at = mmap(NULL, size, PROT_READ, MAP_SHARED, ring->fd, (off_t)(2 * ring->page + begin));
	if (at == MAP_FAILED)
		return -errno;
	ring->window = at;
	ring->window_at = begin;
	ring->window_size = size;
	*ret = ring->window + (offset - begin);
	return 0;
}

/* Where the record after the one at `at` begins. */
static uint64_t next_at(uint64_t at, uint32_t head)
{
	uint32_t size = head & ~(uint32_t)(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

	return at + ((BPF_RINGBUF_HDR_SZ + size + 7) & ~(uint64_t)7);
}

int ringbuf_consume(struct ringbuf *ring, unsigned max, ringbuf_on_record on_record, void *userdata)
{
	uint64_t at = *ring->consumer, end = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);
	unsigned n = 0;
	int r = 0;

	while (r == 0 && n < max) {
		size_t offset = at & (ring->size - 1);
		const char *record;
		uint32_t head, size;

		if (at == end) {
			end = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);
			if (at == end)
				break;
		}
		r = look(ring, offset, BPF_RINGBUF_HDR_SZ, &record);
		if (r < 0)
			return r;
		head = __atomic_load_n((const uint32_t *)record, __ATOMIC_ACQUIRE);
		if (head & BPF_RINGBUF_BUSY_BIT)
			break;
		size = head & ~(uint32_t)(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
		if (!(head & BPF_RINGBUF_DISCARD_BIT)) {
			r = look(ring, offset, BPF_RINGBUF_HDR_SZ + size, &record);
			if (r < 0)
				return r;
			r = on_record(userdata, record + BPF_RINGBUF_HDR_SZ, size);
			n++;
		}
		at = next_at(at, head);
		__atomic_store_n(ring->consumer, at, __ATOMIC_RELEASE);
	}
	return r < 0 ? r : (int)n;
}

bool ringbuf_skip(struct ringbuf *ring)
{
	uint64_t at = *ring->consumer, end = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);
	const char *record;
	uint32_t head;

	if (at == end || look(ring, at & (ring->size - 1), BPF_RINGBUF_HDR_SZ, &record) < 0)
		return false;
	head = __atomic_load_n((const uint32_t *)record, __ATOMIC_ACQUIRE);
	if (!(head & BPF_RINGBUF_BUSY_BIT))
		return false;
	at = next_at(at, head);
	__atomic_store_n(ring->consumer, at, __ATOMIC_RELEASE);
	return true;
}

bool ringbuf_peek(struct ringbuf *ring, const void **ret, size_t *ret_size)
{
	uint64_t at = *ring->consumer, end = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);

	while (at != end) {
		size_t offset = at & (ring->size - 1);
		const char *record;
		uint32_t head, size;

		if (look(ring, offset, BPF_RINGBUF_HDR_SZ, &record) < 0)
			return false;
		head = __atomic_load_n((const uint32_t *)record, __ATOMIC_ACQUIRE);
		if (head & BPF_RINGBUF_BUSY_BIT)
			return false;
		size = head & ~(uint32_t)(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
		if (!(head & BPF_RINGBUF_DISCARD_BIT)) {
			if (look(ring, offset, BPF_RINGBUF_HDR_SZ + size, &record) < 0)
				return false;
			*ret = record + BPF_RINGBUF_HDR_SZ;
			*ret_size = size;
			return true;
		}
		at = next_at(at, head);
	}
	return false;
}

size_t ringbuf_size(const struct ringbuf *ring)
{
	return ring->size;
}

uint64_t ringbuf_produced(const struct ringbuf *ring)
{
	return __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);
}

uint64_t ringbuf_consumed(const struct ringbuf *ring)
{
	return *ring->consumer;
}

uint64_t ringbuf_used(const struct ringbuf *ring)
{
	return ringbuf_produced(ring) - ringbuf_consumed(ring);
}
