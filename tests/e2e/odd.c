/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The helper of the end-to-end tests: `odd DEED ARG...` does one odd thing with processes, and prints what a test wants
 * to know of it. Without arguments it prints the deeds: the table at the end. Each is called with the arguments of
 * main().
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
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
	for (;;)
		pause();
	return NULL;
}

static int wait_for_ever(void)
{
	sleep_for_ever(NULL);
	return 0;
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
	/* The leader is a zombie by then or soon will be: either way it is not the last. */
	exit(7);
	return NULL;
}

static void *sleep_then_end(void *unused)
{
	usleep(50000);
	return NULL;
}

static int threads(char **argv)
{
	int n = atoi(argv[2]);
	pthread_t *t = calloc((size_t)n, sizeof(*t));

	for (int i = 0; i < n; i++)
		t[i] = thread(nothing, NULL);
	for (int i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	free(t);
	return 5;
}

/* Says its tid once the leader is a zombie, and stays. */
static void *outlive_leader(void *unused)
{
	char path[64], text[512] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)getpid());
	while (!strstr(text, ") Z ")) {
		f = fopen(path, "r");
		if (!f || !fgets(text, sizeof(text), f))
			die(path);
		fclose(f);
	}
	printf("%d\n", (int)syscall(SYS_gettid));
	fflush(stdout);
	return sleep_for_ever(NULL);
}

/* As setproctitle(3bsd) does it: over the arguments, and the rest of their place is NULs. */
static int set_title(char **argv)
{
	size_t size = strtoul(argv[2], NULL, 10);
	char *end = argv[0];

	for (char **arg = argv; *arg; arg++)
		end = *arg + strlen(*arg) + 1;
	memset(argv[0], 0, (size_t)(end - argv[0]));
	memset(argv[0], 't', size);
	puts("set");
	fflush(stdout);
	return wait_for_ever();
}

/* exec of another program by a thread that is not the leader, while others sleep. */
static int thread_exec(char **argv)
{
	for (int i = 0; i < 3; i++)
		thread(sleep_for_ever, NULL);
	thread(exec_argument, argv + 2);
	return wait_for_ever();
}

/* The leader ends, with its own status; another thread lives on for a while. */
static int leader_first(char **argv)
{
	thread(sleep_then_end, NULL);
	return (int)syscall(SYS_exit, 3);
}

static int thread_exit(char **argv)
{
	thread(exit_seven, NULL);
	return wait_for_ever();
}

static int without_leader(char **argv)
{
	thread(outlive_leader, NULL);
	pthread_exit(NULL);
}

static int exit_with(char **argv)
{
	return atoi(argv[2]);
}

static int kill_self(char **argv)
{
	struct rlimit none = { 0, 0 };

	if (!argv[3])
		setrlimit(RLIMIT_CORE, &none);
	signal(atoi(argv[2]), SIG_DFL); /* a shell without job control has INT and QUIT ignored */
	raise(atoi(argv[2]));
	return 98;
}

static int sleep_in_vain(char **argv)
{
	printf("%d\n", (int)getpid());
	fflush(stdout);
	return wait_for_ever();
}

/* Prints the pid of a child; its exit status. */
static int give_status(pid_t child)
{
	int wait_status;

	printf("%d\n", (int)child);
	fflush(stdout);
	if (waitpid(child, &wait_status, 0) != child)
		die("waitpid");
	return WEXITSTATUS(wait_status);
}

static int fork_only(char **argv)
{
	pid_t child = fork();

	if (child == 0)
		_exit(atoi(argv[2]));
	return give_status(child);
}

static int rename_self(char **argv)
{
	pid_t child;

	prctl(PR_SET_NAME, argv[2]);
	child = fork();
	if (child == 0)
		_exit(0);
	return give_status(child);
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
	char *args[] = { argv[0], (char *)"exit", (char *)"4", NULL };
	char buffer[65536];
	ssize_t n;

	if (fd < 0 || from < 0)
		die("memfd");
	while ((n = read(from, buffer, sizeof(buffer))) > 0)
		if (write(fd, buffer, (size_t)n) != n)
			die("write");
	fexecve(fd, args, environ);
	die("fexecve");
	return 0;
}

/* Calls execve with whatever is given, failing or not, from this process. */
static int try_exec(char **argv)
{
	execv(argv[2], argv + 2);
	return errno;
}

