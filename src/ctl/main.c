/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "ctl/commands.h"

int main(int argc, char *argv[])
{
	const struct command *command = commands;
	struct options options;
	int status;

	if (argc > 1 && argv[1][0] != '-') {
		command = command_find(argv[1]);
		if (!command) {
			fprintf(stderr, "execsnoopctl: no command \"%s\", see execsnoopctl --help\n", argv[1]);
			return CTL_USAGE;
		}
		argv[1] = argv[0];
		argv++;
		argc--;
	}
	status = options_parse(&options, argc, argv, command->runs_program);
	if (status < 0 && options.format == FORMAT_OTHER && !command->own_formats) {
		fprintf(stderr, "execsnoopctl: --output %s: no such format\n", options.output);
		status = CTL_USAGE;
	}
	if (status < 0)
		status = command->run(&options);
	options_finish(&options);
	return status;
}
