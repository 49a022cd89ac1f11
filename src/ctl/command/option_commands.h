/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which options and formats a command takes: for the parser, --help and the completions of shells. */
#pragma once

#include <stdbool.h>

enum option_use {
	OPTION_TAKEN,
	OPTION_IDLE, /* every command accepts it, and this one has no use for it */
	OPTION_REFUSED,
};

/* option: its long name. */
enum option_use option_use(const char *option, const char *command);
/* Those that have a use for it, separated by spaces; NULL: all. */
const char *option_commands(const char *option);

/* The values of --output, separated by spaces, or @file; NULL: the command has none, or takes those of an export. */
const char *command_formats(const char *command);

/* Whether one of the words, separated by spaces. */
bool has_word(const char *words, const char *word);
