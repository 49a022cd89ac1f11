/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which of the runs of our programs that the kernel skipped are lost events. The kernel counts a
 * skipped run before a backup program makes up for it (bpf/preempted.bpf.h): so a run is lost if it
 * is counted at one look and still is at the next one. A run that was reported may still be made up
 * for; then the next one is not reported.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/record_source.h"

struct skipped {
	bool forks; /* a fork is an event */
	struct loss_count reported;
	struct loss_count seen; /* at the last look */
	uint64_t seen_us;	/* 0: there was none */
};

/* Starts with another source, or with what was reported of it before. */
void skipped_reset(struct skipped *skipped, struct loss_count reported);

/* Some were seen that the next look may confirm. */
bool skipped_is_pending(const struct skipped *skipped);

/* A look takes system calls. idle: the consumer may sleep soon. */
bool skipped_is_look_due(const struct skipped *skipped, uint64_t now_us, bool idle);

/* Events that are lost in addition to those that were reported. count: as it is at now_us. */
uint64_t skipped_look(struct skipped *skipped, struct loss_count count, uint64_t now_us);
/* The same without another look to follow. */
uint64_t skipped_last_look(struct skipped *skipped, struct loss_count count);
