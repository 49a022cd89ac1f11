/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "ctl/command/commands.h"
#include "ctl/command/option_commands.h"
#include "ctl/command/options_table.h"

static void print_commands(void)
{
	char left[64];

	puts("execsnoopctl [COMMAND] [OPTION...] [PROGRAM|KEY=VALUE...]\n\n"
	     "Show what runs and ran on this machine, as execsnoopd(8) reports it.\n\n"
	     "Commands:");
	for (const struct command *command = commands; command->name; command++) {
		snprintf(left, sizeof(left), "%s %s", command->name, command->arguments);
		printf("  %-28s %s\n", left, command->help);
	}
}

static void print_option(const struct option_row *row)
{
	bool optional = row->argument && row->argument[0] == '[';
	char letter[5] = "   ", left[64];

	if (row->letter)
		snprintf(letter, sizeof(letter), "-%c ", row->letter);
	snprintf(left, sizeof(left), "%s--%s%s%s", letter, row->name, row->argument && !optional ? "=" : "",
		 row->argument ? row->argument : "");
	printf("  %-28s %s\n", left, row->help);
}

int options_print_help(struct options *options, const struct option_row *unused, const char *value)
{
	const struct command *command = options->has_command ? options->command : NULL;

	if (command)
		printf("execsnoopctl %s [OPTION...] %s\n\n%s.\n", command->name, command->arguments, command->help);
	else
		print_commands();
	puts("\nOptions:");
	for (const struct option_row *row = option_rows; row->name; row++)
		if (row->help && (!command || option_use(row->name, command->name) == OPTION_TAKEN))
			print_option(row);
	puts(command ? "\nOther commands: execsnoopctl --help. See execsnoopctl(1)."
		     : "\nOptions of one command: execsnoopctl COMMAND --help. See execsnoopctl(1).");
	return CTL_OK;
}
