/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "ctl/command/commands.h"
#include "ctl/source/source_hosts.h"

int main(int argc, char *argv[])
{
	const struct command *command = commands;
	struct options options;
	int at = options_command(argc, argv), status;

	if (at > 0) {
		command = command_find(argv[at]);
		if (!command) {
			fprintf(stderr, "execsnoopctl: no command \"%s\", see execsnoopctl --help\n", argv[at]);
			return CTL_USAGE;
		}
		memmove(argv + at, argv + at + 1, sizeof(argv[0]) * (size_t)(argc - at));
		argc--;
	}
	status = options_parse(&options, argc, argv, command->runs_program);
	if (status < 0 && options.format == FORMAT_OTHER && !command->own_formats) {
		fprintf(stderr, "execsnoopctl: --output %s: no such format, see execsnoopctl --help\n", options.output);
		status = CTL_USAGE;
	}
	if (status < 0 && options.hosts && hosts_count(options.hosts) > command->hosts) {
		fprintf(stderr, "execsnoopctl: --host: \"%s\" asks %s\n", command->name,
			command->hosts == 0 ? "this machine only" : "one host only");
		status = CTL_USAGE;
	}
	if (status < 0)
		status = command->run(&options);
	options_finish(&options);
	return status;
}
