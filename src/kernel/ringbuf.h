/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The consumer's end of a BPF ring buffer (kernel/bpf/ringbuf.c). libbpf has one too; this one stops
 * after as many records as its caller wants (libbpf does from 1.5 on), knows how much waits without
 * a system call, and maps a window of the buffer at a time, where libbpf maps all of it twice: 16
 * MiB that would count as the daemon's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/cleanup.h"

struct ringbuf;

/* fd: of the map, borrowed; size: its max_entries, in bytes. 0 or -errno. */
int ringbuf_new(struct ringbuf **ret, int fd, size_t size);
struct ringbuf *ringbuf_free(struct ringbuf *ring);
DEFINE_CLEANUP(struct ringbuf *, ringbuf_free);

/*
 * Gives at most `max` records to on_record and frees each after that; data is aligned to 8 and
 * valid for the call. A nonzero return of on_record ends it, with that record freed. Returns how
 * many were given, -errno of mmap(2), or a negative return of on_record.
 */
typedef int (*ringbuf_on_record)(void *userdata, const void *data, size_t size);
int ringbuf_consume(struct ringbuf *ring, unsigned max, ringbuf_on_record on_record, void *userdata);

/*
 * Steps over a first record that is reserved and not committed; false: it is not. Only in a ring
 * that is not needed any more: the memory may be given to another producer while the first one
 * writes to it.
 */
bool ringbuf_skip(struct ringbuf *ring);

/* The first record that waits, valid until the next call; false: none does, or it cannot be read. */
bool ringbuf_peek(struct ringbuf *ring, const void **ret, size_t *ret_size);

size_t ringbuf_size(const struct ringbuf *ring);

/*
 * Positions in bytes, which only grow: of the next record that is reserved, and of the first that
 * was not consumed. A drain that consumes nothing does not mean that the ring is empty: a record
 * that is reserved and not committed holds up all others, as long as its producer is preempted.
 */
uint64_t ringbuf_produced(const struct ringbuf *ring);
uint64_t ringbuf_consumed(const struct ringbuf *ring);

/* Bytes between the first record that was not consumed and the last that was reserved. */
uint64_t ringbuf_used(const struct ringbuf *ring);
