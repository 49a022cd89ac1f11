/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A ring buffer, the counters next to it, and the BPF programs that write to both. There is one of
 * this daemon's probes, and during a takeover one of the previous daemon's, out of systemd's file
 * descriptor store: its programs run until record_source_forget().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "handover/fdstore.h"
#include "kernel/ringbuf.h"
#include "record.h"
#include "util/cleanup.h"

/* What a descriptor of a source is. Those up to ROLE_STORED are kept in systemd's store. */
enum source_role {
	ROLE_RING,
	ROLE_SHARED, /* the map of struct record_shared */
	ROLE_LINK,
	ROLE_EVENT, /* a program: a run that the kernel skips (recursion_misses) is a lost event */
	ROLE_FORK,  /* a program: a run that it skips is a lost fork */
	ROLE_STORED,
	ROLE_BACKUP =
		ROLE_STORED, /* a program that runs after another one, in case that was skipped (bpf/preempted.bpf.h) */
	ROLE_AUXILIARY,	     /* a program whose skipped runs are in the statistics only */
};

#define SOURCE_FDS_MAX 64

struct record_source {
	struct ringbuf *ring;
	struct record_shared *shared;
	/* Private. */
	size_t shared_size, count;
	bool owns_fds, is_stored;
	struct {
		enum source_role role;
		int fd;
	} fds[SOURCE_FDS_MAX];
};

/* Maps both maps. Descriptors are borrowed, here and in record_source_add(). ring_size: max_entries, in bytes. */
int record_source_new(struct record_source **ret, int ring, size_t ring_size, int shared);
void record_source_add(struct record_source *source, enum source_role role, int fd);
/* Closes and unmaps. The programs of a source that was stored keep running, and wake no consumer from now on. */
struct record_source *record_source_free(struct record_source *source);
DEFINE_CLEANUP(struct record_source *, record_source_free);

/* Of a role that there is one of. */
int record_source_fd(const struct record_source *source, enum source_role role);

/*
 * The names in systemd's store are those of one of two sets, 0 and 1, so that the probes of one
 * daemon are there until all of the next one's are.
 */
void record_source_store(struct record_source *source, uint32_t set);
/* *ret: NULL if the store has none, or a part of one. */
int record_source_restore(struct record_source **ret, struct fdstore *store, uint32_t set);
void record_source_forget(uint32_t set);

/*
 * Producers wake the consumer only if it sleeps. False: records arrived in the meantime, drain
 * first. (It stores the flag and then looks at the ring; a producer commits its record and then
 * looks at the flag. One of the two sees the other's store.)
 */
bool record_source_sleep(struct record_source *source);
void record_source_awake(struct record_source *source);
/* Bytes that the consumer is to read. What waits while it sleeps makes no event (bpf/emit.bpf.h). */
uint64_t record_source_waiting(const struct record_source *source);

/* Counters since the programs were loaded. */
struct loss_count {
	uint64_t events, forks;
};

/* Records for which the ring had no room. */
struct loss_count record_source_lost(const struct record_source *source);
/* Runs that the kernel skipped and that no backup program made up for. A system call for each program. */
struct loss_count record_source_skipped(const struct record_source *source);

/* Of all programs. Made up for or not, the runs of backup programs that were skipped are not counted. */
struct program_stats {
	uint64_t skipped;
	uint64_t runs, run_ns; /* 0 unless kernel.bpf_stats_enabled */
};
struct program_stats record_source_program_stats(const struct record_source *source);
