/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which variables of a program's environment are told: [probes] env of the configuration. */
#ifndef EXECSNOOP_ENVIRONMENT_H
#define EXECSNOOP_ENVIRONMENT_H

#include "util/bytes.h"
#include "util/cleanup.h"

struct environment;

/* names: globs (glob.h) of variables' names, ended by NULL, or NULL; not kept. -EINVAL with *ret_reason (a static
 * string) for one that is no glob; -ENOMEM. */
int environment_new(struct environment **ret, const char *const *names, const char **ret_reason);
struct environment *environment_free(struct environment *environment);
DEFINE_CLEANUP(struct environment *, environment_free);

/*
 * Of `block` (NAME=VALUE, each with its NUL) those that are wanted, in the same form, valid until the next call; data NULL
 * if there are none. What has no '=' is no variable. A last one without NUL has been cut and is left out. -ENOMEM.
 */
int environment_choose(struct environment *environment, struct bytes block, struct bytes *ret);

#endif
