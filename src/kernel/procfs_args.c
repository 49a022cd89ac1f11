/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /proc/PID/cmdline is the memory that held the arguments at the exec. A program may write its
 * title over them (setproctitle()), and fills what is left of the place with NULs, which look like
 * empty arguments. What the program was really given is still on its stack, where exec put it
 * (create_elf_tables(), fs/binfmt_elf.c): argc, then argv. If there were as many arguments as there
 * are strings now, and one began where the last of these begins, then they are the arguments. (Not
 * all are compared: a program may sort argv, as getopt_long(3) does.) Else it is a title, and the
 * run of empty ones at its end is not part of it.
 *
 * The stack is looked at only where the arguments end with an empty one, which is rare.
 */
#include "kernel/procfs_args.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/nulstr.h"

/* Arguments that are only counted. exec(2) takes 6 MiB at most (fs/exec.c, bprm_stack_limits):
 * a process with more has written it there itself. */
#define ARGS_COUNTED_MAX (8u << 20)
#define ARGV_MAX 4000u /* pointers that are looked at */

/* Documentation/admin-guide/mm/pagemap.rst */
#define PAGE_PRESENT (1ull << 63)
#define PAGE_OF_FILE (1ull << 61)

/* What has been read of a list of arguments. */
struct tally {
	size_t size, nuls;
	char last;
};

static void tally(struct tally *all, const char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		all->nuls += data[i] == '\0';
	all->size += size;
	if (size > 0)
		all->last = data[size - 1];
}

static void tally_rest(struct tally *all, int fd)
{
	char data[16384];
	ssize_t n;

	while (all->size < ARGS_COUNTED_MAX) {
		n = read(fd, data, sizeof(data));
		if (n <= 0)
			break;
		tally(all, data, (size_t)n);
	}
}

/* Fields 28 and 48 of /proc/PID/stat, proc_pid_stat(5): where the stack began, and the arguments. 0
 * without permission. */
static bool read_places(int dir, uint64_t *ret_stack, uint64_t *ret_args)
{
	_cleanup_close_ int fd = openat(dir, "stat", O_RDONLY | O_CLOEXEC);
	char text[4096], *at;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return false;
	text[n] = '\0';
	at = memrchr(text, ')', (size_t)n);
	for (int field = 2; at && field < 48; field++) {
		at = strchr(at + 1, ' ');
		if (at && field + 1 == 28)
			*ret_stack = strtoull(at, NULL, 10);
	}
	*ret_args = at ? strtoull(at, NULL, 10) : 0;
	return at && *ret_stack != 0 && *ret_args != 0;
}

/* Pages of a file may come from a server that never answers, and then the wait can't even be killed. */
static bool is_anonymous(int dir, uint64_t from, uint64_t to)
{
	_cleanup_close_ int fd = openat(dir, "pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), entry;

	for (from -= from % page; fd >= 0 && from < to; from += page) {
		if (pread(fd, &entry, sizeof(entry), (off_t)(from / page * sizeof(entry))) != sizeof(entry) ||
		    (entry & (PAGE_PRESENT | PAGE_OF_FILE)) != PAGE_PRESENT)
			return false;
	}
	return fd >= 0;
}

/* `size` bytes of its memory. */
static bool read_memory(int dir, uint64_t from, void *to, size_t size)
{
	_cleanup_close_ int fd = -1;

	if (!is_anonymous(dir, from, from + size))
		return false;
	fd = openat(dir, "mem", O_RDONLY | O_CLOEXEC);
	return fd >= 0 && pread(fd, to, size, (off_t)from) == (ssize_t)size;
}

/* Did it write over its arguments, of which there are `count` now, the last of them at `last`?
 * False where that can't be known. */
static bool is_title(int dir, size_t count, size_t last)
{
	uint64_t stack = 0, args = 0, argc;
	uint64_t words[1 + ARGV_MAX] = { 0 };
	const uint32_t *narrow = (const uint32_t *)words;
	size_t seen = count < ARGV_MAX ? count : ARGV_MAX;
	bool is_narrow;

	if (!read_places(dir, &stack, &args))
		return false;
	/* A program of 32 bits has its stack there, and words of 4 bytes. */
	is_narrow = stack <= UINT32_MAX;
	if (!read_memory(dir, stack, words, (1 + seen) * (is_narrow ? sizeof(*narrow) : sizeof(*words))))
		return false;
	argc = is_narrow ? narrow[0] : words[0];
	if (argc != count || seen < count)
		return argc != count;
	for (size_t i = 1; i <= seen; i++)
		if ((is_narrow ? narrow[i] : words[i]) == args + last)
			return false;
	return true;
}

/* What is left of them without the empty ones at the end. */
static size_t without_padding(const char *data, size_t size)
{
	while (size >= 2 && data[size - 2] == '\0')
		size--;
	return size;
}

int procfs_read_args(struct bytebuf *buffer, int dir, size_t limit, struct image *image)
{
	_cleanup_close_ int fd = openat(dir, "cmdline", O_RDONLY | O_CLOEXEC);
	struct tally all = { .size = 0 };
	struct bytes args;
	size_t title;
	int r;

	if (fd < 0)
		return -errno;
	/* One byte more than allowed shows that there are too many. */
	r = bytebuf_read(buffer, fd, limit + 1);
	if (r < 0)
		return r;
	args = (struct bytes){ buffer->data, buffer->size };
	/* A zombie, or one that gave its arguments away: it had some. */
	if (args.size == 0)
		return 0;
	tally(&all, args.data, args.size);
	if (args.size > limit)
		tally_rest(&all, fd);
	/* A process that writes over its arguments may leave no NUL at the end (get_mm_cmdline(), fs/proc/base.c). */
	if (all.last != '\0') {
		r = bytebuf_reserve(buffer, 1);
		if (r < 0)
			return r;
		if (all.size == args.size)
			buffer->data[args.size++] = '\0';
		all.size++;
		all.nuls++;
	}
	args.data = buffer->data;
	title = all.size == args.size ? without_padding(args.data, args.size) : args.size;
	if (title < args.size && is_title(dir, all.nuls, args.size - 1)) {
		all.nuls -= args.size - title;
		all.size = args.size = title;
	}
	image->args_truncated = all.size > limit;
	if (image->args_truncated)
		args.size = nulstr_cut(args, limit);
	image->args = args;
	image->args_size = all.size;
	image->argc = all.nuls < UINT32_MAX ? (uint32_t)all.nuls : UINT32_MAX;
	return 0;
}
