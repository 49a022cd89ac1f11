/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * POSIX extended regular expressions over bytes, for one question: which bytes of a text could a
 * pattern match? In time linear in the text, whatever the pattern. See ere.c for how, and why
 * regexec(3) will not do.
 *
 *	.  [a-z]  [^a-z]  [[:digit:]]    one byte (no locale: a byte is a character, classes are ASCII's)
 *	()  |  *  +  ?  {m,n}            as in POSIX, n at most 255
 *	^  $                             the ends of the text
 *	\w \W \s \S                      as in glibc; a backslash before other than a letter, a digit or <>`' quotes it
 *
 * What POSIX leaves undefined is an error, not a guess: \d, \<, \1, a lone '*', an unbalanced ')'.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "util/bytes.h"
#include "util/cleanup.h"

#define ERE_POSITIONS_MAX 512 /* bytes and brackets of a pattern, each {n} counting n times */
#define ERE_COST_MAX 128      /* steps for one byte of text, each a few instructions; see ere.c */

struct ere;

/* -EINVAL with *ret_reason (a static string) if it is no pattern or asks for what is not done here;
 * -ENOMEM. */
int ere_new(struct ere **ret, const char *pattern, const char **ret_reason);
struct ere *ere_free(struct ere *ere);
DEFINE_CLEANUP(struct ere *, ere_free);

/* Whether it matches somewhere. The cost is subtracted from *steps; where they end below zero, it is not known. A step
 * is about a nanosecond: three bytes with which no match begins. */
enum ere_result { ERE_NO, ERE_YES, ERE_UNKNOWN };
enum ere_result ere_match(const struct ere *ere, struct bytes text, int64_t *steps);

/*
 * Sets mask[i] to 1 for every byte i of text that takes part in some match: any that there is,
 * longest, shorter and overlapping ones too. If the pattern has a group, only its first group
 * counts, but for an alternative at the outermost level without that group: there all of the match
 * does. Nothing else in mask is changed. -ENOMEM: mask may be partly set.
 */
int ere_mask(struct ere *ere, struct bytes text, unsigned char *mask);
/* The steps that this takes. */
int64_t ere_mask_cost(const struct ere *ere, struct bytes text);
