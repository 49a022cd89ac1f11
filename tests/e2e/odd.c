/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The helper of the end-to-end tests: `odd DEED ARG...` does one odd thing with processes, and says on stdout
 * what it knows of itself where a test wants that.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void die(const char *what)
{
	perror(what);
	exit(99);
}

/* Threads. */

static void *sleep_for_ever(void *unused)
{
	(void)unused;
	for (;;)
		pause();
	return NULL;
}

static void *nothing(void *unused)
{
	return unused;
}

static pthread_t thread(void *(*run)(void *), void *argument)
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	errno = pthread_create(&t, &attr, run, argument);
	if (errno)
		die("pthread_create");
	return t;
}

static void *exec_argument(void *argument)
{
	char **argv = argument;

	execv(argv[0], argv);
	die(argv[0]);
	return NULL;
}

static void *exit_seven(void *unused)
{
	(void)unused;
	/* The leader is a zombie by then or soon will be: either way it is not the last. */
	exit(7);
	return NULL;
}

static void *sleep_then_end(void *unused)
{
	(void)unused;
	usleep(50000);
	return NULL;
}

static int threads(int n)
{
	pthread_t *t = calloc((size_t)n, sizeof(*t));

	for (int i = 0; i < n; i++)
		t[i] = thread(nothing, NULL);
	for (int i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	free(t);
	return 5;
}

/* exec of another program by a thread that is not the leader, while others sleep. */
static int thread_exec(char **argv)
{
	for (int i = 0; i < 3; i++)
		thread(sleep_for_ever, NULL);
	thread(exec_argument, argv);
	sleep_for_ever(NULL);
	return 0;
}

/* Forks, without exec; the child ends with `status`. Says the child's pid. */
static int fork_only(int status)
{
	pid_t child = fork();
	int wait_status;

	if (child == 0)
		_exit(status);
	printf("%d\n", (int)child);
	fflush(stdout);
	if (waitpid(child, &wait_status, 0) != child)
		die("waitpid");
	return WEXITSTATUS(wait_status);
}

/* Each exec of the chain runs this program again with one link less. */
static int chain(char **argv)
{
	int left = atoi(argv[2]);
	char number[16];

	if (left == 0)
		return 0;
	snprintf(number, sizeof(number), "%d", left - 1);
	execl(argv[0], argv[0], "chain", number, (char *)NULL);
	die("chain");
	return 0;
}

/* Runs a copy of a program that has no name in any file system. */
static int memfd(char **argv)
{
	int fd = memfd_create("odd-memfd", MFD_CLOEXEC), from = open(argv[0], O_RDONLY | O_CLOEXEC);
	char buffer[65536];
	ssize_t n;

	if (fd < 0 || from < 0)
		die("memfd");
	while ((n = read(from, buffer, sizeof(buffer))) > 0)
		if (write(fd, buffer, (size_t)n) != n)
			die("write");
	fexecve(fd, argv, environ);
	die("fexecve");
	return 0;
}

/* Calls execve with whatever is given, failing or not, from this process. */
static int try_exec(char **argv)
{
	execv(argv[0], argv);
	return errno;
}

int main(int argc, char **argv)
{
	const char *deed = argc > 1 ? argv[1] : "";

	if (strcmp(deed, "exit") == 0)
		return atoi(argv[2]);
	if (strcmp(deed, "kill") == 0) {
		struct rlimit none = { 0, 0 };

		if (argc < 4)
			setrlimit(RLIMIT_CORE, &none);
		raise(atoi(argv[2]));
		return 98;
	}
	if (strcmp(deed, "threads") == 0)
		return threads(atoi(argv[2]));
	if (strcmp(deed, "thread-exec") == 0)
		return thread_exec(argv + 2);
	if (strcmp(deed, "leader-first") == 0) {
		/* The leader ends, with its own status; another thread lives on for a while. */
		thread(sleep_then_end, NULL);
		syscall(SYS_exit, 3);
	}
	if (strcmp(deed, "thread-exit") == 0) {
		thread(exit_seven, NULL);
		sleep_for_ever(NULL);
	}
	if (strcmp(deed, "fork") == 0)
		return fork_only(atoi(argv[2]));
	if (strcmp(deed, "chain") == 0)
		return chain(argv);
	if (strcmp(deed, "memfd") == 0) {
		static char deed_of_copy[] = "exit", status[] = "4";
		char *args[] = { argv[0], deed_of_copy, status, NULL };

		return memfd(args);
	}
	if (strcmp(deed, "exec") == 0)
		return try_exec(argv + 2);
	if (strcmp(deed, "rename") == 0) {
		prctl(PR_SET_NAME, argv[2]);
		return fork_only(0);
	}
	if (strcmp(deed, "sleep") == 0) {
		printf("%d\n", (int)getpid());
		fflush(stdout);
		sleep_for_ever(NULL);
	}
	fprintf(stderr, "odd: what is %s?\n", deed);
	return 97;
}
