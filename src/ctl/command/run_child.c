/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/command/run_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>

#include "util/cleanup.h"

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* In the child. */
__attribute__((noreturn)) static void wait_and_exec(int gate, int failed, char *const argv[])
{
	char go;
	int error;

	if (read(gate, &go, 1) != 1)
		_exit(EXIT_FAILURE);
	execvp(argv[0], argv);
	error = errno;
	if (write(failed, &error, sizeof(error)) < 0)
		_exit(EXIT_FAILURE);
	_exit(EXIT_FAILURE);
}

int run_child_start(struct run_child *ret, char *const argv[])
{
	int gate[2], failed[2];
	pid_t pid;

	if (pipe2(gate, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(failed, O_CLOEXEC) < 0) {
		close(gate[0]);
		close(gate[1]);
		return -errno;
	}
	pid = fork();
	if (pid == 0) {
		close(gate[1]);
		close(failed[0]);
		wait_and_exec(gate[0], failed[1], argv);
	}
	close(gate[0]);
	close(failed[1]);
	*ret = (struct run_child){ .pid = pid, .gate = gate[1], .failed = failed[0] };
	if (pid > 0)
		return 0;
	run_child_finish(ret);
	return -EAGAIN;
}

/* This process, or the command, which has a process group of its own if it is a shell. */
static bool has_terminal(const struct run_child *child)
{
	_cleanup_close_ int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
	pid_t group = fd >= 0 ? tcgetpgrp(fd) : -1;

	return group > 0 && (group == getpgrp() || group == getpgid(child->pid));
}

/* The signal by which the command is stopped now; 0: it is not. */
static int read_stop(const struct run_child *child, int option)
{
	siginfo_t info = { 0 };

	if (waitid(P_PID, (id_t)child->pid, &info, WSTOPPED | WNOHANG | option) < 0)
		return 0;
	return info.si_pid != 0 ? info.si_status : 0;
}

/*
 * A command that stops itself, as ssh's ~^Z does, gives the terminal back to the shell: so this process has to stop,
 * too. ^Z stops the whole process group, and when that continues, the command does a moment before or after this
 * process. A command without the terminal is stopped and continued by others, and this process waits.
 */
static void stop_with(const struct run_child *child)
{
	const struct timespec moment = { .tv_nsec = 20000000 };
	int number;

	if (read_stop(child, WNOWAIT) == 0 || !has_terminal(child))
		return;
	nanosleep(&moment, NULL);
	number = read_stop(child, 0);
	if (number == 0)
		return;
	raise(number);
	kill(child->pid, SIGCONT);
}

static void reap(struct run_child *child)
{
	struct rusage rusage;
	int status;
	pid_t pid;

	/* Others are there only as a subreaper's (run --wait). */
	while ((pid = wait4(-1, &status, WNOHANG, &rusage)) > 0) {
		if (pid != child->pid)
			continue;
		child->ended = true;
		child->status = status;
		child->rusage = rusage;
	}
}

int run_child_release(struct run_child *child)
{
	int error = 0;
	ssize_t n;

	if (write(child->gate, "", 1) != 1)
		return -errno;
	close_end(&child->gate);
	while ((n = read(child->failed, &error, sizeof(error))) < 0 && errno == EINTR)
		;
	close_end(&child->failed);
	return n == sizeof(error) ? -error : 0;
}

void run_child_finish(struct run_child *child)
{
	bool released = child->gate < 0;

	close_end(&child->gate);
	close_end(&child->failed);
	if (!released && child->pid > 0)
		waitpid(child->pid, NULL, 0);
}

int run_signals_open(void)
{
	sigset_t set;
	int fd;

	/* It may have been inherited as ignored: then there is nothing to wait for, wait(2). The command keeps that. */
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

int run_signals_read(int fd, struct run_child *child)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 0;
	if (info.ssi_signo == SIGCHLD) {
		reap(child);
		if (!child->ended)
			stop_with(child);
	}
	/* The terminal sends to the whole process group, and so to the command as well. */
	else if (info.ssi_code != SI_KERNEL && !child->ended)
		kill(child->pid, (int)info.ssi_signo);
	return (int)info.ssi_signo;
}

int run_child_exit_status(const struct run_child *child)
{
	const struct rlimit no_core = { 0 };
	sigset_t set;
	int number;

	if (!WIFSIGNALED(child->status))
		return WEXITSTATUS(child->status);
	number = WTERMSIG(child->status);
	/* The core is the command's. */
	setrlimit(RLIMIT_CORE, &no_core);
	signal(number, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, number);
	raise(number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	return 128 + number;
}
