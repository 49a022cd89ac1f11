/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one table of keys: names, types, defaults, ranges. For settings.c alone. */
#ifndef EXECSNOOP_SETTINGS_TABLE_H
#define EXECSNOOP_SETTINGS_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "settings/settings.h"

struct setting {
	const char *section, *name;
	int type;	   /* enum in settings_value.h */
	size_t offset;	   /* in struct settings */
	const char *value; /* the default, as it would stand in a file */
	uint64_t least, most;
	bool many;    /* may be given more than once in a file */
	bool restart; /* takes one to change */
};

size_t settings_count(void);
size_t settings_index(const struct setting *setting);
bool settings_has_section(const char *section);
const struct setting *settings_find(const char *section, const char *name);

/*
 * Sets it from the text of a file. `first`: the first time in this file; a list begins anew then, and grows at the
 * next times. 0; -EINVAL with *ret_wrong (a static string, or one in buffer); -ENOMEM.
 */
int settings_set(struct settings *settings, const struct setting *setting, const char *value, bool first, char *buffer,
		 size_t size, const char **ret_wrong);

/* Why a value is probably not what was meant, though it may be taken; NULL. */
const char *settings_doubt(const struct setting *setting, const char *value);
/* Any text is a value of it, so nothing else finds out. */
bool settings_is_text(const struct setting *setting);

/* What hangs on other keys: [output] fields, sizes that are rounded. */
void settings_finish(struct settings *settings);

#endif