/* Lives until its standard input ends, so that what /proc says of it can be read meanwhile. */
static int wait_for_end(char **argv)
{
	char byte;

	if (write(1, "ready\n", 6) != 6)
		die("write");
	while (read(0, &byte, 1) > 0)
		;
	return atoi(argv[2]);
}

/* execve with no argument at all: the kernel makes it one empty string. */
static int exec_no_argument(char **argv)
{
	char *none[] = { NULL };

	execve(argv[2], none, environ);
	return errno;
}

/* Calls execve with pointers that are none. */
static int exec_bad(char **argv)
{
	/* Volatile: the compiler knows that nothing is there. */
	char *volatile nowhere = (char *)8;
	char *bad = nowhere, *args[] = { (char *)"first", bad, NULL };

	if (strcmp(argv[2], "filename") == 0)
		execve(bad, args, environ);
	else if (strcmp(argv[2], "argv") == 0)
		execve("/bin/true", (char **)bad, environ);
	else
		execve("/bin/true", args, environ);
	return errno;
}

/* One argument of a byte more than the kernel takes (MAX_ARG_STRLEN). */
static int exec_too_long(char **argv)
{
	char *longest = malloc(131073), *args[] = { (char *)"x", longest, NULL };

	memset(longest, 'y', 131072);
	longest[131072] = 0;
	execv("/bin/true", args);
	return errno;
}

/* Arguments and the array of pointers to them are in pages that were never touched. */
static int exec_untouched(char **argv)
{
	int fd = open(argv[2], O_RDONLY | O_CLOEXEC);
	char *strings = mmap(NULL, 3 * 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	char **args = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (fd < 0 || strings == MAP_FAILED || args == MAP_FAILED || madvise(strings, 3 * 4096, MADV_RANDOM) < 0 ||
	    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
		die(argv[2]);
	args[0] = strings;
	args[1] = strings + 4096;
	args[2] = strings + 2 * 4096;
	execv("/nonexistent/untouched", args);
	return errno;
}

/* A child by the raw call, with these flags and, if it is not 0, this pid; it runs argv. The parent tells its pid and
 * gives its status on. */
static int cloned(unsigned long flags, pid_t pid, char **argv)
{
	struct clone_args arguments = { .flags = flags, .exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD };
	long child;
	int status = 0;

	if (pid) {
		arguments.set_tid = (unsigned long)&pid;
		arguments.set_tid_size = 1;
	}
	child = syscall(SYS_clone3, &arguments, sizeof(arguments));
	if (child == 0) {
		execv(argv[0], argv);
		_exit(99);
	}
	if (child < 0)
		return 90;
	if (!pid)
		printf("%ld\n", child);
	fflush(stdout);
	if (flags & CLONE_PARENT)
		return 0;
	if (waitpid((pid_t)child, &status, 0) != child)
		die("waitpid");
	return WEXITSTATUS(status);
}

static int clone_and_exec(char **argv)
{
	return cloned(strtoul(argv[2], NULL, 0), 0, argv + 3);
}

/* The same pid again and again, each time with another argument and status. */
static int reuse(char **argv)
{
	int times = atoi(argv[2]), done = 0;
	pid_t pid = fork();
	char number[16], status[16], deed[] = "exit";
	char *args[] = { argv[0], deed, status, number, NULL };

	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	printf("%d\n", (int)pid);
	fflush(stdout);
	for (int i = 0; i < times; i++) {
		snprintf(number, sizeof(number), "%d", i);
		snprintf(status, sizeof(status), "%d", i % 90);
		if (cloned(0, pid, args) == i % 90)
			done++;
	}
	return done == times ? 0 : 1;
}

/* Uses the CPU and writes, in `n` threads, and ends: all at once, or the leader first. */
static const char *burn_folder;

static void *burn(void *argument)
{
	char path[4096], data[4096] = { 0 };
	struct timespec now;
	int fd;

	snprintf(path, sizeof(path), "%s/%ld", burn_folder, (long)(intptr_t)argument);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	for (int i = 0; i < 16; i++)
		if (fd < 0 || write(fd, data, sizeof(data)) != sizeof(data))
			die(path);
	fsync(fd);
	close(fd);
	do {
		for (volatile int i = 0; i < 1000; i++)
			getppid();
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	} while (now.tv_nsec < 40000000);
	return NULL;
}

static int burn_all(char **argv)
{
	int n = atoi(argv[2]);
	pthread_t *t = calloc((size_t)n, sizeof(*t));

	burn_folder = argv[3];
	for (int i = 0; i < n; i++)
		t[i] = thread(burn, (void *)(intptr_t)i);
	burn((void *)(intptr_t)n);
	if (argv[4])
		for (int i = 0; i < n; i++)
			thread(sleep_for_ever, NULL);
	for (int i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	return 6;
}

/* A page each for two threads, which end at about the same moment: `delay` says by how much the first is behind. */
static int pages;
static volatile int ready, delay;

static _Noreturn void *write_and_end(void *first)
{
	static const char page[4096];

	if (pwrite(pages, page, sizeof(page), first ? 0 : sizeof(page)) != sizeof(page))
		die("pwrite");
	__atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
	while (ready < 2)
		sched_yield();
	for (volatile int i = 0; first && i < delay; i++)
		;
	for (;;)
		syscall(SYS_exit, 0);
}

/* `times` such processes one after another: the pid of each, and what it wrote by its rusage. */
static int released(char **argv)
{
	int times = atoi(argv[2]);
	struct rusage usage;
	pid_t pid;

	pages = open(argv[3], O_RDWR | O_TMPFILE, 0600);
	if (pages < 0)
		die(argv[3]);
	for (int i = 0; i < times; i++) {
		delay = i % 512 * 16;
		if (ftruncate(pages, 0) < 0)
			die("ftruncate");
		pid = fork();
		if (pid == 0) {
			thread(write_and_end, NULL);
			write_and_end(&pages);
		}
		if (wait4(pid, NULL, 0, &usage) != pid)
			die("wait4");
		printf("%d %ld\n", (int)pid, usage.ru_oublock * 512);
	}
	return 0;
}

/* A subreaper becomes the parent of its grandchild when the process between them ends. Prints the grandchild's pid. */
static int orphan(char **argv)
{
	const pid_t reaper = getpid();
	int fds[2];
	char byte;

	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || pipe(fds) < 0)
		die("subreaper");
	if (fork() == 0) {
		pid_t child = fork();

		if (child == 0) {
			/* Its parent is about to go when the pipe ends, and has closed its files before it gives its
			 * children away. */
			close(fds[1]);
			while (read(fds[0], &byte, 1) > 0)
				;
			while (getppid() != reaper)
				sched_yield();
			execv(argv[0], (char *[]){ argv[0], (char *)"exit", argv[2], NULL });
			_exit(99);
		}
		printf("%d\n", (int)child);
		fflush(stdout);
		_exit(0);
	}
	close(fds[1]);
	close(fds[0]);
	while (wait(NULL) > 0)
		;
	return 0;
}

/* As a debugger starts a program. */
static int traced(char **argv)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		execv(argv[2], argv + 2);
		_exit(99);
	}
	printf("%d\n", (int)child);
	fflush(stdout);
	while (waitpid(child, &status, 0) == child && WIFSTOPPED(status))
		ptrace(PTRACE_CONT, child, NULL, (void *)0);
	return WEXITSTATUS(status);
}

