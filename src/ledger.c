/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Its size is sealed, so that reading it can't fault. */
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)

struct ledger {
	int fd; /* -1: another daemon's */
	struct ledger_page *page;
};

static int map_page(struct ledger *ledger, int fd)
{
	void *at = mmap(NULL, sizeof(*ledger->page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	ledger->page = at;
	return 0;
}

int ledger_new(struct ledger **ret, uint64_t boot)
{
	_cleanup_(ledger_free_p) struct ledger *ledger = calloc(1, sizeof(*ledger));
	int r;

	if (!ledger)
		return -ENOMEM;
	ledger->fd = memfd_create("execsnoopd-ledger", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (ledger->fd < 0)
		return -errno;
	if (ftruncate(ledger->fd, sizeof(*ledger->page)) < 0 || fcntl(ledger->fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	r = map_page(ledger, ledger->fd);
	if (r < 0)
		return r;
	ledger->page->boot = boot;
	*ret = TAKE_PTR(ledger);
	return 0;
}

int ledger_open(struct ledger **ret, int fd, uint64_t boot)
{
	_cleanup_(ledger_free_p) struct ledger *ledger = calloc(1, sizeof(*ledger));
	struct stat st;
	int r;

	if (!ledger)
		return -ENOMEM;
	ledger->fd = -1;
	if (fcntl(fd, F_GET_SEALS) != SEALS)
		return -EINVAL;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size != sizeof(*ledger->page))
		return -EINVAL;
	r = map_page(ledger, fd);
	if (r < 0)
		return r;
	if (ledger->page->boot != boot)
		return -EINVAL;
	*ret = TAKE_PTR(ledger);
	return 0;
}

struct ledger *ledger_free(struct ledger *ledger)
{
	if (!ledger)
		return NULL;
	if (ledger->page)
		munmap(ledger->page, sizeof(*ledger->page));
	if (ledger->fd >= 0)
		close(ledger->fd);
	free(ledger);
	return NULL;
}

struct ledger_page *ledger_page(struct ledger *ledger)
{
	return ledger->page;
}

int ledger_fd(const struct ledger *ledger)
{
	return ledger->fd;
}
