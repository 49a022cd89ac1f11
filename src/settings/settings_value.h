/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a value of each type of the table is read and written. For settings_table.c alone. */
#ifndef EXECSNOOP_SETTINGS_VALUE_H
#define EXECSNOOP_SETTINGS_VALUE_H

#include "settings/settings_table.h"

enum type {
	TYPE_TRUTH,
	TYPE_SIZE,   /* uint64_t, with K, M, G */
	TYPE_COUNT,  /* uint64_t */
	TYPE_MODE,   /* mode_t, octal */
	TYPE_PATH,   /* char *, absolute; empty: NULL */
	TYPE_SOCKET, /* the same, as long as a socket's address may be */
	TYPE_NAME,   /* char *, empty: NULL */
	TYPE_ERRORS,
	TYPE_SLOW,
	TYPE_LEVEL,
	TYPE_FIELDS,  /* key_set; the bool fields_set stands before it in settings_output */
	TYPE_ENV,     /* string_list of globs */
	TYPE_OPTIONS, /* string_list of options' names */
		      /* string_list */
	TYPE_PATTERN, /* string_list of EREs, one a line */
	TYPE_FILTER,  /* + the filter key: string_list */
};

/* Sets what is at `to`, as settings_set() does. */
int value_read(void *to, const struct setting *setting, const char *value, bool first, char *buffer, size_t size,
	       const char **ret_wrong);
/* As settings_doubt() and settings_is_text(). */
const char *value_doubt(const struct setting *setting, const char *value);
bool value_is_text(const struct setting *setting);
/* As it would stand in a file. */
void value_write(FILE *out, const void *at, const struct setting *setting);
/* What it points to; the value itself stays. */
void value_free(void *at, const struct setting *setting);

#endif
