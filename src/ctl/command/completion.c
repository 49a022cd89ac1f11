/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What shells complete, as a table that the scripts in conf/shell-completion/ ask for each time, so that they name no
 *option themselves. Each line is a list of parts with a tab between two, "-" for one that is empty:
 *
 *	command NAME ARGUMENTS HELP
 *	option LETTER --NAME ARGUMENT VALUES COMMANDS HELP	an ARGUMENT in brackets may be omitted
 *	formats COMMAND VALUES					of --output, of commands that have any
 *	key NAME						of KEY=VALUE
 *
 * COMMANDS: those that take the option; "-": all. VALUES: words, or one of @file, @directory, @user, @unit, @host.
 */
#include <stdio.h>
#include <string.h>

#include "ctl/command/commands.h"
#include "ctl/command/option_commands.h"
#include "ctl/command/options_table.h"
#include "ctl/export/export.h"
#include "ctl/view/view_line.h"

#define EXPORTS "run export plot"

static void print_values(const struct option_row *row)
{
	const char *name;

	if (strcmp(row->name, "columns") != 0) {
		printf("\t%s", row->values ? row->values : "-");
		return;
	}
	putchar('\t');
	for (size_t i = 0; (name = view_line_column(i)); i++)
		printf("%s%s", i > 0 ? " " : "", name);
	for (enum key key = 0; key < KEY_MAX; key++)
		printf(" %s", key_name(key));
}

static void print_formats(void)
{
	const char *name;

	for (const struct command *command = commands; command->name; command++) {
		const char *values = command_formats(command->name);

		if (values)
			printf("formats\t%s\t%s\n", command->name, values);
		if (!has_word(EXPORTS, command->name))
			continue;
		printf("formats\t%s\t", command->name);
		for (size_t i = 0; (name = export_name(i)); i++)
			printf("%s%s", i > 0 ? " " : "", name);
		putchar('\n');
	}
}

/* A key of the filter may have a name of its own: `tree`. */
static void print_keys(void)
{
	enum key same;

	for (enum key key = 0; key < KEY_MAX; key++)
		printf("key\t%s\n", key_name(key));
	for (enum filter_key key = 0; key < FILTER_KEY_MAX; key++)
		if (!key_by_name(bytes_of(filter_key_name(key)), &same))
			printf("key\t%s\n", filter_key_name(key));
}

int options_print_table(struct options *options, const struct option_row *unused, const char *value)
{
	for (const struct command *command = commands; command->name; command++)
		printf("command\t%s\t%s\t%s\n", command->name, *command->arguments ? command->arguments : "-",
		       command->help);
	for (const struct option_row *row = option_rows; row->name; row++) {
		if (!row->help)
			continue;
		printf("option\t%c\t--%s\t%s", row->letter ? row->letter : '-', row->name,
		       row->argument ? row->argument : "-");
		print_values(row);
		printf("\t%s\t%s\n", option_commands(row->name) ?: "-", row->help);
	}
	print_formats();
	print_keys();
	return CTL_OK;
}
