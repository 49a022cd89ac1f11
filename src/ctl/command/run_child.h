/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command of execsnoopctl run: forked at once, so that its pid can be subscribed to, and held before its exec until
 * it is released. It has the terminal, the descriptors, the signal mask and the process group of its parent.
 */
#pragma once

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

struct run_child {
	pid_t pid;
	int gate;   /* a byte releases it; closed without one, it exits */
	int failed; /* errno of its exec; closed by an exec that succeeds */
	bool ended;
	int status;	      /* as wait(2) gives it */
	struct rusage rusage; /* of it and of what it waited for */
};

int run_child_start(struct run_child *ret, char *const argv[]);
/* 0: the command runs; -errno of its exec. */
int run_child_release(struct run_child *child);
/* Its exec is called off, if it has not been released. */
void run_child_finish(struct run_child *child);

/* SIGCHLD and the signals that are passed on, as a signalfd(2). They are blocked from then on. */
int run_signals_open(void);
/* Reads a signal, passes it on to a command that has not got it, and reaps. The signal; 0: there is none. */
int run_signals_read(int fd, struct run_child *child);

/* Ends this process as the command ended: by the same signal, or returns its exit status. */
int run_child_exit_status(const struct run_child *child);
