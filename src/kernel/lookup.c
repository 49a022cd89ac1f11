/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A child process, made by fork(2) when there are queries and ended when all are answered. It
 * shares a board with the daemon: the queries, the answers, and which part of which process it is
 * reading. A byte over a socket starts it, another one reports that it is done. It allocates
 * nothing, since other threads may have held the allocator's locks at the fork.
 *
 * If the child makes no progress for a while and does not run, it waits for the process that it
 * reads. It is killed, which its wait allows (lock_mm_killable() and the like), and another child
 * continues with the next part of that process. A process that was stuck once costs nothing later,
 * so no user can use up a limit by getting stuck often; but the total wait has a limit, and so has
 * the number of children that may be unkillable. Beyond that, parts that may wait are not read.
 */
#include "kernel/lookup.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kernel/procfs.h"
#include "util/clock.h"

/* Without any progress, and not for want of a CPU: */
#define PATIENCE_MS 50	      /* the first time; then half of it, and so on */
#define PATIENCE_MIN_MS 5     /* but not less */
#define PATIENCE_LOCKED_MS 10 /* where the lock was held as the list was read */
#define LOCKED_TOTAL_MS 150   /* for these, until lookup_rest() */
#define TOTAL_MS 350	      /* for all */
#define RUNNING_MS 5000	      /* though it could run */
#define LOOK_MS 5	      /* between two looks at how far it is */
#define DYING_MAX 4	      /* killed, and not gone yet */
#define DYING_WAIT_MS 20

struct slot {
	struct lookup_query query;
	uint32_t skip; /* PROCFS_BITs */
};

struct board {
	uint32_t count, done; /* queries; answered ones, a mark of progress */
	uint32_t part;	      /* of the one at hand: enum procfs_part */
	size_t used;	      /* of data */
	struct slot slots[LOOKUP_MAX];
	struct lookup_answer answers[LOOKUP_MAX];
	char data[];
};

struct lookup {
	int proc;
	struct procfs *procfs;
	size_t board_size, data_size;
	struct board *board; /* NULL: at rest */
	size_t taken;	     /* answers that were given */
	/* The child. */
	pid_t pid; /* 0: none */
	int socket;
	bool busy; /* it has something to do */
	uint64_t since_ms;
	uint32_t seen_done, seen_part; /* since then */
	pid_t dying[DYING_MAX];
	/* How it went, until lookup_rest(). */
	unsigned stuck;
	uint64_t locked_ms, total_ms;
};

/* The child. */

static struct bytes put(struct board *board, struct bytes bytes)
{
	char *to = board->data + board->used;

	if (!bytes.data)
		return BYTES_NONE;
	if (bytes.size > 0)
		memcpy(to, bytes.data, bytes.size);
	board->used += bytes.size;
	return (struct bytes){ to, bytes.size };
}

static void answer(struct lookup *lookup, struct board *board, const struct slot *slot, struct lookup_answer *answer)
{
	struct image *image = &answer->process.image;
	enum lookup_kind kind = slot->query.kind;
	int r = 0;

	*answer = (struct lookup_answer){ .process = slot->query.process };
	if (kind == LOOKUP_HIDDEN)
		r = procfs_identify(lookup->procfs, &answer->process);
	if (kind != LOOKUP_ALIVE && r == 0)
		r = procfs_read(lookup->procfs, &answer->process, kind == LOOKUP_LISTED ? &slot->query.listed : NULL,
				slot->skip);
	if (kind == LOOKUP_ALIVE)
		answer->alive = procfs_is_alive(lookup->procfs, &answer->process);
	else if (r == 0)
		answer->alive = procfs_was_alive(lookup->procfs);
	answer->result = r;
	image->exe = put(board, image->exe);
	image->args = put(board, image->args);
	image->env = put(board, image->env);
	image->cwd = put(board, image->cwd);
	image->cgroup = put(board, image->cgroup);
}

/* All of them, or as many as fit. */
static void answer_some(struct lookup *lookup, struct board *board)
{
	size_t most = procfs_result_max(lookup->procfs);

	for (uint32_t i = board->done; i < board->count && lookup->data_size - board->used >= most; i++) {
		answer(lookup, board, &board->slots[i], &board->answers[i]);
		__atomic_store_n(&board->done, i + 1, __ATOMIC_RELEASE);
	}
}

static void close_others(int x, int y)
{
	unsigned low = (unsigned)(x < y ? x : y), high = (unsigned)(x < y ? y : x);

	/* Not stderr, for the reports of a sanitizer. */
	if (low > 3)
		syscall(SYS_close_range, 3u, low - 1, 0u);
	if (high > low + 1)
		syscall(SYS_close_range, low + 1, high - 1, 0u);
	syscall(SYS_close_range, high + 1, ~0u, 0u);
}

