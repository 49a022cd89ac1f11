/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For LD_PRELOAD: the steps of the daemon's start take longer. SLOW_ATTACH and SLOW_LIST, in microseconds: before each
 * program is attached, and before each read of the list of processes and of a process's folder in /proc.
 */
#include <ctype.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FDS_MAX 1024

static bool is_list[FDS_MAX]; /* by descriptor */

static void wait_for(const char *name)
{
	const char *text = getenv(name);
	long us = text ? atol(text) : 0;

	if (us > 0)
		nanosleep(&(struct timespec){ us / 1000000, us % 1000000 * 1000 }, NULL);
}

/* libbpf has no other way to bpf(2). */
long syscall(long number, ...)
{
	static long (*next)(long, ...);
	long arguments[6], r;
	bool is_iterator;
	va_list list;

	if (!next)
		next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	va_start(list, number);
	for (int i = 0; i < 6; i++)
		arguments[i] = va_arg(list, long);
	va_end(list);
	is_iterator = number == SYS_bpf && arguments[0] == BPF_ITER_CREATE;
	if (number == SYS_bpf && (arguments[0] == BPF_LINK_CREATE || arguments[0] == BPF_RAW_TRACEPOINT_OPEN))
		wait_for("SLOW_ATTACH");
	r = next(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
	if (is_iterator && r >= 0 && r < FDS_MAX)
		is_list[r] = true;
	return r;
}

ssize_t read(int fd, void *to, size_t size)
{
	static ssize_t (*next)(int, void *, size_t);

	if (!next)
		next = (ssize_t(*)(int, void *, size_t))dlsym(RTLD_NEXT, "read");
	if (fd >= 0 && fd < FDS_MAX && is_list[fd])
		wait_for("SLOW_LIST");
	return next(fd, to, size);
}

int close(int fd)
{
	static int (*next)(int);

	if (!next)
		next = (int (*)(int))dlsym(RTLD_NEXT, "close");
	if (fd >= 0 && fd < FDS_MAX)
		is_list[fd] = false;
	return next(fd);
}

int openat(int folder, const char *path, int flags, ...)
{
	static int (*next)(int, const char *, int, ...);
	va_list list;
	int mode;

	if (!next)
		next = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat");
	va_start(list, flags);
	mode = flags & O_CREAT ? va_arg(list, int) : 0;
	va_end(list);
	if (isdigit((unsigned char)path[0]))
		wait_for("SLOW_LIST");
	return next(folder, path, flags, mode);
}
