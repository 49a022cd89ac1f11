/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef EXECSNOOP_UTF8_H
#define EXECSNOOP_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The length of the longest prefix of data that is valid UTF-8 (RFC 3629); size if all is. */
size_t utf8_valid(const char *data, size_t size);

/* data[0] begins no valid sequence: how many bytes make up its maximal subpart (1 to 3; The Unicode
 * Standard, 3.9, "U+FFFD Substitution of Maximal Subparts"). size > 0. */
size_t utf8_bad(const char *data, size_t size);

#endif
