/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * storm LOG RUN WORKERS SECONDS [MANY [only]]: processes that fork, exec and end, in every order, for so many seconds
 * at most, and some that stay. Each exec has an argument of its own, RUN-NUMBER, and an entry in the file LOG, which
 * the test reads: when it was called, when what it ran came to its main, and up to when that ran at least. MANY: a
 * program whose exec takes long (tests/e2e/start.py); only: nothing but that.
 *
 * A line on stdin ends the storm, but for those that stay; "quiet" on stdout says that all others are gone. The end of
 * stdin ends them too.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROOM 65536
#define STAY_SECONDS 300
#define STAY_MAX 6     /* of one worker */
#define CHILDREN_MAX 8 /* of one worker, at a time */
#define MANY_MAX 30    /* with only those: so many that the CPUs are left in the midst of an exec */

enum { LOG_FD = 3, HOLD_FD = 4, READY_FD = 5 }; /* what programs find open */

static struct log {
	_Atomic uint64_t next, stop;
	struct {
		uint64_t begin, done, until; /* CLOCK_REALTIME */
		uint32_t pid, stays;
	} at[ROOM];
} * log_;

static const char *self, *run, *many;
static bool only;

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void map_log(void)
{
	log_ = mmap(NULL, sizeof(*log_), PROT_READ | PROT_WRITE, MAP_SHARED, LOG_FD, 0);
	if (log_ == MAP_FAILED)
		_exit(99);
}

/* deed: what the program does. */
static uint64_t call(const char *program, const char *deed)
{
	uint64_t number = atomic_fetch_add(&log_->next, 1);
	char marker[64];

	if (number >= ROOM)
		_exit(0);
	snprintf(marker, sizeof(marker), "%s-%llu", run, (unsigned long long)number);
	log_->at[number].pid = (uint32_t)getpid();
	log_->at[number].stays = strstr(deed, "stay") != NULL;
	log_->at[number].begin = now();
	execl(program, "storm", deed, marker, (char *)NULL);
	_exit(98);
}

static void *call_in_thread(void *deed)
{
	call(self, deed);
	return NULL;
}

static void sleep_us(unsigned us)
{
	nanosleep(&(struct timespec){ .tv_nsec = us * 1000l }, NULL);
}

/* Until the storm's first process is gone. */
static void stay(void)
{
	char byte;

	alarm(STAY_SECONDS);
	while (read(HOLD_FD, &byte, 1) > 0)
		;
	_exit(0);
}

/* In a program of the storm. */
static int act(const char *deed, const char *marker)
{
	uint64_t number = strtoull(strrchr(marker, '-') + 1, NULL, 10);
	char name[64];

	self = "/proc/self/exe";
	snprintf(name, sizeof(name), "%.*s", (int)(strrchr(marker, '-') - marker), marker);
	run = name;
	map_log();
	log_->at[number].done = now();
	if (strcmp(deed, "stay") == 0)
		stay();
	if (strcmp(deed, "sleep") == 0)
		sleep_us(1000 + (unsigned)(number * 7919 % 60000));
	log_->at[number].until = now();
	if (strcmp(deed, "again") == 0)
		call(self, "sleep");
	if (strcmp(deed, "again-stay") == 0)
		call(self, "stay");
	return (int)(number % 3);
}

/* One whose exec takes long; it says by a byte that it runs, and is killed. */
static void many_child(unsigned us)
{
	uint64_t number;
	int ready[2];
	pid_t pid;
	char byte;

	if (pipe2(ready, O_CLOEXEC) < 0)
		_exit(97);
	number = atomic_load(&log_->next);
	pid = fork();
	if (pid == 0) {
		dup2(ready[1], READY_FD);
		call(many, "many");
	}
	close(ready[1]);
	if (pid > 0 && read(ready[0], &byte, 1) == 1) {
		/* It has a number that no other got before the fork. */
		while (number < ROOM && log_->at[number].pid != (uint32_t)pid)
			number++;
		if (number < ROOM)
			log_->at[number].done = now();
		sleep_us(us);
		if (number < ROOM)
			log_->at[number].until = now();
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	_exit(0);
}

static void child(unsigned kind, unsigned any, bool stays)
{
	static const char *const deeds[] = { "end", "end", "sleep", "sleep", "again" };
	pthread_t thread;

	if (stays && kind % 4 == 0)
		stay(); /* without exec */
	if (stays)
		call(self, any % 2 ? "stay" : "again-stay");
	switch (kind % 8) {
	case 0: /* without exec */
		sleep_us(any % 3000);
		_exit(0);
	case 1: /* from a thread */
		pthread_create(&thread, NULL, call_in_thread, (void *)(any % 2 ? "end" : "sleep"));
		pause();
		_exit(0);
	case 2:
		if (many)
			many_child(any * 4);
		call(self, "end");
		break;
	default:
		call(self, deeds[kind % 8 - 3]);
	}
}

static void worker(unsigned seed)
{
	unsigned children = 0, stays = 0;
	uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

	while (!atomic_load(&log_->stop) && atomic_load(&log_->next) < ROOM) {
		bool stays_on;
		pid_t pid;

		state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
		stays_on = !only && stays < STAY_MAX && (state >> 56) % 8 == 0;
		pid = fork();
		if (pid == 0)
			child(only ? 2 : (unsigned)(state >> 33) & 0xff, (unsigned)(state >> 41) & 0xffff, stays_on);
		children += pid > 0;
		stays += stays_on;
		while (children >= (only ? MANY_MAX : CHILDREN_MAX) + stays && waitpid(-1, NULL, 0) > 0)
			children--;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			children--;
	}
	while (children > stays && waitpid(-1, NULL, 0) > 0)
		children--;
	exit(0);
}

int main(int argc, char **argv)
{
	int hold[2], first[2], file, workers;
	char byte;

	if (argc == 3)
		return act(argv[1], argv[2]);
	if (argc < 5)
		return 2;
	self = "/proc/self/exe";
	run = argv[2];
	workers = atoi(argv[3]);
	many = argc > 5 ? argv[5] : NULL;
	only = argc > 6;
	file = open(argv[1], O_RDWR | O_CLOEXEC);
	if (file < 0 || pipe2(first, O_CLOEXEC) < 0)
		return 99;
	/* The numbers that programs expect, and that no descriptor here has. */
	file = fcntl(file, F_DUPFD_CLOEXEC, 20);
	hold[0] = fcntl(first[0], F_DUPFD_CLOEXEC, 20);
	hold[1] = fcntl(first[1], F_DUPFD_CLOEXEC, 20);
	close(first[0]);
	close(first[1]);
	dup2(file, LOG_FD);
	dup2(hold[0], HOLD_FD);
	map_log();
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < workers; i++) {
		if (fork() > 0)
			continue;
		close(hold[1]);
		worker((unsigned)getpid());
	}
	/* Nobody waits for more than this. */
	if (fork() == 0) {
		close(hold[1]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sleep((unsigned)atoi(argv[4]));
		atomic_store(&log_->stop, 1);
		_exit(0);
	}
	puts("begun");
	fflush(stdout);
	if (read(0, &byte, 1) < 0)
		return 99;
	atomic_store(&log_->stop, 1);
	for (; workers > 0; workers--)
		waitpid(-1, NULL, 0);
	puts("quiet");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
