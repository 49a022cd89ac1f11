/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread may be blocked in sending for ever: a stopped journald leaves its socket full. Nothing can be done to end
 * it then (cancellation would leave locks of the library behind), so it is left alone: the journal writer has two references,
 * its owner's and the thread's, and whoever goes last frees it.
 *
 * Loss. The stream in the journal has an entry or, at its place, a `lost` that counts it:
 *  - The queue is full, or there is no memory: from that entry on all are dropped, and counted in `dropped`. When the
 *    queue is half empty (or empty) again, the thread puts the `lost` at its end, and only then entries are
 *    taken again. The thread does it, since it makes the room; no later event is needed for it.
 *  - journald is not there or refuses an entry: after TRIES tries it is counted in `refused`, whose `lost` must be sent
 *    before the next entry. That is tried for ever, with pauses, so a journald that is gone is asked once
 *    in PAUSE_MS_LONG while the queue fills up.
 * An entry that is being sent stays in the queue until it is gone: it counts as memory, and as the place of a loss.
 *
 * Entries of the snapshot do not count against the limit of the queue: the table that they are made from is bounded
 * itself, and they would push out the events that come behind them.
 */
#include "output/journal_writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"

#define FIRST_LOOKS_MAX 64 /* entries that are looked at for the first number */
#define WAKE_SIZE (64 * 1024)
#define TRIES 4
#define PAUSE_MS 100
#define PAUSE_MS_LONG 1000

#define SETTLE_MS 100 /* for the thread to send what waits, before the rest is left to the next daemon */

#define SOCKET "/run/systemd/journal/socket" /* of sd_journal_sendv */

struct journal_writer {
	pthread_t thread;
	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t work;  /* for the thread */
	pthread_cond_t done;  /* for journal_writer_free and journal_writer_archive */
	unsigned refs;
	int (*send)(const struct iovec *iov, int n);
	uint64_t boot;

	struct journal_entry *head, **tail;
	size_t limit;
	size_t charged, peak; /* bytes in the queue, of them those of charge */
	size_t size;
	uint64_t events, last_seq;	      /* of all that waits */
	struct checkpoint_stream *checkpoint; /* not owned; may be NULL */
	struct loss dropped, refused;
	uint64_t written, lost;
	bool idle;	/* the thread waits for work */
	bool stop;	/* when the queue is empty, and without pauses */
	bool abandoned; /* at once */
	bool ended;
};

/* Losses. */

static void loss_add(struct loss *loss, const struct loss *more)
{
	loss->count += more->count;
	if (loss->first_seq == 0)
		loss->first_seq = more->first_seq;
	if (more->last_seq != 0)
		loss->last_seq = more->last_seq;
	loss->time = more->time;
}

