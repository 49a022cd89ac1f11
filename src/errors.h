/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The probes for failed execs, by the first way that the kernel offers.
 */
#ifndef EXECSNOOP_ERRORS_H
#define EXECSNOOP_ERRORS_H

#include "cleanup.h"
#include "record.h"
#include "settings.h"

struct bpf_link;
struct bpf_program;
struct btf;
struct errors;

/*
 * Loads and attaches what settings->probes.errors asks for; `auto`: tries one way after the other. btf: the kernel's own, NULL if it
 * has none; ring, shared: maps of the other probes. 0, also where none of them can be had (errors_kind "none"); -ENOMEM.
 */
int errors_new(struct errors **ret, const struct settings *settings, const struct record_settings *config,
	       const struct btf *btf, int ring, int shared);
struct errors *errors_free(struct errors *errors);
DEFINE_CLEANUP(struct errors *, errors_free);

/* "kprobe-multi", "fexit", "kprobe", "tracepoint", "off", "none"; and what to say of it behind "failed execs are seen", or, for
 * "none", behind "failed execs". */
const char *errors_kind(const struct errors *errors);
const char *errors_note(const struct errors *errors);

/* The i-th thing that is attached; NULL after the last. */
struct bpf_link *errors_link(const struct errors *errors, size_t i);

/* The programs that are loaded, for figures: the first with NULL; NULL after the last. */
struct bpf_program *errors_next_program(const struct errors *errors, struct bpf_program *program);

/* The i-th program of which each run that the kernel leaves out (recursion_misses) may be a failed exec that was not seen; NULL
 * after the last. A way that sees the entries too has none: it knows which calls have not ended. */
struct bpf_program *errors_leave(const struct errors *errors, size_t i);

#endif
