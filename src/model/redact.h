/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Masking of secrets in arguments and variables: [redact] of execsnoopd.conf(5). See redact.c for
 * the rules.
 */
#pragma once

#include <stdbool.h>

#include "util/bytes.h"
#include "util/cleanup.h"

#define REDACT_MARK "[redacted]"
#define REDACT_OPTIONS_MAX 256
#define REDACT_PATTERNS_MAX 64
#define REDACT_STEPS_MAX 1000000 /* for one list, ere.h: what is not decided by then is masked whole */

enum {
	REDACT_E_CHANGED = 1, /* something was masked */
};

struct redact;

/* For checks of the configuration. -EINVAL with *ret_reason, a static string; -ENOMEM. */
int redact_check_option(const char *option, const char **ret_reason);
int redact_check_pattern(const char *pattern, const char **ret_reason);

/* Lists ended by NULL, or NULL; not stored. -EINVAL: one of the checks above fails; -E2BIG: more
 * than the limits; -ENOMEM. */
int redact_new(struct redact **ret, const char *const *options, const char *const *patterns);
struct redact *redact_free(struct redact *redact);
DEFINE_CLEANUP(struct redact *, redact_free);

/* Nothing is configured. */
bool redact_is_empty(const struct redact *redact);

/*
 * Masks the arguments (argv[0] first, each with its NUL, which the last one may lack). 0: nothing
 * to mask, *ret is unchanged. REDACT_E_CHANGED: *ret is the list to use instead, with as many
 * arguments, valid until the next call. -ENOMEM: args may have secrets, and must not be shown.
 *
 * A list must be cut before this, and between two arguments (nulstr_cut()): half of a secret need
 * not match. The result may be larger than args: up to 11 bytes for each 2.
 */
int redact_args(struct redact *redact, struct bytes args, struct bytes *ret);
/* The same for variables, NAME=VALUE, each with its NUL. The results of both are valid at the same
 * time. */
int redact_env(struct redact *redact, struct bytes env, struct bytes *ret);
