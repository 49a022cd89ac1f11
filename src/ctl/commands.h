/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands of execsnoopctl(1). Each returns an exit status; errors are printed. */
#ifndef EXECSNOOP_COMMANDS_H
#define EXECSNOOP_COMMANDS_H

#include "ctl/options.h"

int command_watch(struct options *options);
int command_log(struct options *options);
int command_show(struct options *options);
int command_tree(struct options *options);
int command_status(struct options *options);
int command_cat(struct options *options);

#endif
