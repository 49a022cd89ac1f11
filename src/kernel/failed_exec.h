/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The probes of failed execs, by the first method that the kernel offers. */
#pragma once

#include "kernel/record_source.h"
#include "record.h"
#include "settings/settings.h"
#include "util/cleanup.h"

struct btf;
struct failed_exec;

/*
 * Loads and attaches what settings->probes.errors asks for; `auto`: tries one method after the
 * other. btf: the kernel's own, NULL if it has none. The programs use the source's maps and are
 * added to it. 0, also where none can be had (failed_exec_kind "none"); -ENOMEM.
 */
int failed_exec_new(struct failed_exec **ret, const struct settings *settings, const struct record_settings *config,
		    const struct btf *btf, struct record_source *source);
struct failed_exec *failed_exec_free(struct failed_exec *errors);
DEFINE_CLEANUP(struct failed_exec *, failed_exec_free);

/* "kprobe-multi", "fexit", "kprobe", "tracepoint", "off", "none". */
const char *failed_exec_kind(const struct failed_exec *errors);
/* For the log, after "failed execs are seen" or, for "none", after "failed execs". */
const char *failed_exec_description(const struct failed_exec *errors);

/* failed_exec_free() detaches nothing from now on. */
void failed_exec_disconnect(struct failed_exec *errors);
