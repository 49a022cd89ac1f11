/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The probes for failed execs, by the first way that the kernel offers.
 */
#ifndef EXECSNOOP_FAILED_EXEC_H
#define EXECSNOOP_FAILED_EXEC_H

#include "record.h"
#include "settings/settings.h"
#include "util/cleanup.h"

struct bpf_link;
struct bpf_program;
struct btf;
struct failed_exec;

/*
 * Loads and attaches what settings->probes.errors asks for; `auto`: tries one way after the other. btf: the kernel's own, NULL if it
 * has none; ring, shared: maps of the other probes. 0, also where none of them can be had (failed_exec_kind "none"); -ENOMEM.
 */
int failed_exec_new(struct failed_exec **ret, const struct settings *settings, const struct record_settings *config,
		    const struct btf *btf, int ring, int shared);
struct failed_exec *failed_exec_free(struct failed_exec *errors);
DEFINE_CLEANUP(struct failed_exec *, failed_exec_free);

/* "kprobe-multi", "fexit", "kprobe", "tracepoint", "off", "none"; and what to say of it behind "failed execs are seen", or, for
 * "none", behind "failed execs". */
const char *failed_exec_kind(const struct failed_exec *errors);
const char *failed_exec_note(const struct failed_exec *errors);

/* The i-th thing that is attached; NULL after the last. */
struct bpf_link *failed_exec_link(const struct failed_exec *errors, size_t i);

/* The programs that are loaded, for figures: the first with NULL; NULL after the last. */
struct bpf_program *failed_exec_next_program(const struct failed_exec *errors, struct bpf_program *program);

/* The i-th program of which each run that the kernel leaves out (recursion_misses) may be a failed exec that was not seen; NULL
 * after the last. A way that sees the entries too has none: it knows which calls have not ended. */
struct bpf_program *failed_exec_leave(const struct failed_exec *errors, size_t i);

#endif
