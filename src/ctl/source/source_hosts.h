/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemons of other machines, by ssh(1). */
#pragma once

#include <stdbool.h>

#define HOSTS_MAX 64
/* Where a path of a socket is expected: this, names of hosts separated by commas, and the path on them. */
#define HOSTS_PREFIX "ssh:"

/* Nothing in it can be an option or a command for ssh(1) or a shell. */
bool hosts_are_valid(const char *hosts);
unsigned hosts_count(const char *hosts);
bool hosts_path_is_valid(const char *path);

/*
 * address: what follows the prefix. *ret_fd is like a connection to one daemon: what is written there goes to all, what
 * is read are whole lines of each, with the key `host` (the name that was given), from the reply to the first request
 * on. It ends when all connections have ended; each end is reported on standard error.
 */
int hosts_connect(const char *address, int *ret_fd);
