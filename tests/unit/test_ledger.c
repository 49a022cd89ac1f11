/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tap.h"

/* Another process's, as it gets it from systemd. */
static struct ledger *open_again(int fd)
{
	struct ledger *ledger = NULL;
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	CHECK(own >= 0);
	CHECK_INT(ledger_open(&ledger, own, 7), 0);
	return ledger;
}

/* Writes on it, and ends at once. */
static void die_of(int fd, uint64_t seq, bool commits, bool forgets)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct ledger *ledger = open_again(fd);

		ledger_page(ledger)->counters.seq = seq;
		ledger_page(ledger)->subscribers[LEDGER_SUBSCRIBERS - 1].slot = 1;
		if (commits)
			ledger_commit(ledger);
		if (forgets)
			ledger_forget_left(ledger);
		raise(SIGKILL);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
}

static void check_left(int fd, uint64_t seq, unsigned last_slot)
{
	struct ledger *ledger = open_again(fd);
	const struct ledger_page *left = ledger_left(ledger), *page = ledger_page(ledger);

	CHECK_INT(left->counters.seq, seq);
	CHECK_INT(left->subscribers[LEDGER_SUBSCRIBERS - 1].slot, last_slot);
	CHECK_INT(left->counters.probes, 1);
	CHECK_INT(page->counters.probes, 1);
	CHECK_INT(page->counters.reads, 1);
	CHECK_INT(page->counters.seq, 0);
	CHECK_INT(page->subscribers[LEDGER_SUBSCRIBERS - 1].slot, 0);
	ledger_free(ledger);
}

TEST(what_a_killed_process_wrote_is_there)
{
	struct ledger *ledger;
	int fd;

	CHECK_INT(ledger_new(&ledger, 7), 0);
	CHECK(!ledger_left(ledger));
	fd = ledger_fd(ledger);
	ledger_page(ledger)->counters.seq = 42;
	ledger_page(ledger)->counters.probes = 1;
	check_left(fd, 42, 0);
	/* It had not come so far that its page counts. */
	die_of(fd, 43, false, false);
	check_left(fd, 42, 0);
	die_of(fd, 44, true, false);
	check_left(fd, 44, 1);
	die_of(fd, 45, true, true);
	check_left(fd, 45, 1);
	/* Nobody can make it shorter while it is read. */
	CHECK(ftruncate(fd, 0) < 0);
	ledger_free(ledger);
}

TEST(what_is_forgotten_takes_no_memory)
{
	struct ledger *ledger, *next;
	struct stat before, after;

	CHECK_INT(ledger_new(&ledger, 7), 0);
	memset(ledger_page(ledger)->subscribers, 1, sizeof(ledger_page(ledger)->subscribers));
	next = open_again(ledger_fd(ledger));
	ledger_commit(next);
	CHECK_INT(fstat(ledger_fd(ledger), &before), 0);
	ledger_forget_left(next);
	CHECK(!ledger_left(next));
	CHECK_INT(fstat(ledger_fd(ledger), &after), 0);
	CHECK(before.st_blocks * 512 > (off_t)sizeof(struct ledger_page));
	CHECK(after.st_blocks * 512 < (off_t)sizeof(struct ledger_page) / 4);
	ledger_free(next);
	ledger_free(ledger);
}

TEST(what_is_something_else_is_refused)
{
	struct ledger *ledger, *left = NULL;
	int fd = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CHECK_INT(ledger_new(&ledger, 7), 0);
	CHECK_INT(ledger_open(&left, ledger_fd(ledger), 8), -EINVAL);
	CHECK(fcntl(ledger_fd(ledger), F_GETFD) >= 0);
	CHECK_INT(ledger_open(&left, fd, 7), -EINVAL);
	CHECK_INT(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW), 0);
	CHECK_INT(ledger_open(&left, fd, 7), -EINVAL);
	close(fd);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK_INT(ledger_open(&left, fd, 7), -EINVAL);
	close(fd);
	CHECK(!left);
	ledger_free(ledger);
}

TAP_MAIN
