/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands of execsnoopctl(1). Each returns an exit status; errors are printed. */
#pragma once

#include "ctl/command/options.h"

struct command {
	const char *name, *arguments, *help;
	int (*run)(struct options *options);
	bool runs_program; /* options end at the first argument: the rest is another program's command line */
	bool own_formats;  /* it checks options.output itself */
	unsigned hosts;	   /* of how many it can ask the daemons (-H) */
};

/* The first one is the default. The last one has no name. */
extern const struct command commands[];
/* NULL: there is none of this name. */
const struct command *command_find(const char *name);

struct recording;
/* On standard error. */
void warn_truncated(const struct recording *recording);

int command_watch(struct options *options);
int command_log(struct options *options);
int command_show(struct options *options);
int command_tree(struct options *options);
int command_status(struct options *options);
int command_bridge(struct options *options);
int command_cat(struct options *options);
int command_verify(struct options *options);
int command_stats(struct options *options);
int command_run(struct options *options);
int command_export(struct options *options);
int command_plot(struct options *options);
int command_diff(struct options *options);
int command_top(struct options *options);
int command_metrics(struct options *options);
