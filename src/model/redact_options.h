/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of options ([redact] options), found in arguments and in names of variables. For redact.c alone, which has the
 * rules. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/bytes.h"

#define NO_TAIL SIZE_MAX

struct option;

struct options {
	struct option *list;
	size_t count;
	bool begins[256]; /* with that byte some name begins */
};

/* Room for `count` of them. 0 or -ENOMEM. */
int options_init(struct options *options, size_t count);
void options_finish(struct options *options);
/* -EINVAL, as redact_check_option(); -ENOMEM. */
int options_add(struct options *options, const char *text);

/* What these cost is subtracted from *steps (ere.h). Where they end below zero, the result is not known. */

/* Where the value of an option begins that the argument is (*tail stays: nowhere), and whether the next argument is
 * one. */
void options_match(const struct options *options, struct bytes arg, size_t *tail, bool *next, int64_t *steps);

/*
 * Options within an argument, as in sh -c 'mysql --password=x', each value of which is given to mark(); from the byte
 * at `from` on. 0, or what mark() returned below 0. *next: the last word is an option, whose value follows in the next
 * argument.
 */
int options_in_text(const struct options *options, struct bytes arg, size_t from, bool *next, int64_t *steps,
		    int (*mark)(void *userdata, size_t from, size_t to), void *userdata);

/* Whether the variable is called as an option: the name, or a part of it between '_', whatever the case, with '_' for
 * '-'. */
bool options_name_variable(const struct options *options, struct bytes name, int64_t *steps);
