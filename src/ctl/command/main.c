/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "ctl/command/commands.h"
#include "ctl/source/source_hosts.h"

static int run(struct options *options)
{
	const struct command *command = options->command;
	int status;

	if (options->hosts && hosts_count(options->hosts) > command->hosts) {
		fprintf(stderr, "execsnoopctl: --host: \"%s\" asks one host only\n", command->name);
		return CTL_USAGE;
	}
	status = command->run(options);
	/* That of `run` is the status of what it runs. */
	if (command->runs_program || sources_bad() == 0)
		return status;
	return status == CTL_OK || status == CTL_NOTHING ? CTL_DATA : status;
}

int main(int argc, char *argv[])
{
	const struct command *command = NULL;
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
	status = options_parse(&options, argc, argv, command);
	if (status < 0)
		status = run(&options);
	options_finish(&options);
	return status;
}
