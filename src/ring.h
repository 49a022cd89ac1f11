/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The reader's end of a BPF ring buffer (kernel/bpf/ringbuf.c). libbpf has one too; this one stops after as many
 * records as its caller wants (libbpf does from 1.5 on), says how much waits without a system call, and maps a window
 * of the buffer at a time, where libbpf maps all of it twice: 16 MiB that would count as the daemon's.
 */
#ifndef EXECSNOOP_RING_H
#define EXECSNOOP_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"

struct ring;

/* fd: of the map, borrowed; size: its max_entries, in bytes. 0 or -errno. */
int ring_new(struct ring **ret, int fd, size_t size);
struct ring *ring_free(struct ring *ring);
DEFINE_CLEANUP(struct ring *, ring_free);

/*
 * Gives at most `most` records to on_record and frees each after that; data is aligned to 8 and valid for the call. A
 * nonzero return of on_record ends it, with that record freed. Returns how many were given, -errno of mmap(2), or a
 * negative return of on_record.
 */
typedef int (*ring_on_record)(void *userdata, const void *data, size_t size);
int ring_consume(struct ring *ring, unsigned most, ring_on_record on_record, void *userdata);

/* Steps over a first record that is reserved and not committed; false: it is not. Only in a ring that nobody needs any more: the memory may
 * be given to another producer while the first one writes to it. */
bool ring_skip(struct ring *ring);

/* The first record that waits, valid until the next call; false: none does, or it cannot be read. */
bool ring_peek(struct ring *ring, const void **ret, size_t *ret_size);

/*
 * Positions in bytes, which only grow: of the next record that is reserved, and of the first that was not consumed. To consume nothing means little:
 * a record that is reserved and not committed yet stands before all others, for as long as its producer is preempted.
 */
uint64_t ring_produced(const struct ring *ring);
uint64_t ring_consumed(const struct ring *ring);

/* Bytes between the first record that was not consumed and the last that was reserved. */
uint64_t ring_used(const struct ring *ring);

#endif
