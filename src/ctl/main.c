/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/commands.h"

static const struct {
	const char *name;
	int (*run)(struct options *options);
} commands[] = {
	{ "watch", command_watch }, { "log", command_log },	  { "show", command_show },
	{ "tree", command_tree },   { "status", command_status }, { "cat", command_cat },
};

int main(int argc, char *argv[])
{
	int (*run)(struct options * options) = command_watch;
	struct options options;
	size_t i = 0, count = sizeof(commands) / sizeof(commands[0]);
	int status;

	if (argc > 1 && argv[1][0] != '-') {
		while (i < count && strcmp(argv[1], commands[i].name) != 0)
			i++;
		if (i == count) {
			fprintf(stderr, "execsnoopctl: no command \"%s\", see execsnoopctl --help\n", argv[1]);
			return CTL_USAGE;
		}
		run = commands[i].run;
		argv[1] = argv[0];
		argv++;
		argc--;
	}
	status = options_parse(&options, argc, argv);
	if (status < 0)
		status = run(&options);
	options_finish(&options);
	return status;
}
