/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/command/commands.h"

#include <string.h>

#include "ctl/source/source_hosts.h"

const struct command commands[] = {
	{ "watch", "[PROGRAM...]", "Show programs as they start, fail and end (default)", command_watch,
	  .hosts = HOSTS_MAX },
	{ "log", "[PROGRAM...]", "Show what ran, from the journal", command_log },
	{ "show", "PID|ID...", "Show all about a process, and why it ran", command_show, .hosts = 1 },
	{ "tree", "[PID|UNIT]", "Show processes below their parents", command_tree, .hosts = 1 },
	{ "top", "[PROGRAM...]", "Show what starts and uses most, now", command_top, .hosts = HOSTS_MAX },
	{ "stats", "[PROGRAM...]", "Show what was started most, used most, failed most", command_stats },
	{ "run", "COMMAND...", "Run a command, and report what it ran", command_run, true, true },
	{ "export", "[PROGRAM...]", "Write a picture or a file for another program: -o", command_export, false, true,
	  1 },
	{ "plot", "[PROGRAM...]", "Draw what ran: export -o svg", command_plot, false, true },
	{ "diff", "A B [PROGRAM...]", "Show what ran in one only; FILE, SINCE..UNTIL, boot:ID, host:NAME",
	  command_diff },
	{ "verify", "", "Say whether all events are there, and which are missing", command_verify },
	{ "status", "", "Show the state of the daemon", command_status, .hosts = HOSTS_MAX },
	{ "metrics", "", "Print the daemon's statistics for monitoring systems", command_metrics, .own_formats = true,
	  .hosts = 1 },
	{ "cat", "", "Print the daemon's lines of JSON", command_cat, .hosts = HOSTS_MAX },
	{ "bridge", "", "Connect standard input and output to the daemon: for --host", command_bridge },
	{ 0 },
};

const struct command *command_find(const char *name)
{
	for (const struct command *command = commands; command->name; command++)
		if (strcmp(command->name, name) == 0)
			return command;
	return NULL;
}
