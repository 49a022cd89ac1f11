/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * By the links in /proc/PID/ns, whose text has the number (namespaces(7)). To read one takes no lock
 * that can be held for long (proc_ns_readlink(), fs/proc/namespaces.c).
 */
#include "kernel/procfs_namespaces.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "net:[4026531840]" */
static void read_number(int dir, const char *name, uint32_t *ret)
{
	char link[64], *number;
	ssize_t n = readlinkat(dir, name, link, sizeof(link) - 1);

	if (n < 0)
		return;
	link[n] = '\0';
	number = strchr(link, '[');
	if (number)
		*ret = (uint32_t)strtoul(number + 1, NULL, 10);
}

void procfs_read_namespaces(int dir, struct process *process)
{
	read_number(dir, "ns/pid", &process->pid_ns);
	read_number(dir, "ns/mnt", &process->mnt_ns);
	read_number(dir, "ns/net", &process->net_ns);
	read_number(dir, "ns/user", &process->user_ns);
	read_number(dir, "ns/uts", &process->uts_ns);
	read_number(dir, "ns/ipc", &process->ipc_ns);
	read_number(dir, "ns/cgroup", &process->cgroup_ns);
	read_number(dir, "ns/time", &process->time_ns);
}
