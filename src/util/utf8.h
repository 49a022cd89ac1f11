/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The length of the longest prefix of data that is valid UTF-8 (RFC 3629); size if all is. */
size_t utf8_valid(const char *data, size_t size);

/* data[0] begins no valid sequence: how many bytes make up its maximal subpart (1 to 3; The Unicode
 * Standard, 3.9, "U+FFFD Substitution of Maximal Subparts"). size > 0. */
size_t utf8_bad(const char *data, size_t size);

/* The size of the character at data[0]; *ret_valid false: there is none, and it is that of a maximal subpart. size > 0.
 */
size_t utf8_first(const char *data, size_t size, bool *ret_valid);

/*
 * The size of the first character of valid UTF-8 if it affects how text around it is shown, beyond
 * the ASCII controls below 0x20: DEL, the C1 controls (U+0080 to U+009F), line and paragraph
 * separator (U+2028, U+2029), and the bidirectional controls (U+061C, U+200E, U+200F, U+202A to
 * U+202E, U+2066 to U+206F; The Unicode Standard, annex 9). 0: it does not. Characters without
 * width (U+200B, tags) are ordinary ones.
 */
size_t utf8_acts(const char *data, size_t size);
/* The number of a character. */
unsigned utf8_code(const char *data, size_t size);