static int vforked(char **argv)
{
	pid_t child = vfork();

	if (child == 0) {
		execv(argv[2], argv + 2);
		_exit(99);
	}
	return give_status(child);
}

/* Many short programs, one after the other. */
static int storm(char **argv)
{
	int times = atoi(argv[2]), status;
	char deed[] = "true";
	char *args[] = { deed, argv[3], NULL };

	for (int i = 0; i < times; i++) {
		pid_t child;

		if (posix_spawn(&child, "/bin/true", NULL, NULL, args, environ) != 0)
			die("posix_spawn");
		if (waitpid(child, &status, 0) != child || status != 0)
			return 1;
	}
	return 0;
}

/* fexecve and friends: by a descriptor, of which a path is asked. */
static int exec_at(char **argv)
{
	int fd = open(argv[2], O_PATH | O_CLOEXEC);

	if (fd < 0)
		die(argv[2]);
	syscall(SYS_execveat, fd, argv[3], argv + 5, environ, atoi(argv[4]));
	return errno;
}

/* An exec that fails in a process that can be looked at: says its pid, and waits for the end of its input. */
static void *fail_and_wait(void *name)
{
	static char path[] = "/no/such", second[] = "second";
	char *args[] = { path, second, NULL };
	char byte;

	if (name)
		prctl(PR_SET_NAME, name);
	execv(path, args);
	dprintf(STDOUT_FILENO, "%d\n", (int)getpid());
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return NULL;
}

static void *fail_in_vfork(void *name)
{
	pid_t child;

	if (name)
		prctl(PR_SET_NAME, name);
	child = vfork();
	if (child == 0) {
		fail_and_wait(NULL);
		_exit(0);
	}
	if (child < 0 || waitpid(child, NULL, 0) != child)
		die("vfork");
	return NULL;
}

