/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The variables of a program's environment to report: [probes] env of execsnoopd.conf(5). */
#pragma once

#include "util/bytes.h"
#include "util/cleanup.h"

struct environment;

#define ENVIRONMENT_STEPS_MAX 8000000 /* for one block, glob.h */

/* names: globs (glob.h), ended by NULL, or NULL; not stored. -EINVAL with *ret_reason, a static
 * string, for one that is no glob; -ENOMEM. */
int environment_new(struct environment **ret, const char *const *names, const char **ret_reason);
struct environment *environment_free(struct environment *environment);
DEFINE_CLEANUP(struct environment *, environment_free);

/*
 * The chosen ones of `block` (NAME=VALUE, each with its NUL), in the same form, valid until the
 * next call; data NULL: none. A string without '=' is no variable. A last one without NUL was cut,
 * and is left out. -E2BIG: it would take more than these steps; -ENOMEM.
 */
int environment_choose(struct environment *environment, struct bytes block, struct bytes *ret);
