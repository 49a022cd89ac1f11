/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tap.h"

TEST(what_a_killed_process_wrote_is_there)
{
	struct ledger *ledger, *left;
	int status;
	pid_t pid;

	CHECK_INT(ledger_new(&ledger, 7), 0);
	pid = fork();
	if (pid == 0) {
		ledger_page(ledger)->counters.seq = 42;
		raise(SIGKILL);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	CHECK_INT(ledger_open(&left, ledger_fd(ledger), 7), 0);
	CHECK_INT(ledger_page(left)->counters.seq, 42);
	CHECK_INT(ledger_page(left)->subscribers[LEDGER_SUBSCRIBERS - 1].slot, 0);
	/* Nobody can make it shorter while it is read. */
	CHECK(ftruncate(ledger_fd(ledger), 0) < 0);
	ledger_free(ledger);
	CHECK_INT(ledger_page(left)->counters.seq, 42);
	ledger_free(left);
}

TEST(what_is_something_else_is_refused)
{
	struct ledger *ledger, *left = NULL;
	int fd = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CHECK_INT(ledger_new(&ledger, 7), 0);
	CHECK_INT(ledger_open(&left, ledger_fd(ledger), 8), -EINVAL);
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
