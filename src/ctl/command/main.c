/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/*
 * A descriptor that is closed would be that of the next file or connection, which then got what is printed. It becomes
 * one that cannot be read or written, as it was. A program that is run has it closed.
 */
static void keep_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC) != fd)
			_exit(CTL_FAILED);
}

/* Of --help and the like; commands look at what they print themselves. */
static int printed(int status)
{
	int r = status == CTL_OK ? file_flush(stdout) : 0;

	if (r == 0 || r == -EPIPE)
		return status;
	fprintf(stderr, "execsnoopctl: standard output: %s\n", strerror(-r));
	return CTL_FAILED;
}

int main(int argc, char *argv[])
{
	const struct command *command = NULL;
	struct options options;
	int at, status;

	keep_standard_descriptors();
	at = options_command(argc, argv);

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
	status = status < 0 ? run(&options) : printed(status);
	options_finish(&options);
	return status;
}
