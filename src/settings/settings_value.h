/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The types of values: how each is read from a file and written to one. For the files of this
 * folder alone. */
#pragma once

#include "settings/settings_table.h"

struct setting_choice {
	const char *name;
	int value;
};

struct setting_type {
	bool is_text; /* most text is valid, so a mistake in it may go unnoticed */
	const struct setting_choice *choices;
	/* Sets the value at `to`. -EINVAL with input->wrong; -ENOMEM. */
	int (*read)(void *to, const struct setting *setting, struct setting_input *input);
	/* As a file would have it. */
	void (*write)(FILE *out, const void *at, const struct setting *setting);
	/* What the value points to; NULL: it points to nothing. */
	void (*free)(void *at, const struct setting *setting);
};

extern const struct setting_type type_bool, /* bool */
	type_size,			    /* uint64_t, with K, M or G */
	type_count,			    /* uint64_t */
	type_mode,			    /* mode_t, octal */
	type_path,			    /* char *, absolute; empty: NULL */
	type_name,			    /* char *, empty: NULL */
	type_errors, type_slow, type_level, /* int or enum */
	type_path_search, type_fields,	    /* key_set */
	type_output_fields,		    /* those of a settings_output */
	type_filter,			    /* one key's entries of a settings_output */
	type_env,			    /* string_list of globs */
	type_options,			    /* string_list of options' names */
	type_pattern;			    /* string_list of EREs, one a line */

/* Why the value is probably not what was meant, though it may be valid; NULL. */
const char *setting_doubt(const struct setting *setting, const char *value);
