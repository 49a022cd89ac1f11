/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one table of keys: names, types, defaults, ranges. For the files of this folder alone. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "settings/settings.h"

struct setting_type;

struct setting {
	const char *section, *name;
	const struct setting_type *type;
	size_t offset;	     /* in struct settings */
	const char *initial; /* the default, as a file would have it */
	uint64_t min, max;   /* of a number; of a path's length */
	enum filter_key key; /* of a filter */
	bool many;	     /* may be given more than once in a file */
	bool restart;	     /* a change takes effect after a restart */
};

/* A value on its way from a file into the settings. */
struct setting_input {
	const char *text;
	bool first;	   /* in this file: a list starts over, else it grows */
	const char *wrong; /* set with -EINVAL: a static string, or `buffer` */
	char buffer[512];
};

size_t settings_count(void);
size_t settings_index(const struct setting *setting);
bool settings_has_section(const char *section);
const struct setting *settings_find(const char *section, const char *name);

/* -EINVAL with input->wrong; -ENOMEM. */
int settings_set(struct settings *settings, const struct setting *setting, struct setting_input *input);

/* What depends on other keys: [output] fields, sizes that are rounded. */
void settings_finish(struct settings *settings);