static int fail_as(char **argv)
{
	const char *who = argv[2];
	void *(*how)(void *) = strncmp(who, "vfork", 5) == 0 ? fail_in_vfork : fail_and_wait;
	static char name[] = "a-thread";

	prctl(PR_SET_NAME, "the-leader");
	if (strstr(who, "-thread"))
		pthread_join(thread(how, name), NULL);
	else if (strcmp(who, "fork") == 0 && fork() != 0)
		wait(NULL);
	else
		how(NULL);
	return 0;
}

/* Until it is killed: says one byte, and then nothing but execs that fail. */
static int exec_again(char **arguments)
{
	char *path = arguments[2];
	static char second[] = "second";
	char *argv[] = { path, second, NULL };

	alarm(60);
	if (write(STDOUT_FILENO, "x", 1) != 1)
		die("write");
	while (execv(path, argv) < 0)
		;
	return 0;
}

static const struct deed {
	const char *name, *arguments, *what;
	int least; /* arguments */
	int (*run)(char **argv);
} deeds[] = {
	{ "at", "FOLDER NAME FLAGS ARG...", "execveat(2)", 3, exec_at },
	{ "bad", "filename|argv|argument", "execs with an invalid pointer there", 1, exec_bad },
	{ "burn", "N FOLDER [together]", "uses CPU time and writes in N + 1 threads, which end together or one by one",
	  2, burn_all },
	{ "chain", "N", "execs itself N times", 1, chain },
	{ "clone", "FLAGS ARG...", "clones with these flags; the child execs ARG...", 2, clone_and_exec },
	{ "exec", "ARG...", "execs; if that fails, the status is its errno", 1, try_exec },
	{ "exec-again", "PATH", "fails to exec it, until it is killed", 1, exec_again },
	{ "exit", "STATUS", "ends with it", 1, exit_with },
	{ "fail-as", "self|fork|vfork|a-thread|vfork-thread", "fails to exec as that, and waits for the end of input",
	  1, fail_as },
	{ "fork", "STATUS", "forks a child that ends with it", 1, fork_only },
	{ "kill", "SIGNAL [core]", "kills itself, with a core dump or without", 1, kill_self },
	{ "leader-first", "", "ends its leader before its other thread", 0, leader_first },
	{ "memfd", "", "execs a copy of itself in a memfd", 0, memfd },
	{ "no-argument", "PATH", "execs it with an empty argv", 1, exec_no_argument },
	{ "orphan", "STATUS", "is the subreaper of a process that execs and ends with it", 1, orphan },
	{ "outlive-leader", "", "ends its leader; its other thread stays", 0, without_leader },
	{ "release", "TIMES FOLDER", "forks processes whose two threads end at the same time", 2, released },
	{ "rename", "NAME", "changes its comm and forks", 1, rename_self },
	{ "reuse", "TIMES", "forks and execs with the same pid each time", 1, reuse },
	{ "sleep", "", "sleeps until it is killed", 0, sleep_in_vain },
	{ "storm", "TIMES MARK", "runs /bin/true MARK so often", 2, storm },
	{ "thread-exec", "ARG...", "execs by a thread that is not the leader", 1, thread_exec },
	{ "thread-exit", "", "calls exit(3) in a thread that is not the leader", 0, thread_exit },
	{ "threads", "N", "starts so many threads that end", 1, threads },
	{ "title", "SIZE", "overwrites its arguments with a title of that size", 1, set_title },
	{ "too-long", "", "execs with an argument of a byte more than allowed", 0, exec_too_long },
	{ "traced", "ARG...", "execs in a child that it traces", 1, traced },
	{ "untouched", "FILE", "execs with arguments that were never touched: three pages of FILE", 1, exec_untouched },
	{ "vfork", "ARG...", "execs in a child by vfork", 1, vforked },
	{ "wait", "STATUS", "waits for the end of input, and ends with it", 1, wait_for_end },
};

int main(int argc, char **argv)
{
	size_t n = sizeof(deeds) / sizeof(*deeds);

	for (size_t i = 0; i < n; i++)
		if (argc > 1 && strcmp(argv[1], deeds[i].name) == 0 && argc - 2 >= deeds[i].least)
			return deeds[i].run(argv);
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, "odd %s %s: %s\n", deeds[i].name, deeds[i].arguments, deeds[i].what);
	return 97;
}
