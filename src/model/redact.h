/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Masking of secrets in arguments and variables: [redact] of execsnoopd.conf(5). See redact.c for the rules.
 */
#ifndef EXECSNOOP_REDACT_H
#define EXECSNOOP_REDACT_H

#include <stdbool.h>
#include <stddef.h>

#include "util/bytes.h"
#include "util/cleanup.h"

#define REDACT_MARK "[redacted]"
#define REDACT_OPTIONS_MAX 256
#define REDACT_PATTERNS_MAX 64

enum {
	REDACT_E_CHANGED = 1, /* something was masked */
};

struct redact;

/* For the configuration's checks: 0, -ENOMEM, or -EINVAL with *ret_reason, a static string. */
int redact_check_option(const char *option, const char **ret_reason);
int redact_check_pattern(const char *pattern, const char **ret_reason);

/* Lists ended by NULL, or NULL; not kept. -EINVAL if one of the checks above fails, -E2BIG beyond the limits, -ENOMEM. */
int redact_new(struct redact **ret, const char *const *options, const char *const *patterns);
struct redact *redact_free(struct redact *redact);
DEFINE_CLEANUP(struct redact *, redact_free);

/* Nothing is configured: there is nothing to do. */
bool redact_is_empty(const struct redact *redact);

/*
 * Masks the arguments (argv[0] first, each with its NUL; see process.c for a last one without it). 0: there was nothing
 * to mask, *ret is untouched. REDACT_E_CHANGED: *ret is the list to use instead, with as many arguments, valid until the
 * next call. -ENOMEM: there may be secrets in args, which must not be shown.
 *
 * Whoever cuts a list does it before and between two arguments (nulstr_cut): half of a secret need not match.
 * The result may be larger than args: up to 11 bytes for each 2.
 */
int redact_args(struct redact *redact, struct bytes args, struct bytes *ret);
/* The same of variables, NAME=VALUE, each with its NUL. The results of both are valid together. */
int redact_env(struct redact *redact, struct bytes env, struct bytes *ret);

#endif
