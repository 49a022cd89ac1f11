/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "ctl/command/commands.h"
#include "ctl/command/options_table.h"

int options_print_help(struct options *options, const struct option_row *unused, const char *value)
{
	char left[64];

	puts("execsnoopctl [COMMAND] [OPTION...] [PROGRAM|KEY=VALUE...]\n\n"
	     "Show what runs and ran on this machine, as execsnoopd(8) reports it.\n\n"
	     "Commands:");
	for (const struct command *command = commands; command->name; command++) {
		snprintf(left, sizeof(left), "%s %s", command->name, command->arguments);
		printf("  %-28s %s\n", left, command->help);
	}
	puts("\nOptions:");
	for (const struct option_row *row = option_rows; row->name; row++) {
		bool optional = row->argument && row->argument[0] == '[';
		char letter[5] = "   ";

		if (!row->help)
			continue;
		if (row->letter)
			snprintf(letter, sizeof(letter), "-%c ", row->letter);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, row->name, row->argument && !optional ? "=" : "",
			 row->argument ? row->argument : "");
		printf("  %-28s %s\n", left, row->help);
	}
	puts("\nSee execsnoopctl(1).");
	return CTL_OK;
}
