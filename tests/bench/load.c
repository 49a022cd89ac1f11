/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loads for the benchmark. Each prints, as JSON, what it did and what it took: wall time, and the CPU time of itself
 * and of all that it started.
 *
 *   load spawn COUNT PROGRAM     starts PROGRAM, waits for it, and again
 *   load pace PER_SECOND SECONDS PROGRAM
 *                                the same at a rate; 0: as fast as it goes
 *   load tree DEPTH              each process forks two, down to DEPTH; no exec
 *   load search COUNT            failed execs, as a search of PATH makes them
 *   load calls COUNT             getppid(2)
 *   load hold COUNT [PROGRAM]    COUNT processes that wait, by exec of PROGRAM or only forked; says so, and ends them
 * when its input ends load wait                    what hold starts
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t cpu(int who)
{
	struct rusage usage;

	getrusage(who, &usage);
	return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000 +
	       (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

static uint64_t spawn_ns; /* of all programs together, until they were gone */

static void report(uint64_t count, uint64_t began)
{
	printf("{\"count\": %llu, \"wall_ns\": %llu, \"spawn_ns\": %llu, \"cpu_ns\": %llu}\n",
	       (unsigned long long)count, (unsigned long long)(now() - began),
	       (unsigned long long)(count ? spawn_ns / count : 0),
	       (unsigned long long)(cpu(RUSAGE_SELF) + cpu(RUSAGE_CHILDREN)));
}

static pid_t start(char *const argv[])
{
	pid_t pid;

	errno = posix_spawn(&pid, argv[0], NULL, NULL, argv, environ);
	if (errno != 0)
		die(argv[0]);
	return pid;
}

static void start_and_wait(char *program)
{
	char *argv[] = { program, NULL };
	uint64_t began = now();
	pid_t pid = start(argv);

	if (waitpid(pid, NULL, 0) != pid)
		die("waitpid");
	spawn_ns += now() - began;
}

static uint64_t spawn(uint64_t count, char *program)
{
	for (uint64_t i = 0; i < count; i++)
		start_and_wait(program);
	return count;
}

/* In portions of a millisecond: what is late is made good. */
static uint64_t pace(uint64_t rate, double seconds, char *program)
{
	uint64_t began = now(), end = began + (uint64_t)(seconds * 1e9), n = 0;

	for (uint64_t t = began; t < end; t = now()) {
		uint64_t due = (uint64_t)((double)(t - began) * 1e-9 * (double)rate);

		if (rate == 0 || n < due) {
			start_and_wait(program);
			n++;
		} else {
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		}
	}
	return n;
}

static uint64_t tree(unsigned depth)
{
	for (int i = 0; depth > 0 && i < 2; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0) {
			tree(depth - 1);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	return (UINT64_C(2) << depth) - 2;
}

static uint64_t search(uint64_t count)
{
	char *argv[] = { (char *)"no-such-program", NULL };

	for (uint64_t i = 0; i < count; i++)
		execve("/usr/local/bin/no-such-program", argv, environ);
	return count;
}

static uint64_t calls(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		syscall(SYS_getppid);
	return count;
}

static int wait_for_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pause();
	return 0;
}

static pid_t start_fork(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0)
		_exit(wait_for_parent());
	return pid;
}

static uint64_t hold(uint64_t count, char *program)
{
	char *argv[] = { program, (char *)"wait", NULL };
	pid_t *pids = calloc(count, sizeof(*pids));
	char byte;

	if (!pids)
		die("calloc");
	for (uint64_t i = 0; i < count; i++)
		pids[i] = program ? start(argv) : start_fork();
	printf("{\"held\": %llu}\n", (unsigned long long)count);
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	for (uint64_t i = 0; i < count; i++)
		kill(pids[i], SIGKILL);
	for (uint64_t i = 0; i < count; i++)
		waitpid(pids[i], NULL, 0);
	free(pids);
	return count;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 0, began = now();

	if (argc == 2 && strcmp(what, "wait") == 0)
		return wait_for_parent();
	if (argc == 4 && strcmp(what, "spawn") == 0)
		count = spawn(count, argv[3]);
	else if (argc == 5 && strcmp(what, "pace") == 0)
		count = pace(count, strtod(argv[3], NULL), argv[4]);
	else if (argc == 3 && strcmp(what, "tree") == 0)
		count = tree((unsigned)count);
	else if (argc == 3 && strcmp(what, "search") == 0)
		count = search(count);
	else if (argc == 3 && strcmp(what, "calls") == 0)
		count = calls(count);
	else if ((argc == 3 || argc == 4) && strcmp(what, "hold") == 0)
		count = hold(count, argv[3]);
	else
		return fprintf(stderr, "load: see load.c\n"), 2;
	report(count, began);
	return 0;
}