/* In the thread, with its own builder. */
static int lost_build(struct journal_entry **ret, struct journal_builder *b, const struct journal_writer *c,
		      const struct loss *loss)
{
	struct event event = {
		.type = EVENT_LOST,
		.time = loss->time,
		.boot = c->boot,
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

/* The queue; c->lock is held in all of these. */

static void note_last(struct journal_writer *c, const struct loss *loss)
{
	if (loss->last_seq != 0)
		c->last_seq = loss->last_seq;
}

/* The number of the first that waits; 0: it has none, or not one of the first few has. */
static uint64_t first_seq(const struct journal_writer *c)
{
	const struct journal_entry *entry = c->head;

	if (c->refused.first_seq != 0)
		return c->refused.first_seq;
	for (unsigned i = 0; entry && entry->loss.first_seq == 0 && i < FIRST_LOOKS_MAX; i++)
		entry = entry->next;
	return entry ? entry->loss.first_seq : c->dropped.first_seq;
}

/* For whoever comes after a crash. */
static void note(struct journal_writer *c)
{
	uint64_t waiting = c->events + c->dropped.count + c->refused.count;
	uint64_t first = first_seq(c);

	if (!c->checkpoint)
		return;
	c->checkpoint->waiting = waiting;
	c->checkpoint->first_seq = waiting ? first : 0;
	c->checkpoint->last_seq = waiting ? c->last_seq : 0;
}

static void queue_push(struct journal_writer *c, struct journal_entry *entry)
{
	*c->tail = entry;
	c->tail = &entry->next;
	c->size += entry->size;
	if (!entry->is_free) {
		c->charged += entry->size;
		c->events += entry->loss.count;
		note_last(c, &entry->loss);
	}
	if (c->size > c->peak)
		c->peak = c->size;
}

static struct journal_entry *queue_pop(struct journal_writer *c)
{
	struct journal_entry *entry = c->head;

	c->head = entry->next;
	if (!c->head)
		c->tail = &c->head;
	c->size -= entry->size;
	if (!entry->is_free) {
		c->charged -= entry->size;
		c->events -= entry->loss.count;
	}
	return entry;
}

static void queue_drop(struct journal_writer *c, const struct loss *loss)
{
	loss_add(&c->dropped, loss);
	c->lost += loss->count;
	note_last(c, loss);
}

static void wake(struct journal_writer *c)
{
	if (c->idle && (c->head || c->dropped.count > 0 || c->refused.count > 0)) {
		c->idle = false;
		pthread_cond_signal(&c->work);
	}
}

/* Ends a time of dropping: the `lost` goes where the dropped entries would have gone. */
static int queue_end_dropping(struct journal_writer *c, struct journal_builder *b)
{
	struct journal_entry *entry;
	int r = lost_build(&entry, b, c, &c->dropped);

	if (r < 0)
		return r;
	c->dropped = (struct loss){ 0 };
	queue_push(c, entry);
	return 0;
}

/* The thread. */

static void journal_writer_destroy(struct journal_writer *c)
{
	while (c->head)
		free(queue_pop(c));
	pthread_cond_destroy(&c->work);
	pthread_cond_destroy(&c->done);
	pthread_mutex_destroy(&c->lock);
	free(c);
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

/* Cut short by the stop, and then none. */
static void pause_for(struct journal_writer *c, unsigned ms)
{
	struct timespec deadline = deadline_in(ms);

	while (!c->stop && pthread_cond_timedwait(&c->work, &c->lock, &deadline) != ETIMEDOUT)
		;
}

/* sd_journal_sendv says 0 where there is no journald to send to; that is loss like any other. */
static int send_to_journald(const struct iovec *iov, int n)
{
	if (access(SOCKET, F_OK) < 0)
		return -errno;
	return sd_journal_sendv(iov, n);
}

/* Sends without the lock. 0 or -errno. */
static int send_once(struct journal_writer *c, const struct journal_entry *entry)
{
	int r;

	pthread_mutex_unlock(&c->lock);
	r = c->send(entry->fields, entry->n);
	pthread_mutex_lock(&c->lock);
	return r < 0 ? r : 0;
}

static int send_patiently(struct journal_writer *c, const struct journal_entry *entry)
{
	int r = send_once(c, entry);

	for (unsigned i = 1; r < 0 && i < TRIES && !c->stop; i++) {
		pause_for(c, i * PAUSE_MS);
		r = send_once(c, entry);
	}
	return r;
}

/* Says what was refused, which comes before all that waits. */
static int send_refused(struct journal_writer *c, struct journal_builder *b)
{
	struct journal_entry *entry;
	int r = lost_build(&entry, b, c, &c->refused);

	if (r < 0)
		return r;
	r = send_once(c, entry);
	free(entry);
	if (r < 0)
		return r;
	c->written++;
	c->refused = (struct loss){ 0 };
	note(c);
	return 0;
}

static void send_head(struct journal_writer *c)
{
	int r = send_patiently(c, c->head);
	struct journal_entry *entry = queue_pop(c);

	if (r == 0) {
		c->written++;
	} else {
		loss_add(&c->refused, &entry->loss);
		if (!entry->is_lost)
			c->lost += entry->loss.count;
	}
	free(entry);
	note(c);
}

static void wait_for_work(struct journal_writer *c)
{
	c->idle = true;
	pthread_cond_signal(&c->done);
	pthread_cond_wait(&c->work, &c->lock);
	c->idle = false;
}

static void run_locked(struct journal_writer *c, struct journal_builder *b)
{
	while (!c->abandoned) {
		int r = 0;

		if (c->dropped.count > 0 && c->charged <= c->limit / 2)
			r = queue_end_dropping(c, b);
		if (r == 0 && c->refused.count > 0)
			r = send_refused(c, b);
		if (r < 0) {
			/* No memory, or no journald. */
			if (c->stop)
				return;
			pause_for(c, PAUSE_MS_LONG);
		} else if (c->head) {
			send_head(c);
		} else if (c->stop) {
			return;
		} else {
			wait_for_work(c);
		}
	}
}

static void *run(void *userdata)
{
	struct journal_builder builder = { 0 };
	struct journal_writer *c = userdata;
	bool last;

	pthread_mutex_lock(&c->lock);
	run_locked(c, &builder);
	journal_builder_finish(&builder);
	c->ended = true;
	last = --c->refs == 0;
	pthread_cond_signal(&c->done);
	pthread_mutex_unlock(&c->lock);
	if (last)
		journal_writer_destroy(c);
	return NULL;
}

/* The owner's side. */

/* One alone is always taken, whatever its size. */
static bool has_room(const struct journal_writer *c, const struct journal_entry *entry)
{
	return entry->is_free || c->charged == 0 || (c->charged < c->limit && entry->size <= c->limit - c->charged);
}

void journal_writer_offer(struct journal_writer *c, struct journal_entry *entry, const struct loss *loss)
{
	pthread_mutex_lock(&c->lock);
	if (!entry || c->dropped.count > 0 || !has_room(c, entry)) {
		queue_drop(c, loss);
	} else {
		queue_push(c, TAKE_PTR(entry));
		if (c->size >= WAKE_SIZE)
			wake(c);
	}
	note(c);
	pthread_mutex_unlock(&c->lock);
	free(entry);
}

bool journal_writer_drops(struct journal_writer *c, const struct loss *loss)
{
	bool dropping;

	pthread_mutex_lock(&c->lock);
	dropping = c->dropped.count > 0;
	if (dropping)
		queue_drop(c, loss);
	note(c);
	pthread_mutex_unlock(&c->lock);
	return dropping;
}

void journal_writer_lost(struct journal_writer *c, const struct loss *loss)
{
	pthread_mutex_lock(&c->lock);
	loss_add(&c->refused, loss);
	c->lost += loss->count;
	note_last(c, loss);
	note(c);
	wake(c);
	pthread_mutex_unlock(&c->lock);
}

void journal_writer_wake(struct journal_writer *c)
{
	pthread_mutex_lock(&c->lock);
	wake(c);
	pthread_mutex_unlock(&c->lock);
}

void journal_writer_set_queue(struct journal_writer *c, size_t queue)
{
	pthread_mutex_lock(&c->lock);
	c->limit = queue;
	pthread_mutex_unlock(&c->lock);
}

void journal_writer_stats(struct journal_writer *c, struct journal_stats *ret)
{
	pthread_mutex_lock(&c->lock);
	*ret = (struct journal_stats){
		.written = c->written,
		.lost = c->lost,
		.queue = c->size,
		.queue_peak = c->peak,
	};
	pthread_mutex_unlock(&c->lock);
}

static int entries_archive(struct journal_writer *c, struct archive *a)
{
	size_t count = 0;

	for (const struct journal_entry *entry = c->head; entry; entry = entry->next)
		count++;
	archive_count(a, &count, SIZE_MAX);
	if (!archive_is_reading(a)) {
		for (struct journal_entry *entry = c->head; entry; entry = entry->next)
			journal_entry_archive(&entry, a);
		return 0;
	}
	for (size_t i = 0; i < count; i++) {
		struct journal_entry *entry = NULL;
		int r = journal_entry_archive(&entry, a);

		if (r < 0)
			return r;
		queue_push(c, entry);
	}
	return 0;
}

/* Gives the thread some time to send what waits, and then has it send no more. */
static void settle(struct journal_writer *c)
{
	struct timespec deadline = deadline_in(SETTLE_MS);
	int r = 0;

	wake(c);
	while (!c->ended && c->head && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&c->done, &c->lock, &deadline);
	c->abandoned = true;
}

int journal_writer_archive(struct journal_writer *c, struct archive *a)
{
	int r;

	pthread_mutex_lock(&c->lock);
	if (!archive_is_reading(a))
		settle(c);
	r = entries_archive(c, a);
	ARCHIVE(a, c->dropped);
	ARCHIVE(a, c->refused);
	ARCHIVE(a, c->last_seq);
	ARCHIVE(a, c->written);
	ARCHIVE(a, c->lost);
	note(c);
	wake(c);
	pthread_mutex_unlock(&c->lock);
	return r < 0 ? r : archive_error(a);
}

/* The signals are the event loop's: a thread inherits the mask that is in force when it is made. */
static int start_thread(struct journal_writer *c)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	c->refs++;
	r = pthread_create(&c->thread, NULL, run, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0) {
		c->refs--;
		return -r;
	}
	pthread_setname_np(c->thread, "journal");
	return 0;
}

int journal_writer_new(struct journal_writer **ret, const struct journal_writer_config *config)
{
	struct journal_writer *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;
	int r;

	if (!c)
		return -ENOMEM;
	/* None of these can fail in glibc but for arguments that are wrong. */
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->work, &attr);
	pthread_cond_init(&c->done, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&c->lock, NULL);
	c->refs = 1;
	c->send = config->send ? config->send : send_to_journald;
	c->boot = config->boot;
	c->checkpoint = config->checkpoint;
	c->limit = config->queue;
	c->tail = &c->head;
	r = start_thread(c);
	if (r < 0) {
		journal_writer_destroy(c);
		return r;
	}
	*ret = c;
	return 0;
}

struct journal_writer *journal_writer_free(struct journal_writer *c, unsigned timeout_ms)
{
	struct timespec deadline = deadline_in(timeout_ms);
	pthread_t thread;
	bool last;
	int r = 0;

	if (!c)
		return NULL;
	pthread_mutex_lock(&c->lock);
	thread = c->thread;
	c->stop = true;
	pthread_cond_signal(&c->work);
	while (!c->ended && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&c->done, &c->lock, &deadline);
	c->abandoned = true;
	c->checkpoint = NULL;
	last = --c->refs == 0;
	pthread_mutex_unlock(&c->lock);
	if (last) {
		pthread_join(thread, NULL);
		journal_writer_destroy(c);
	} else {
		/* Its reference is the thread's now. */
		pthread_detach(thread);
	}
	return NULL;
}
