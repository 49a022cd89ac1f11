/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "handover/checkpoint.h"

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
static struct checkpoint *open_again(int fd)
{
	struct checkpoint *checkpoint = NULL;
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	CHECK(own >= 0);
	CHECK_INT(checkpoint_open(&checkpoint, own, 7), 0);
	return checkpoint;
}

/* Writes on it, and ends at once. */
static void die_of(int fd, uint64_t seq, bool commits, bool forgets)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct checkpoint *checkpoint = open_again(fd);

		checkpoint_page(checkpoint)->counters.seq = seq;
		checkpoint_page(checkpoint)->subscribers[CHECKPOINT_SUBSCRIBERS - 1].slot = 1;
		if (commits)
			checkpoint_commit(checkpoint);
		if (forgets)
			checkpoint_forget_previous(checkpoint);
		raise(SIGKILL);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
}

static void check_left(int fd, uint64_t seq, unsigned last_slot)
{
	struct checkpoint *checkpoint = open_again(fd);
	const struct checkpoint_page *left = checkpoint_previous(checkpoint), *page = checkpoint_page(checkpoint);

	CHECK_INT(left->counters.seq, seq);
	CHECK_INT(left->subscribers[CHECKPOINT_SUBSCRIBERS - 1].slot, last_slot);
	CHECK_INT(left->counters.probes, 1);
	CHECK_INT(page->counters.probes, 1);
	CHECK_INT(page->counters.reads, 1);
	CHECK_INT(page->counters.seq, 0);
	CHECK_INT(page->subscribers[CHECKPOINT_SUBSCRIBERS - 1].slot, 0);
	checkpoint_free(checkpoint);
}

TEST(page_survives_a_killed_process)
{
	struct checkpoint *checkpoint;
	int fd;

	CHECK_INT(checkpoint_new(&checkpoint, 7), 0);
	CHECK(!checkpoint_previous(checkpoint));
	fd = checkpoint_fd(checkpoint);
	checkpoint_page(checkpoint)->counters.seq = 42;
	checkpoint_page(checkpoint)->counters.probes = 1;
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
	checkpoint_free(checkpoint);
}

TEST(freed_pages_take_no_memory)
{
	struct checkpoint *checkpoint, *next;
	struct stat before, after;

	CHECK_INT(checkpoint_new(&checkpoint, 7), 0);
	memset(checkpoint_page(checkpoint)->subscribers, 1, sizeof(checkpoint_page(checkpoint)->subscribers));
	next = open_again(checkpoint_fd(checkpoint));
	checkpoint_commit(next);
	CHECK_INT(fstat(checkpoint_fd(checkpoint), &before), 0);
	checkpoint_forget_previous(next);
	CHECK(!checkpoint_previous(next));
	CHECK_INT(fstat(checkpoint_fd(checkpoint), &after), 0);
	CHECK(before.st_blocks * 512 > (off_t)sizeof(struct checkpoint_page));
	CHECK(after.st_blocks * 512 < (off_t)sizeof(struct checkpoint_page) / 4);
	checkpoint_free(next);
	checkpoint_free(checkpoint);
}

TEST(other_files_are_refused)
{
	struct checkpoint *checkpoint, *left = NULL;
	int fd = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CHECK_INT(checkpoint_new(&checkpoint, 7), 0);
	CHECK_INT(checkpoint_open(&left, checkpoint_fd(checkpoint), 8), -EINVAL);
	CHECK(fcntl(checkpoint_fd(checkpoint), F_GETFD) >= 0);
	CHECK_INT(checkpoint_open(&left, fd, 7), -EINVAL);
	CHECK_INT(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW), 0);
	CHECK_INT(checkpoint_open(&left, fd, 7), -EINVAL);
	close(fd);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK_INT(checkpoint_open(&left, fd, 7), -EINVAL);
	close(fd);
	CHECK(!left);
	checkpoint_free(checkpoint);
}

TAP_MAIN
