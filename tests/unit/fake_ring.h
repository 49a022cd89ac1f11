/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A ring buffer in memory, as kernel/bpf/ringbuf.c lays it out (ringbuf.c), with the producer's side. It is not to be
 * filled beyond its end. */
#pragma once

#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tap.h"

#define FAKE_RING_SIZE ((size_t)1 << 20)

struct fake_ring {
	int fd;
	uint64_t *producer;
	char *data;
};

/* A file of `size` bytes in memory. */
static inline int fake_map(size_t size)
{
	int fd = memfd_create("map", MFD_CLOEXEC);

	CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	return fd;
}

static inline void fake_ring_begin(struct fake_ring *ring)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = 2 * page + 2 * FAKE_RING_SIZE;
	char *at;

	ring->fd = fake_map(size);
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
	CHECK(at != MAP_FAILED);
	ring->producer = (uint64_t *)(void *)(at + page);
	ring->data = at + 2 * page;
}

static inline void fake_ring_end(struct fake_ring *ring)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	munmap(ring->data - 2 * page, 2 * page + 2 * FAKE_RING_SIZE);
	close(ring->fd);
}

/* Reserves a record and returns its header, which is to be committed. */
static inline uint32_t *fake_ring_reserve(struct fake_ring *ring, const void *data, uint32_t size)
{
	uint32_t *head = (uint32_t *)(void *)(ring->data + *ring->producer);

	CHECK(*ring->producer + BPF_RINGBUF_HDR_SZ + size <= FAKE_RING_SIZE);
	memcpy((char *)head + BPF_RINGBUF_HDR_SZ, data, size);
	*head = size | BPF_RINGBUF_BUSY_BIT;
	__atomic_store_n(ring->producer, *ring->producer + (BPF_RINGBUF_HDR_SZ + size + 7) / 8 * 8, __ATOMIC_RELEASE);
	return head;
}

static inline void fake_ring_commit(uint32_t *head)
{
	__atomic_store_n(head, *head & ~(uint32_t)BPF_RINGBUF_BUSY_BIT, __ATOMIC_RELEASE);
}