__attribute__((noreturn)) static void run_child(struct lookup *lookup, int fd, pid_t parent)
{
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	/* Sockets whose other end waits for the end of the daemon, and the probes. */
	close_others(fd, lookup->proc);
	procfs_show_part(lookup->procfs, &lookup->board->part);
	while (read(fd, &c, 1) == 1) {
		answer_some(lookup, lookup->board);
		if (write(fd, "", 1) != 1)
			break;
	}
	_exit(0);
}

/* The parent. */

static void reap(struct lookup *lookup)
{
	for (size_t i = 0; i < DYING_MAX; i++)
		if (lookup->dying[i] && waitpid(lookup->dying[i], NULL, WNOHANG) != 0)
			lookup->dying[i] = 0;
}

static pid_t *free_place(struct lookup *lookup)
{
	reap(lookup);
	for (size_t i = 0; i < DYING_MAX; i++)
		if (!lookup->dying[i])
			return &lookup->dying[i];
	return NULL;
}

/* Once it is gone, or is in the kernel and never comes back, the board is ours. */
static void end_child(struct lookup *lookup)
{
	pid_t *dying = lookup->pid ? free_place(lookup) : NULL;

	if (!dying)
		return;
	kill(lookup->pid, SIGKILL);
	close(lookup->socket);
	*dying = lookup->pid;
	lookup->pid = 0;
	lookup->busy = false;
	for (uint64_t end = clock_ms(CLOCK_MONOTONIC) + DYING_WAIT_MS; *dying && clock_ms(CLOCK_MONOTONIC) < end;
	     reap(lookup))
		usleep(100);
}

static int begin_child(struct lookup *lookup)
{
	int fds[2];
	pid_t pid, parent = getpid();

	if (!free_place(lookup))
		return -EAGAIN;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		run_child(lookup, fds[1], parent);
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return -EAGAIN;
	}
	lookup->pid = pid;
	lookup->socket = fds[0];
	return 0;
}

/* A process of its own waits in state D or S; 'R' is running, or would like to. */
static bool child_runs(const struct lookup *lookup)
{
	_cleanup_fclose_ FILE *f = NULL;
	char path[32], state = 'R';

	snprintf(path, sizeof(path), "/proc/%" PRIdMAX "/stat", (intmax_t)lookup->pid);
	f = fopen(path, "re");
	return f && fscanf(f, "%*d (%*[^)]) %c", &state) == 1 && state == 'R';
}

static struct slot *slot_at_hand(struct lookup *lookup)
{
	struct board *board = lookup->board;
	uint32_t done = __atomic_load_n(&board->done, __ATOMIC_ACQUIRE);

	return &board->slots[done < board->count ? done : board->count - 1];
}

static bool is_locked(const struct slot *slot)
{
	return slot->query.kind == LOOKUP_LISTED && slot->query.listed.flags & RUNNING_F_MM_LOCKED;
}

static uint64_t patience_ms(struct lookup *lookup)
{
	unsigned patience = PATIENCE_MS >> (lookup->stuck < 8 ? lookup->stuck : 8);

	if (is_locked(slot_at_hand(lookup)))
		return PATIENCE_LOCKED_MS;
	return patience > PATIENCE_MIN_MS ? patience : PATIENCE_MIN_MS;
}

/* Notes the progress since the last call. True: there was none for too long. */
static bool watch_progress(struct lookup *lookup)
{
	uint32_t done = __atomic_load_n(&lookup->board->done, __ATOMIC_ACQUIRE);
	uint32_t part = __atomic_load_n(&lookup->board->part, __ATOMIC_RELAXED);
	uint64_t now = clock_ms(CLOCK_MONOTONIC);

	if (done != lookup->seen_done || part != lookup->seen_part) {
		lookup->seen_done = done;
		lookup->seen_part = part;
		lookup->since_ms = now;
		return false;
	}
	if (done >= lookup->board->count || now - lookup->since_ms < patience_ms(lookup))
		return false;
	return !child_runs(lookup) || now - lookup->since_ms >= RUNNING_MS;
}

/* Nothing is known of the process at hand but what is in the query. */
static void answer_nothing(struct lookup *lookup)
{
	struct board *board = lookup->board;
	struct lookup_answer *answer = &board->answers[board->done];

	*answer = (struct lookup_answer){ .result = -ETIMEDOUT, .process = slot_at_hand(lookup)->query.process };
	answer->process.image.incomplete = INCOMPLETE_BIT(INCOMPLETE_EXE) | INCOMPLETE_BIT(INCOMPLETE_CWD) |
					   INCOMPLETE_BIT(INCOMPLETE_CGROUP) | INCOMPLETE_BIT(INCOMPLETE_ARGS);
	board->done++;
}

/* What it was reading is left out from now on. */
static void give_up_part(struct lookup *lookup)
{
	uint64_t spent = clock_ms(CLOCK_MONOTONIC) - lookup->since_ms;
	struct slot *slot;

	end_child(lookup);
	slot = slot_at_hand(lookup);
	lookup->total_ms += spent;
	if (is_locked(slot))
		lookup->locked_ms += spent;
	else
		lookup->stuck++;
	if (lookup->board->done == lookup->board->count)
		return;
	if (lookup->board->part < PROCFS_MAX && !(slot->skip & PROCFS_BIT(lookup->board->part)))
		slot->skip |= PROCFS_BIT(lookup->board->part);
	else
		answer_nothing(lookup);
}

