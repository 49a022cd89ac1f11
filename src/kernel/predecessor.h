/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The probes of the daemon that ran before, out of systemd's file descriptor store: they go on writing into their ring
 * buffer while no daemon runs, and until they are let go.
 */
#ifndef EXECSNOOP_PREDECESSOR_H
#define EXECSNOOP_PREDECESSOR_H

#include <stdint.h>

#include "handover/fdstore.h"
#include "kernel/probe.h"
#include "util/cleanup.h"

struct predecessor;

/* set: see probe_kept_name(). 0, and *ret NULL if nothing was left, or not enough of it; -errno. */
int predecessor_new(struct predecessor **ret, struct fdstore *store, uint32_t set);
/* The probes go on until probe_forget(). */
struct predecessor *predecessor_free(struct predecessor *predecessor);
DEFINE_CLEANUP(struct predecessor *, predecessor_free);

/* CLOCK_BOOTTIME of the first record that waits; 0: there is none. */
uint64_t predecessor_first_time(const struct predecessor *predecessor);
/* As probe_drain, probe_lost, probe_skipped. */
int predecessor_drain(struct predecessor *predecessor, unsigned most, probe_on_record on_record, void *userdata);
/* As probe_produced, probe_consumed. */
uint64_t predecessor_produced(const struct predecessor *predecessor);
uint64_t predecessor_consumed(const struct predecessor *predecessor);
/* Steps over a first record that is not complete; false: it is, or there is none. */
bool predecessor_skip(struct predecessor *predecessor);
void predecessor_lost(const struct predecessor *predecessor, uint32_t *ret_events, uint32_t *ret_forks);
void predecessor_skipped(const struct predecessor *predecessor, uint64_t *ret_events, uint64_t *ret_forks);

#endif
