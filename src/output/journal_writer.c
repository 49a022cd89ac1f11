/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread may block in sending for ever: a stopped journald leaves its socket full. Nothing can
 * end the thread then (cancellation would leave locks of the library held). So the journal writer
 * has two references, its owner's and the thread's, and the last one to drop its reference frees
 * it.
 *
 * Loss. The journal has each entry or, in its place, a `lost` entry that counts it:
 *
 *  - The queue is full, or there is no memory: all entries from that one on are dropped, and counted in `dropped`. When
 * the queue is half empty again, the thread appends the `lost` entry, and entries are accepted again. The thread does
 * it, since it empties the queue, so no later event is needed.
 *  - journald is not running or refuses an entry: after TRIES tries the entry is counted in `refused`, whose `lost`
 * entry must be sent before the next entry. That is tried for ever, every PAUSE_MS_LONG, while the queue fills up.
 *
 * An entry that is being sent stays in the queue until it is sent: it counts as memory, and as a place for a loss.
 */
#include "output/journal_writer.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/thread.h"

#define WAKE_SIZE (64 * 1024)
#define TRIES 4
#define PAUSE_MS 100
#define PAUSE_MS_LONG 1000

#define SETTLE_MS 100 /* for the thread to send what is queued; the rest is for the next daemon */

#define SOCKET "/run/systemd/journal/socket" /* of sd_journal_sendv */

struct journal_writer {
	pthread_t thread;
	pthread_mutex_t lock; /* of all that follows, also of the queue */
	pthread_cond_t work;  /* for the thread */
	pthread_cond_t done;  /* for journal_writer_free and journal_writer_archive */
	unsigned refs;
	int (*send)(const struct iovec *iov, int n);
	uint64_t boot;

	struct journal_queue queue;
	char stream[40]; /* EXECSNOOP_STREAM, of all entries */
	uint64_t written;
	bool idle;	/* the thread waits for work */
	bool settling;	/* nothing is queued any more: a mark follows the last entry */
	bool marked;	/* that was tried */
	bool stop;	/* when the queue is empty, and without pauses; settling too */
	bool abandoned; /* stop at once */
	bool ended;
};

/* In the thread, with its own builder. */
static int lost_build(struct journal_entry **ret, struct journal_builder *b, const struct journal_writer *w,
		      const struct loss *loss)
{
	struct event event = {
		.type = EVENT_LOST,
		.time = loss->time,
		.boot = w->boot,
		.lost = {
			.where = LOST_JOURNAL,
			.count = loss->count,
			.first_seq = loss->first_seq,
			.last_seq = loss->last_seq,
		},
	};
	struct journal_entry *entry;
	int r = journal_entry_new(&entry, b, &event, KEYS_ALL);

	if (r < 0)
		return r;
	entry->loss = *loss;
	entry->is_lost = true;
	*ret = entry;
	return 0;
}

static void wake(struct journal_writer *w)
{
	if (w->idle && (journal_queue_first(&w->queue) || w->queue.dropped.count > 0 || w->queue.refused.count > 0)) {
		w->idle = false;
		pthread_cond_signal(&w->work);
	}
}

/* The `lost` entry goes where the dropped entries would have gone. */
static int end_dropping(struct journal_writer *w, struct journal_builder *b)
{
	struct journal_entry *entry;
	int r = lost_build(&entry, b, w, &w->queue.dropped);

	if (r < 0)
		return r;
	w->queue.dropped = (struct loss){ 0 };
	journal_queue_push(&w->queue, entry, true);
	return 0;
}

/* The thread. */

