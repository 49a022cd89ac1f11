/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The probes: loads and attaches the BPF programs, gives the ring buffer and the list of what runs. The only file that
 * includes the skeleton, but for failed_exec.c.
 */
#ifndef EXECSNOOP_PROBE_H
#define EXECSNOOP_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/task_list.h"
#include "record.h"
#include "settings/settings.h"
#include "util/cleanup.h"

struct probe;

/* Why it can't be had, in words for a person; set on failure. */
struct probe_reason {
	char text[512];
};

enum {
	PROBE_E_UNSUPPORTED = 1, /* the kernel can't do it: exit 69 */
	PROBE_E_PRIVILEGE = 2,	 /* we may not: exit 77 */
};

/* Loads and attaches. 0, PROBE_E_x with a reason, or -errno with a reason. */
int probe_new(struct probe **ret, const struct settings *settings, struct probe_reason *reason);
struct probe *probe_free(struct probe *probe);
DEFINE_CLEANUP(struct probe *, probe_free);

/* Whether they are the plain ones, which any kernel takes: on one without type information of its own, or whose verifier refuses typed pointers. */
bool probe_is_plain(const struct probe *probe);

/* How failed execs are caught, and a word on why, for the log: failed_exec.h. */
const char *probe_errors_kind(const struct probe *probe);
const char *probe_errors_note(const struct probe *probe);

/* Readable when the reader was asleep and there is something. */
int probe_fd(const struct probe *probe);

/*
 * Gives each waiting record to on_record, at most `most`; a nonzero return of on_record ends it.
 * Returns how many there were, or -errno. Data is valid for the callback.
 */
typedef int (*probe_on_record)(void *userdata, const void *data, size_t size);
int probe_drain(struct probe *probe, unsigned most, probe_on_record on_record, void *userdata);

/*
 * Producers wake the reader only if it said that it sleeps. Returns false if records came meanwhile: then drain
 * first. (Set the flag, then look: the producer commits, then looks at the flag. One of both sees the other.)
 */
bool probe_sleep(struct probe *probe);
void probe_awake(struct probe *probe);

/* Bytes of records that wait. */
uint64_t probe_waiting(const struct probe *probe);

/* Positions in the ring, in bytes, which only grow: of the next record, and of the first that was not given yet. All that was recorded
 * until the one was read has been given once the other has come there. */
uint64_t probe_produced(const struct probe *probe);
uint64_t probe_consumed(const struct probe *probe);

/* Losses since load, of all CPUs. */
void probe_lost(const struct probe *probe, uint32_t *ret_events, uint32_t *ret_forks);

/* Runs of a probe that the kernel left out since load (recursion_misses) and no other made up for: events, and forks, that
 * nobody saw. Takes a system call for each probe. */
void probe_skipped(const struct probe *probe, uint64_t *ret_events, uint64_t *ret_forks);

/* Those left out of one program, by its descriptor. */
uint64_t probe_program_skipped(int fd);
/* Without those that were made up for, as a member of struct record_shared has it. Read after `skipped` was, so it may be more. */
uint64_t probe_not_made_up(uint64_t skipped, const __u64 *made_up);

/*
 * What the probes live by, in systemd's file descriptor store. There are two sets of names (fdstore.h), so that the probes of
 * one daemon are there until all of the next one's are.
 */
enum probe_kept {
	PROBE_KEPT_RING,
	PROBE_KEPT_SHARED,	  /* struct record_shared */
	PROBE_KEPT_LINK,	  /* several */
	PROBE_KEPT_EVENT_PROGRAM, /* several: those whose skipped runs are events, or forks */
	PROBE_KEPT_FORK_PROGRAM,
	PROBE_KEPT_
};
/* set: 0 or 1. */
const char *probe_kept_name(enum probe_kept kept, uint32_t set);
/* They go on when this daemon ends. From now on probe_free leaves them as they are, but for one who is asked to wake up:
 * nobody. */
void probe_keep(struct probe *probe, uint32_t set);
/* Lets another daemon's probes go. */
void probe_forget(uint32_t set);

struct probe_stats {
	uint64_t lost_fork, lost_exec, lost_exit, lost_error, lost_args; /* reserve failures by kind */
	uint64_t skipped; /* runs that the kernel skipped (recursion_misses) and no other program made up for */
	uint64_t ring_size, ring_used;
	uint64_t runs, run_ns; /* 0 unless kernel.bpf_stats_enabled */
};
int probe_stats(struct probe *probe, struct probe_stats *ret);

/* Every process that runs now; to be freed with task_list_free(). 0 or -errno. */
int probe_running(struct probe *probe, struct task_list **ret);

#endif