/* Without a child: what cannot wait, and what the kernel's list has. */
static void answer_here(struct lookup *lookup)
{
	struct board *board = lookup->board;

	for (uint32_t i = board->done; i < board->count; i++)
		board->slots[i].skip |= board->slots[i].query.kind == LOOKUP_LISTED ? PROCFS_WAITING
										    : PROCFS_BIT(PROCFS_MAX) - 1;
	answer_some(lookup, board);
}

/* The child, or another one if it has ended by itself. */
static bool wake_child(struct lookup *lookup)
{
	for (int i = 0; i < 2; i++) {
		if (!lookup->pid && begin_child(lookup) < 0)
			return false;
		if (send(lookup->socket, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
			return true;
		end_child(lookup);
	}
	return false;
}

static void begin(struct lookup *lookup)
{
	struct board *board = lookup->board;

	for (uint32_t i = board->done; i < board->count; i++) {
		struct slot *slot = &board->slots[i];

		if (lookup->total_ms >= TOTAL_MS ||
		    (is_locked(slot) && (!slot->query.insist || lookup->locked_ms >= LOCKED_TOTAL_MS)))
			slot->skip |= PROCFS_WAITING;
	}
	board->used = 0;
	board->part = PROCFS_MAX;
	lookup->since_ms = clock_ms(CLOCK_MONOTONIC);
	lookup->seen_done = board->done;
	lookup->seen_part = PROCFS_MAX;
	lookup->busy = wake_child(lookup);
	if (!lookup->busy)
		answer_here(lookup);
}

static void wait_for_child(struct lookup *lookup, int wait_ms)
{
	struct pollfd fd = { .fd = lookup->socket, .events = POLLIN };
	char c;

	if (poll(&fd, 1, wait_ms < LOOK_MS ? wait_ms : LOOK_MS) > 0) {
		lookup->busy = false;
		if (recv(lookup->socket, &c, 1, MSG_DONTWAIT) != 1)
			give_up_part(lookup);
	} else if (watch_progress(lookup)) {
		give_up_part(lookup);
	}
}

size_t lookup_wait(struct lookup *lookup, int wait_ms, const struct lookup_answer **ret)
{
	struct board *board = lookup->board;
	size_t first = lookup->taken;

	if (lookup_pending(lookup) == 0)
		return 0;
	if (!lookup->busy)
		begin(lookup);
	if (lookup->busy)
		wait_for_child(lookup, wait_ms);
	if (lookup->busy)
		return 0;
	lookup->taken = __atomic_load_n(&board->done, __ATOMIC_ACQUIRE);
	*ret = &board->answers[first];
	return lookup->taken - first;
}

size_t lookup_pending(const struct lookup *lookup)
{
	return lookup->board ? lookup->board->count - lookup->taken : 0;
}

int lookup_ask(struct lookup *lookup, const struct lookup_query *queries, size_t count)
{
	struct board *board = lookup->board;

	ASSERT(count <= LOOKUP_MAX && lookup_pending(lookup) == 0);
	if (!board) {
		int r = procfs_reserve(lookup->procfs);

		if (r < 0)
			return r;
		board = mmap(NULL, lookup->board_size, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (board == MAP_FAILED)
			return -ENOMEM;
		lookup->board = board;
	}
	for (size_t i = 0; i < count; i++)
		board->slots[i] = (struct slot){ .query = queries[i] };
	board->count = (uint32_t)count;
	board->done = 0;
	lookup->taken = 0;
	return 0;
}

void lookup_rest(struct lookup *lookup)
{
	end_child(lookup);
	if (lookup->board)
		munmap(lookup->board, lookup->board_size);
	lookup->board = NULL;
	lookup->stuck = 0;
	lookup->locked_ms = lookup->total_ms = 0;
}

int lookup_new(struct lookup **ret, int proc, size_t args_limit, bool env)
{
	_cleanup_(lookup_free_p) struct lookup *lookup = calloc(1, sizeof(*lookup));
	int r;

	if (!lookup)
		return -ENOMEM;
	r = procfs_new(&lookup->procfs, proc, args_limit);
	if (r < 0)
		return r;
	procfs_want_env(lookup->procfs, env);
	lookup->proc = proc;
	lookup->data_size = procfs_result_max(lookup->procfs) + (1u << 20);
	lookup->board_size = sizeof(struct board) + lookup->data_size;
	*ret = TAKE_PTR(lookup);
	return 0;
}

struct lookup *lookup_free(struct lookup *lookup)
{
	if (!lookup)
		return NULL;
	lookup_rest(lookup);
	procfs_free(lookup->procfs);
	free(lookup);
	return NULL;
}