static void journal_writer_destroy(struct journal_writer *w)
{
	while (!STAILQ_EMPTY(&w->queue.entries))
		free(journal_queue_pop(&w->queue));
	pthread_cond_destroy(&w->work);
	pthread_cond_destroy(&w->done);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

static struct timespec deadline_in(unsigned ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

/* Returns at once when the writer is to stop. */
static void pause_for(struct journal_writer *w, unsigned ms)
{
	struct timespec deadline = deadline_in(ms);

	while (!w->stop && pthread_cond_timedwait(&w->work, &w->lock, &deadline) != ETIMEDOUT)
		;
}

/* sd_journal_sendv(3) returns 0 if there is no journald; that is loss like any other. */
static int send_to_journald(const struct iovec *iov, int n)
{
	if (access(SOCKET, F_OK) < 0)
		return -errno;
	return sd_journal_sendv(iov, n);
}

/* Sends without the lock. 0 or -errno. */
static int send_once(struct journal_writer *w, struct journal_entry *entry)
{
	int r, n = journal_entry_chain(entry, w->stream);

	pthread_mutex_unlock(&w->lock);
	r = w->send(entry->fields, n);
	pthread_mutex_lock(&w->lock);
	return r < 0 ? r : 0;
}

static int send_with_retries(struct journal_writer *w, struct journal_entry *entry)
{
	int r = send_once(w, entry);

	for (unsigned i = 1; r < 0 && i < TRIES && !w->stop; i++) {
		pause_for(w, i * PAUSE_MS);
		r = send_once(w, entry);
	}
	return r;
}

/* The `lost` entry of what was refused, which comes before all that is queued. */
static int send_refused(struct journal_writer *w, struct journal_builder *b)
{
	struct journal_entry *entry;
	int r = lost_build(&entry, b, w, &w->queue.refused);

	if (r < 0)
		return r;
	r = send_once(w, entry);
	free(entry);
	if (r < 0)
		return r;
	w->written++;
	w->queue.refused = (struct loss){ 0 };
	journal_queue_save(&w->queue);
	return 0;
}

static void send_first(struct journal_writer *w)
{
	int r = send_with_retries(w, journal_queue_first(&w->queue));
	struct journal_entry *entry = journal_queue_pop(&w->queue);

	if (r == 0) {
		w->written++;
	} else {
		loss_add(&w->queue.refused, &entry->loss);
		if (!entry->is_lost)
			w->queue.lost += entry->loss.count;
	}
	free(entry);
	journal_queue_save(&w->queue);
}

/* All that was queued is in the journal. A mark is no event: without it, verify proves less. */
static void send_mark(struct journal_writer *w, struct journal_builder *b)
{
	struct journal_entry *entry;

	w->marked = true;
	if (w->queue.previous == 0 || w->queue.held.count > 0 || journal_entry_mark(&entry, b, w->queue.previous) < 0)
		return;
	send_once(w, entry);
	free(entry);
}

static void wait_for_work(struct journal_writer *w)
{
	w->idle = true;
	pthread_cond_signal(&w->done);
	pthread_cond_wait(&w->work, &w->lock);
	w->idle = false;
}

static void run_locked(struct journal_writer *w, struct journal_builder *b)
{
	while (!w->abandoned) {
		int r = 0;

		if (w->queue.dropped.count > 0 && w->queue.charged <= w->queue.limit / 2)
			r = end_dropping(w, b);
		if (r == 0 && w->queue.refused.count > 0)
			r = send_refused(w, b);
		if (r < 0) {
			/* No memory, or no journald. */
			if (w->stop)
				return;
			pause_for(w, PAUSE_MS_LONG);
		} else if (journal_queue_first(&w->queue)) {
			send_first(w);
		} else if (w->settling && !w->marked) {
			send_mark(w, b);
		} else if (w->stop) {
			return;
		} else {
			wait_for_work(w);
		}
	}
}

static void *run(void *userdata)
{
	struct journal_builder builder = { 0 };
	struct journal_writer *w = userdata;
	bool last;

	pthread_mutex_lock(&w->lock);
	run_locked(w, &builder);
	journal_builder_finish(&builder);
	w->ended = true;
	last = --w->refs == 0;
	pthread_cond_signal(&w->done);
	pthread_mutex_unlock(&w->lock);
	if (last)
		journal_writer_destroy(w);
	return NULL;
}

/* The owner's side. */

bool journal_writer_has_room(struct journal_writer *w, size_t size)
{
	bool has_room;

	pthread_mutex_lock(&w->lock);
	has_room = journal_queue_fits(&w->queue, size);
	pthread_mutex_unlock(&w->lock);
	return has_room;
}

void journal_writer_set_held(struct journal_writer *w, const struct journal_held *held, struct journal_entry *entry)
{
	pthread_mutex_lock(&w->lock);
	w->queue.held = *held;
	journal_queue_set_last(&w->queue, held->last_seq);
	/* It had its room already, also where entries are dropped now. */
	if (entry)
		journal_queue_push(&w->queue, entry, true);
	journal_queue_save(&w->queue);
	pthread_mutex_unlock(&w->lock);
}

/* In the snapshot's place also where what follows it is dropped. */
static bool is_accepted(const struct journal_queue *q, const struct journal_entry *entry)
{
	return entry && (entry->is_exempt || (q->dropped.count == 0 && journal_queue_fits(q, entry->size)));
}

void journal_writer_offer(struct journal_writer *w, struct journal_entry *entry, const struct loss *loss)
{
	pthread_mutex_lock(&w->lock);
	if (!is_accepted(&w->queue, entry)) {
		journal_queue_drop(&w->queue, loss);
	} else {
		journal_queue_push(&w->queue, TAKE_PTR(entry), true);
		if (w->queue.size >= WAKE_SIZE)
			wake(w);
	}
	journal_queue_save(&w->queue);
	pthread_mutex_unlock(&w->lock);
	free(entry);
}

bool journal_writer_drops(struct journal_writer *w, const struct loss *loss)
{
	bool dropping;

	pthread_mutex_lock(&w->lock);
	dropping = w->queue.dropped.count > 0;
	if (dropping)
		journal_queue_drop(&w->queue, loss);
	journal_queue_save(&w->queue);
	pthread_mutex_unlock(&w->lock);
	return dropping;
}

void journal_writer_lost(struct journal_writer *w, const struct loss *loss)
{
	pthread_mutex_lock(&w->lock);
	loss_add(&w->queue.refused, loss);
	w->queue.lost += loss->count;
	journal_queue_set_last(&w->queue, loss->last_seq);
	if (loss->last_seq != 0)
		w->queue.previous = loss->last_seq;
	journal_queue_save(&w->queue);
	wake(w);
	pthread_mutex_unlock(&w->lock);
}

void journal_writer_set_snapshot(struct journal_writer *w, bool under_way)
{
	pthread_mutex_lock(&w->lock);
	w->queue.snapshot = under_way;
	w->queue.running = NULL;
	wake(w);
	pthread_mutex_unlock(&w->lock);
}

void journal_writer_continue(struct journal_writer *w, uint64_t previous_seq)
{
	pthread_mutex_lock(&w->lock);
	w->queue.previous = previous_seq;
	journal_queue_save(&w->queue);
	pthread_mutex_unlock(&w->lock);
}

void journal_writer_wake(struct journal_writer *w)
{
	pthread_mutex_lock(&w->lock);
	wake(w);
	pthread_mutex_unlock(&w->lock);
}

void journal_writer_set_queue(struct journal_writer *w, size_t queue)
{
	pthread_mutex_lock(&w->lock);
	w->queue.limit = queue;
	pthread_mutex_unlock(&w->lock);
}

void journal_writer_stats(struct journal_writer *w, struct journal_stats *ret)
{
	pthread_mutex_lock(&w->lock);
	*ret = (struct journal_stats){
		.written = w->written,
		.lost = w->queue.lost,
		.queue = w->queue.size,
		.queue_peak = w->queue.peak,
		.last_seq = journal_queue_sent(&w->queue),
	};
	pthread_mutex_unlock(&w->lock);
}

/* Gives the thread some time to send what is queued and the mark, and then stops it. */
static void settle(struct journal_writer *w)
{
	struct timespec deadline = deadline_in(SETTLE_MS);
	int r = 0;

	w->settling = true;
	pthread_cond_signal(&w->work);
	while (!w->ended && !(STAILQ_EMPTY(&w->queue.entries) && w->marked) && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&w->done, &w->lock, &deadline);
	w->abandoned = true;
}

int journal_writer_archive(struct journal_writer *w, struct archive *a)
{
	int r;

	pthread_mutex_lock(&w->lock);
	if (!archive_is_reading(a))
		settle(w);
	r = journal_queue_archive(&w->queue, a);
	ARCHIVE(a, w->written);
	ARCHIVE(a, w->queue.lost);
	journal_queue_save(&w->queue);
	wake(w);
	pthread_mutex_unlock(&w->lock);
	return r < 0 ? r : archive_error(a);
}

int journal_writer_new(struct journal_writer **ret, const struct journal_writer_config *config)
{
	struct journal_writer *w = calloc(1, sizeof(*w));
	pthread_condattr_t attr;
	int r;

	if (!w)
		return -ENOMEM;
	/* In glibc these fail for invalid arguments only. */
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->work, &attr);
	pthread_cond_init(&w->done, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&w->lock, NULL);
	w->refs = 1;
	w->send = config->send ? config->send : send_to_journald;
	w->boot = config->boot;
	snprintf(w->stream, sizeof(w->stream), "EXECSNOOP_STREAM=%016" PRIx64, config->stream);
	STAILQ_INIT(&w->queue.entries);
	w->queue.checkpoint = config->checkpoint;
	w->queue.limit = config->queue;
	w->refs++;
	r = thread_new(&w->thread, "journal", run, w);
	if (r < 0) {
		journal_writer_destroy(w);
		return r;
	}
	*ret = w;
	return 0;
}

static void stop(struct journal_writer *w)
{
	w->settling = w->stop = true;
	pthread_cond_signal(&w->work);
}

void journal_writer_stop(struct journal_writer *w)
{
	pthread_mutex_lock(&w->lock);
	stop(w);
	pthread_mutex_unlock(&w->lock);
}

bool journal_writer_has_ended(struct journal_writer *w)
{
	bool ended;

	pthread_mutex_lock(&w->lock);
	ended = w->ended;
	pthread_mutex_unlock(&w->lock);
	return ended;
}

struct journal_writer *journal_writer_free(struct journal_writer *w, unsigned timeout_ms)
{
	struct timespec deadline = deadline_in(timeout_ms);
	pthread_t thread;
	bool last;
	int r = 0;

	if (!w)
		return NULL;
	pthread_mutex_lock(&w->lock);
	thread = w->thread;
	stop(w);
	while (!w->ended && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&w->done, &w->lock, &deadline);
	w->abandoned = true;
	w->queue.checkpoint = NULL;
	last = --w->refs == 0;
	pthread_mutex_unlock(&w->lock);
	if (last) {
		pthread_join(thread, NULL);
		journal_writer_destroy(w);
	} else {
		/* The thread frees it. */
		pthread_detach(thread);
	}
	return NULL;
}
