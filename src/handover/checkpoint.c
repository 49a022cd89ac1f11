/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "handover/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Its size is sealed, so that reading it can't fault. */
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)

struct memory {
	uint64_t boot;
	uint32_t current; /* the page that is true */
	uint32_t spare;
	struct checkpoint_page pages[2];
};

struct checkpoint {
	int fd;
	struct memory *memory;
	uint32_t own; /* the page to write on */
	bool has_previous;
};

static struct checkpoint_work *work_at_fault; /* of the one checkpoint that checkpoint_note_faults() was called for */

static int checkpoint_map(struct checkpoint **ret, int fd)
{
	struct checkpoint *checkpoint = calloc(1, sizeof(*checkpoint));

	if (!checkpoint)
		return -ENOMEM;
	checkpoint->memory = mmap(NULL, sizeof(*checkpoint->memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (checkpoint->memory == MAP_FAILED) {
		int r = -errno;

		free(checkpoint);
		return r;
	}
	checkpoint->fd = fd;
	*ret = checkpoint;
	return 0;
}

int checkpoint_new(struct checkpoint **ret, uint64_t boot)
{
	_cleanup_close_ int fd = memfd_create("execsnoopd-checkpoint", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, sizeof(struct memory)) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	r = checkpoint_map(ret, fd);
	if (r < 0)
		return r;
	TAKE_FD(fd);
	(*ret)->memory->boot = boot;
	return 0;
}

/* All zero, and no memory where the file system can do that. */
static void clear(struct checkpoint *checkpoint, uint32_t page)
{
	struct checkpoint_page *at = &checkpoint->memory->pages[page];
	off_t offset = (off_t)(offsetof(struct memory, pages) + page * sizeof(*at));

	if (fallocate(checkpoint->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, sizeof(*at)) < 0)
		memset(at, 0, sizeof(*at));
}

int checkpoint_open(struct checkpoint **ret, int fd, uint64_t boot)
{
	struct checkpoint *checkpoint;
	struct stat st;
	int r;

	if (fcntl(fd, F_GET_SEALS) != SEALS)
		return -EINVAL;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size != sizeof(struct memory))
		return -EINVAL;
	r = checkpoint_map(&checkpoint, fd);
	if (r < 0)
		return r;
	if (checkpoint->memory->boot != boot || checkpoint->memory->current > 1 ||
	    checkpoint->memory->pages[checkpoint->memory->current].counters.probes > 1) {
		checkpoint->fd = -1; /* the caller's */
		checkpoint_free(checkpoint);
		return -EINVAL;
	}
	checkpoint->own = 1 - checkpoint->memory->current;
	checkpoint->has_previous = true;
	clear(checkpoint, checkpoint->own);
	checkpoint_page(checkpoint)->counters.probes = checkpoint_previous(checkpoint)->counters.probes;
	checkpoint_page(checkpoint)->counters.reads = checkpoint_previous(checkpoint)->counters.probes;
	*ret = checkpoint;
	return 0;
}

struct checkpoint *checkpoint_free(struct checkpoint *checkpoint)
{
	if (!checkpoint)
		return NULL;
	if (work_at_fault == &checkpoint_page(checkpoint)->work)
		work_at_fault = NULL;
	munmap(checkpoint->memory, sizeof(*checkpoint->memory));
	if (checkpoint->fd >= 0)
		close(checkpoint->fd);
	free(checkpoint);
	return NULL;
}

struct checkpoint_page *checkpoint_page(struct checkpoint *checkpoint)
{
	return &checkpoint->memory->pages[checkpoint->own];
}

struct checkpoint_page *checkpoint_previous(struct checkpoint *checkpoint)
{
	return checkpoint->has_previous ? &checkpoint->memory->pages[1 - checkpoint->own] : NULL;
}

/* A compiler barrier is enough: it is read after the end of this process. */
void checkpoint_commit(struct checkpoint *checkpoint)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&checkpoint->memory->current, checkpoint->own, __ATOMIC_RELEASE);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void on_fault(int number)
{
	struct checkpoint_work *work = work_at_fault;

	if (work)
		work->fault = true;
	/* By SA_RESETHAND, it is fatal now; one that was sent would not come again by itself. */
	raise(number);
}

void checkpoint_note_faults(struct checkpoint *checkpoint)
{
	/* systemd.service(5), WatchdogSignal=: SIGABRT. */
	static const int signals[] = { SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE };
	struct sigaction action = { .sa_handler = on_fault, .sa_flags = (int)SA_RESETHAND }, old;

	work_at_fault = &checkpoint_page(checkpoint)->work;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		/* A sanitizer has its own. */
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
			sigaction(signals[i], &action, NULL);
}

void checkpoint_forget_previous(struct checkpoint *checkpoint)
{
	if (checkpoint->has_previous)
		clear(checkpoint, 1 - checkpoint->own);
	checkpoint->has_previous = false;
}

int checkpoint_fd(const struct checkpoint *checkpoint)
{
	return checkpoint->fd;
}
