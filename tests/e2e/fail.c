/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Failed execs that are hard to see: `fail DEED ARG...`. Each deed is bounded, and prints what it did: "made N" failed
 * execs, and their "pid P" where that is one process.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(99);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* 1: it failed as it should. */
static int fails(const char *path, char **argv, int error)
{
	execv(path, argv);
	return errno == error ? 1 : 0;
}

static void wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		die("a child");
}

/* Beside others. */

static long *shared_counter(void)
{
	long *counter = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (counter == MAP_FAILED)
		die("mmap");
	return counter;
}

static void pin_to_first_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		die("sched_setaffinity");
}

/* What any user may do, at the lowest priority: fail without end, with arguments that take a probe long. */
static _Noreturn void attack(volatile long *made)
{
	static char argument[14 << 10];
	char *argv[] = { argument, NULL };
	struct sched_param none = { 0 };

	memset(argument, 'x', sizeof(argument) - 1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sched_setscheduler(0, SCHED_IDLE, &none) < 0)
		die("SCHED_IDLE");
	if (setuid(65534) < 0)
		die("setuid");
	while (made[0] == 0)
		made[1] += fails("/no/attacker", argv, ENOENT);
	_exit(0);
}

/* N failed execs, a moment apart, on the CPU of an attacker. */
static int beside_attacker(int n, unsigned pause_us)
{
	long *made = shared_counter();
	char name[] = "victim", *argv[] = { name, NULL };
	pid_t attacker;
	int failed = 0;

	pin_to_first_cpu();
	attacker = fork();
	if (attacker == 0)
		attack(made);
	for (int i = 0; i < n; i++) {
		failed += fails("/no/victim", argv, ENOENT);
		usleep(pause_us);
	}
	made[0] = 1;
	wait_for(attacker);
	printf("pid %d made %d\nattacker %d made %ld\n", (int)getpid(), failed, (int)attacker, made[1]);
	return failed == n ? 0 : 1;
}

/* As execvp(3) searches $PATH: N processes that fork, fail five times and then exec. */
static int search(const char *self, int n, int rounds)
{
	pid_t pids[64];

	for (int i = 0; i < n && i < 64; i++) {
		pids[i] = fork();
		for (int round = 0; pids[i] == 0; round++) {
			char deed[] = "nothing", *argv[] = { deed, deed, NULL };
			pid_t child;

			if (round == rounds)
				_exit(0);
			child = fork();
			if (child == 0) {
				for (int k = 0; k < 5; k++)
					if (!fails("/no/searched", argv, ENOENT))
						_exit(1);
				execv(self, argv);
				_exit(1);
			}
			wait_for(child);
		}
	}
	for (int i = 0; i < n && i < 64; i++)
		wait_for(pids[i]);
	printf("made %d\n", 5 * n * rounds);
	return 0;
}

/* Pages of which another says what is in them (userfaultfd(2)). */

static int open_userfaultfd(void *page)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .range = { (uintptr_t)page, 4096 }, .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0 || ioctl(fd, UFFDIO_REGISTER, &range) < 0)
		die("userfaultfd");
	return fd;
}

static void *new_page(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		die("mmap");
	return page;
}

static void answer(int fd, void *page, const char *text)
{
	static char bytes[4096] __attribute__((aligned(4096)));
	struct uffdio_copy copy = { .dst = (uintptr_t)page, .src = (uintptr_t)bytes, .len = sizeof(bytes) };

	strcpy(bytes, text);
	if (ioctl(fd, UFFDIO_COPY, &copy) < 0)
		die("UFFDIO_COPY");
}

struct asked {
	int fd;
	void *page;
	int times;
};

/* Answers after three seconds, which is the longest that anything waits here. */
static void *answer_late(void *argument)
{
	struct asked *asked = argument;
	struct uffd_msg message;

	if (read(asked->fd, &message, sizeof(message)) == sizeof(message)) {
		__atomic_add_fetch(&asked->times, 1, __ATOMIC_SEQ_CST);
		sleep(3);
		answer(asked->fd, asked->page, "late");
	}
	return NULL;
}

