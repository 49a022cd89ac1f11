/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ledger.h"

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
	struct ledger_page pages[2];
};

struct ledger {
	int fd;
	struct memory *memory;
	uint32_t own; /* the page to write on */
	bool has_left;
};

static struct ledger_work *work_at_fault; /* of the one ledger that ledger_note_faults() was called for */

static int ledger_map(struct ledger **ret, int fd)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));

	if (!ledger)
		return -ENOMEM;
	ledger->memory = mmap(NULL, sizeof(*ledger->memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ledger->memory == MAP_FAILED) {
		int r = -errno;

		free(ledger);
		return r;
	}
	ledger->fd = fd;
	*ret = ledger;
	return 0;
}

int ledger_new(struct ledger **ret, uint64_t boot)
{
	_cleanup_close_ int fd = memfd_create("execsnoopd-ledger", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, sizeof(struct memory)) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	r = ledger_map(ret, fd);
	if (r < 0)
		return r;
	TAKE_FD(fd);
	(*ret)->memory->boot = boot;
	return 0;
}

/* All zero, and no memory where the file system can do that. */
static void clear(struct ledger *ledger, uint32_t page)
{
	struct ledger_page *at = &ledger->memory->pages[page];
	off_t offset = (off_t)(offsetof(struct memory, pages) + page * sizeof(*at));

	if (fallocate(ledger->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, sizeof(*at)) < 0)
		memset(at, 0, sizeof(*at));
}

int ledger_open(struct ledger **ret, int fd, uint64_t boot)
{
	struct ledger *ledger;
	struct stat st;
	int r;

	if (fcntl(fd, F_GET_SEALS) != SEALS)
		return -EINVAL;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size != sizeof(struct memory))
		return -EINVAL;
	r = ledger_map(&ledger, fd);
	if (r < 0)
		return r;
	if (ledger->memory->boot != boot || ledger->memory->current > 1 ||
	    ledger->memory->pages[ledger->memory->current].counters.probes > 1) {
		ledger->fd = -1; /* the caller's */
		ledger_free(ledger);
		return -EINVAL;
	}
	ledger->own = 1 - ledger->memory->current;
	ledger->has_left = true;
	clear(ledger, ledger->own);
	ledger_page(ledger)->counters.probes = ledger_left(ledger)->counters.probes;
	ledger_page(ledger)->counters.reads = ledger_left(ledger)->counters.probes;
	*ret = ledger;
	return 0;
}

struct ledger *ledger_free(struct ledger *ledger)
{
	if (!ledger)
		return NULL;
	if (work_at_fault == &ledger_page(ledger)->work)
		work_at_fault = NULL;
	munmap(ledger->memory, sizeof(*ledger->memory));
	if (ledger->fd >= 0)
		close(ledger->fd);
	free(ledger);
	return NULL;
}

struct ledger_page *ledger_page(struct ledger *ledger)
{
	return &ledger->memory->pages[ledger->own];
}

struct ledger_page *ledger_left(struct ledger *ledger)
{
	return ledger->has_left ? &ledger->memory->pages[1 - ledger->own] : NULL;
}

/* A compiler barrier is enough: who reads it comes after this process. */
void ledger_commit(struct ledger *ledger)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&ledger->memory->current, ledger->own, __ATOMIC_RELEASE);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void on_fault(int number)
{
	struct ledger_work *work = work_at_fault;

	if (work)
		work->fault = true;
	/* By SA_RESETHAND, it is fatal now; one that somebody sent would not come again by itself. */
	raise(number);
}

void ledger_note_faults(struct ledger *ledger)
{
	/* systemd.service(5), WatchdogSignal=: SIGABRT. */
	static const int signals[] = { SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE };
	struct sigaction action = { .sa_handler = on_fault, .sa_flags = (int)SA_RESETHAND }, old;

	work_at_fault = &ledger_page(ledger)->work;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		/* A sanitizer has its own. */
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
			sigaction(signals[i], &action, NULL);
}

void ledger_forget_left(struct ledger *ledger)
{
	if (ledger->has_left)
		clear(ledger, 1 - ledger->own);
	ledger->has_left = false;
}

int ledger_fd(const struct ledger *ledger)
{
	return ledger->fd;
}
