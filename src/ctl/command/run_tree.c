/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/command/run_tree.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/command/options.h"

#define INITIAL_PID_NS 0xEFFFFFFCU /* PROC_PID_INIT_INO, include/linux/proc_ns.h */
#define SNAPSHOT "{\"types\":[\"started\"],\"snapshot\":true,\"fields\":[\"pid\",\"pid_ns\",\"ns_pid\"]}\n"
/* The own exec may not have been reported when the snapshot was made. */
#define PATIENCE_MS 5000

/* 0: the initial one. */
static int read_pid_ns(uint32_t *ret)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) < 0)
		return -errno;
	*ret = st.st_ino == INITIAL_PID_NS ? 0 : (uint32_t)st.st_ino;
	return 0;
}

/* The pid of this process in the initial namespace. 1: *ret is set; 0: the daemon does not see it. */
static int find_self(struct event_source *source, uint32_t pid_ns, uint32_t *ret)
{
	const struct parsed *parsed;
	int r;

	while ((r = source_wait(source, PATIENCE_MS)) > 0 && (r = source_next(source, &parsed)) > 0) {
		if (parsed->process.pid_ns != pid_ns || parsed->process.ns_pid != (uint32_t)getpid())
			continue;
		*ret = parsed->process.tgid;
		return 1;
	}
	return r;
}

/* This process, of which the child is a part of the tree. An exit status, or 0. */
static int translate(const char *socket, uint32_t pid_ns, uint32_t *ret)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	int r = source_open_socket(&source, socket, SNAPSHOT);

	if (r < 0)
		return options_status(r);
	r = find_self(source, pid_ns, ret);
	if (r > 0)
		return 0;
	fputs("execsnoopctl: this process is in another pid namespace than the daemon's, and the daemon does not see it\n",
	      stderr);
	return CTL_UNAVAILABLE;
}

static int open_tree(struct run_tree *tree, const char *socket)
{
	uint32_t pid = (uint32_t)tree->pid;
	char request[128];
	int r = read_pid_ns(&tree->pid_ns);

	if (r < 0) {
		fprintf(stderr, "execsnoopctl: /proc/self/ns/pid: %s\n", strerror(-r));
		return CTL_FAILED;
	}
	r = tree->pid_ns != 0 ? translate(socket, tree->pid_ns, &pid) : 0;
	if (r != 0)
		return r;
	snprintf(request, sizeof(request),
		 "{\"tree\":%u,\"snapshot\":false,\"fields\":[\"all\",\"starter_id\",\"starter_exec_time\"]}\n", pid);
	r = source_open_socket(&tree->source, socket, request);
	return r < 0 ? options_status(r) : 0;
}

int run_tree_open(struct run_tree *ret, const char *socket, pid_t pid)
{
	int r;

	*ret = (struct run_tree){ .pid = pid };
	r = open_tree(ret, socket);
	if (r != 0)
		fputs("The command was not run.\n", stderr);
	return r;
}

bool run_tree_has(const struct run_tree *tree, const struct process *process)
{
	return tree->pid_ns == 0 || process->pid_ns != tree->pid_ns || process->ns_pid != (uint32_t)getpid();
}

bool run_tree_is_child(const struct run_tree *tree, const struct process *process)
{
	if (tree->pid_ns == 0)
		return process->tgid == (uint32_t)tree->pid;
	return process->pid_ns == tree->pid_ns && process->ns_pid == (uint32_t)tree->pid;
}