/* A path that is not there, and an argument that the kernel need not read to find that out: says how long it took, and
 * how often the page was asked for. */
static int argument_not_answered(void)
{
	struct asked asked = { .page = new_page() };
	char first[] = "first", last[] = "last", *argv[] = { first, asked.page, last, NULL };
	pthread_t thread;
	double begin;
	int failed;

	asked.fd = open_userfaultfd(asked.page);
	pthread_create(&thread, NULL, answer_late, &asked);
	begin = now();
	failed = fails("/no/answer", argv, ENOENT);
	printf("pid %d made %d asked %d after %.3f\n", (int)getpid(), failed,
	       __atomic_load_n(&asked.times, __ATOMIC_SEQ_CST), now() - begin);
	return 0;
}

static void *exec_page(void *page)
{
	char first[] = "sleeper", *argv[] = { first, NULL };

	return (void *)(intptr_t)fails(page, argv, ENOENT);
}

/* N threads within execve at one time. */
static int sleepers(int n)
{
	void *page = new_page();
	int fd = open_userfaultfd(page), failed = 0;
	pthread_t threads[256];

	for (int i = 0; i < n && i < 256; i++)
		if (pthread_create(&threads[i], NULL, exec_page, page))
			die("pthread_create");
	for (int i = 0; i < n && i < 256; i++) {
		struct uffd_msg message;

		if (read(fd, &message, sizeof(message)) != sizeof(message))
			die("read");
	}
	answer(fd, page, "/no/sleeper");
	for (int i = 0; i < n && i < 256; i++) {
		void *ret;

		pthread_join(threads[i], &ret);
		failed += (int)(intptr_t)ret;
	}
	printf("pid %d made %d\n", (int)getpid(), failed);
	return 0;
}

/* Calls that end before they have begun. */

/* A filter refuses them. */
static int refused(int n)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execve, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execveat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPROTO),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };
	char name[] = "refused", *argv[] = { name, NULL };
	int failed = 0;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		die("seccomp");
	for (int i = 0; i < n; i++) {
		failed += fails("/no/refused", argv, EPROTO);
		failed += syscall(SYS_execveat, AT_FDCWD, "/no/refused", argv, NULL, 0) < 0 && errno == EPROTO;
	}
	printf("pid %d made %d\n", (int)getpid(), failed);
	return 0;
}

/* Its tracer kills it in the stop at the entry: it does not make the call. Says the pid of each. */
static int killed_at_entry(int n)
{
	for (int i = 0; i < n; i++) {
		struct __ptrace_syscall_info info = { 0 };
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			char name[] = "killed", *argv[] = { name, NULL };

			ptrace(PTRACE_TRACEME, 0, NULL, NULL);
			raise(SIGSTOP);
			execv("/no/killed", argv);
			_exit(1);
		}
		if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
		    ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) < 0)
			die("ptrace");
		while (info.op != PTRACE_SYSCALL_INFO_ENTRY || info.entry.nr != SYS_execve) {
			if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) < 0 || waitpid(pid, &status, 0) != pid ||
			    !WIFSTOPPED(status))
				die("PTRACE_SYSCALL");
			ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info);
		}
		kill(pid, SIGKILL);
		if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
			die("waitpid");
		printf("pid %d made 0\n", (int)pid);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *deed = argc > 1 ? argv[1] : "";
	int n = argc > 2 ? atoi(argv[2]) : 0, more = argc > 3 ? atoi(argv[3]) : 0;

	if (strcmp(deed, "nothing") == 0)
		return 0;
	if (strcmp(deed, "beside-attacker") == 0)
		return beside_attacker(n, (unsigned)more);
	if (strcmp(deed, "search") == 0)
		return search(argv[0], n, more);
	if (strcmp(deed, "argument-not-answered") == 0)
		return argument_not_answered();
	if (strcmp(deed, "sleepers") == 0)
		return sleepers(n);
	if (strcmp(deed, "refused") == 0)
		return refused(n);
	if (strcmp(deed, "killed-at-entry") == 0)
		return killed_at_entry(n);
	fprintf(stderr, "fail DEED ARG...\n");
	return 98;
}
