/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The probes: loads and attaches the BPF programs. probe.c is the only file that includes a
 * skeleton, except failed_exec.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/record_source.h"
#include "kernel/task_list.h"
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

/* Uses the programs of bpf/fallback.bpf.h, which any kernel takes: it has no type information, or
 * its verifier refused typed pointers. */
bool probe_is_fallback(const struct probe *probe);

/* Of failed_exec.h. */
const char *probe_errors_kind(const struct probe *probe);
const char *probe_errors_description(const struct probe *probe);

/* The ring buffer and the counters that the probes write to. Borrowed. */
struct record_source *probe_source(const struct probe *probe);

/* Looks up the types of file systems whose modules were loaded since, if a program has met a file
 * of one. Cheap if it has not. */
void probe_update_layouts(struct probe *probe);

/* Puts the source into systemd's store. The probes keep running after probe_free(). */
void probe_store(struct probe *probe, uint32_t set);

/* Every process that runs now; to be freed with task_list_free(). 0 or -errno. */
int probe_list_tasks(struct probe *probe, struct task_list **ret);
