/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options of execsnoopctl(1): one table for the parser, for --help, and for the completions of shells
 * (conf/shell-completion/), which ask for it.
 */
#pragma once

#include "ctl/command/options.h"

/* In the order of enum format. */
#define FORMATS "short json json-pretty sh cat verbose csv"

struct option_row {
	char letter; /* '\0': none */
	const char *name;
	const char *argument; /* NULL: none; in brackets: it may be omitted, and `set` gets NULL then */
	const char *values;   /* for completions: words, or one of @file, @directory, @user, @unit; NULL: any text */
	const char *help;
	/* An exit status to end with, or -1: the next option. Errors are printed. */
	int (*set)(struct options *options, const struct option_row *row, const char *value);
	size_t detail; /* what `set` needs of its row: a member's offset, a filter key */
};

/* The last one has no name. */
extern const struct option_row option_rows[];

/* Prints what is wrong; returns CTL_USAGE. */
int options_bad(const struct option_row *row, const char *value, const char *reason);

/* --help, and the table for completions (completion.c). */
int options_print_help(struct options *options, const struct option_row *row, const char *value);
int options_print_table(struct options *options, const struct option_row *row, const char *value);
