/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Taking over from another daemon's probes. Ours are attached while those still are, so nothing is missed; for a short time
 * both see everything. First the old ring is read to its end, then it is let go, then ours is read, and what the old one
 * had already is left out (dedup.h). A call that began before our probes were attached and fails after the old
 * ring was read for the last time is seen by neither; ours count it, so it is told as lost.
 */
#include "pipeline/consumer.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <syslog.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/pool.h"

/* Records in one turn of the loop. What a subscriber is given of them, some 170 events, fits in its socket, and in its own
 * turn, which is the next; were it more, the queue of one who reads at once would fill while a backlog is read. */
#define DRAIN_MAX 256
#define TURN_US 10000	    /* of CPU time in one turn; a record that is under way then is finished */
#define DRAIN_PAUSE_US 5000 /* between two turns while records keep coming: the bound of their delay */
#define DRAIN_FIRST_US 300  /* after a wake-up: what follows a fork, its exec above all, is there soon */
#define DRAIN_GROWTH 4	    /* of the pause, from turn to turn */
#define SKIPPED_PAUSE_US \
	100000 /* between two looks at what probes skipped: longer than a program takes to make up for it */
#define SETTLE_PAUSE_US 1000 /* until a record may be committed whose producer does not run */
#define SETTLE_PAUSES 1000
#define RESYNC_PAUSE_US 500000 /* between two comparisons of the table with the kernel's, while loss goes on */
#define RESYNC_DOUBLINGS_MAX \
	6		      /* of that, while the comparison finds something that is under way: up to half a minute */
#define DEDUP_US 1000000      /* after the old ring was read for the last time: the last twin is out of ours */
#define TRIM_LINES (4 << 20)  /* bytes of lines that waited, and a quarter: alike */
#define TRIM_PROCESSES 64     /* and a quarter: gone from the table until their memory is given back */
#define EPOCH_STEP_NS 1000000 /* CLOCK_REALTIME moved against CLOCK_BOOTTIME: it was set, not slewed */

struct consumer {
	sd_event *event;
	struct pipeline *pipeline;
	struct probe *probe;			/* NULL: not yet */
	struct resync *resync;			/* NULL: not yet */
	struct checkpoint_counters *checkpoint; /* NULL: not noted */
	struct dedup *dedup;			/* NULL: there is nothing to be seen twice */
	uint64_t dedup_until_us, dedup_end;	/* and position in the ring */
	bool forks;
	const struct consumer_ops *ops;
	void *userdata;
	sd_event_source *timer;
	uint64_t turn_ends_us; /* not before; 0: whenever the ring is empty */
	uint64_t turn_cpu_us;  /* CLOCK_THREAD_CPUTIME_ID when it began */
	bool cut;	       /* it ended before */
	uint64_t pause_us;     /* before the next turn; 0 while the reader sleeps */
	int64_t epoch;
	size_t lines_peak;     /* memory of lines, alike */
	size_t processes_peak; /* in the table since memory was given back last */
	/* Loss in the kernel, of the probes at hand: what was told, and since when the table may be wrong. */
	uint64_t skipped_events, skipped_forks;
	struct {
		uint64_t events, forks, us;
	} seen;	       /* skipped, at the last look; us 0: there was none */
	uint64_t lost; /* all together, at the last look */
	bool resync_wanted;
	uint64_t resync_us; /* when the last one began */
	unsigned put_off;   /* how many in a row wanted one more */
};

/* Clocks. */

/* CLOCK_REALTIME - CLOCK_BOOTTIME, read as close together as three tries get. */
static int64_t read_epoch(void)
{
	uint64_t best = UINT64_MAX;
	int64_t epoch = 0;

	for (int i = 0; i < 3; i++) {
		uint64_t before = clock_ns(CLOCK_BOOTTIME), real = clock_ns(CLOCK_REALTIME);
		uint64_t after = clock_ns(CLOCK_BOOTTIME);

		if (after - before < best) {
			best = after - before;
			epoch = (int64_t)real - (int64_t)(before + (after - before) / 2);
		}
	}
	return epoch;
}

static void set_epoch(struct consumer *consumer, int64_t epoch)
{
	consumer->epoch = epoch;
	if (consumer->checkpoint)
		consumer->checkpoint->epoch = epoch;
	pipeline_set_epoch(consumer->pipeline, epoch);
}

/* Unless the clock was set meanwhile, the last daemon's: so a process has the start_time that it had, to the nanosecond. */
static void take_epoch(struct consumer *consumer, int64_t epoch)
{
	if (llabs(epoch - consumer->epoch) < EPOCH_STEP_NS)
		set_epoch(consumer, epoch);
}

/* Both clocks are slewed alike, so their distance changes by steps only; less is noise of the reading. */
static void check_epoch(struct consumer *consumer)
{
	int64_t now = (int64_t)clock_ns(CLOCK_REALTIME) - (int64_t)clock_ns(CLOCK_BOOTTIME);

	if (llabs(now - consumer->epoch) < EPOCH_STEP_NS)
		return;
	set_epoch(consumer, read_epoch());
}

__attribute__((format(printf, 3, 4))) static void note(struct consumer *consumer, int level, const char *format, ...)
{
	char message[256];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	consumer->ops->note(consumer->userdata, level, message);
}

/* Where other programs have the CPU, a turn may take long by the clock and have done little: then it continues, or each turn would be
 * one record, and the ring buffer would fill. */
static bool is_turn_over(struct consumer *consumer)
{
	uint64_t now_us, took_us;

	if (consumer->turn_ends_us == 0)
		return false;
	now_us = clock_us(CLOCK_MONOTONIC);
	if (now_us <= consumer->turn_ends_us)
		return false;
	took_us = clock_us(CLOCK_THREAD_CPUTIME_ID) - consumer->turn_cpu_us;
	if (took_us >= TURN_US)
		return true;
	consumer->turn_ends_us = now_us + TURN_US - took_us;
	return false;
}

static int on_record(void *userdata, const void *data, size_t size)
{
	struct consumer *consumer = userdata;
	int r = pipeline_record(consumer->pipeline, data, size);

	if (r == -EBADMSG) {
		note(consumer, LOG_WARNING,
		     "a record of %zu bytes from the kernel makes no sense; it is counted and left out", size);
		r = 0;
	}
	if (r == 0)
		consumer->cut = is_turn_over(consumer);
	return r < 0 ? r : consumer->cut;
}

/* Loss. */

static void set_skipped(struct consumer *consumer, uint64_t events, uint64_t forks)
{
	consumer->skipped_events = events;
	consumer->skipped_forks = forks;
	if (!consumer->checkpoint)
		return;
	checkpoint_loss(consumer->checkpoint)->skipped_events = events;
	checkpoint_loss(consumer->checkpoint)->skipped_forks = forks;
}

/* What was skipped and is not told yet, where each run is an event. */
static uint64_t newly_skipped(struct consumer *consumer, uint64_t events, uint64_t forks)
{
	uint64_t count;

	if (events < consumer->skipped_events)
		events = consumer->skipped_events;
	if (forks < consumer->skipped_forks)
		forks = consumer->skipped_forks;
	count = events - consumer->skipped_events + (consumer->forks ? forks - consumer->skipped_forks : 0);
	set_skipped(consumer, events, forks);
	return count;
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* One that has to be confirmed. */
static bool is_skip_pending(const struct consumer *consumer)
{
	return consumer->seen.events > consumer->skipped_events || consumer->seen.forks > consumer->skipped_forks;
}

/*
 * The kernel counts a run that it leaves out before a second program makes up for it (bpf/preempted.bpf.h): so only what was there at one look
 * and is still there at the next one is lost. idle: nothing was drained, and the reader may sleep soon.
 */
static uint64_t look_at_skipped(struct consumer *consumer, uint64_t now_us, bool idle)
{
	uint64_t events, forks, count = 0;
	bool is_soon = consumer->seen.us != 0 && now_us - consumer->seen.us < SKIPPED_PAUSE_US;

	if (is_soon && (!idle || is_skip_pending(consumer)))
		return 0;
	probe_skipped(consumer->probe, &events, &forks);
	if (consumer->seen.us != 0)
		count = newly_skipped(consumer, lesser(events, consumer->seen.events),
				      lesser(forks, consumer->seen.forks));
	consumer->seen.events = events;
	consumer->seen.forks = forks;
	consumer->seen.us = now_us;
	return count;
}

/* The table may be wrong. */
static void note_loss(struct consumer *consumer, uint32_t lost_events, uint32_t lost_forks)
{
	uint64_t lost = (uint64_t)lost_events + lost_forks + consumer->skipped_events + consumer->skipped_forks;

	if (lost != consumer->lost) {
		consumer->resync_wanted = true;
		consumer->put_off = 0;
	}
	consumer->lost = lost;
}

/* One is over. What it found under way is looked at again, and less and less often if it goes on. */
static void plan_next(struct consumer *consumer, int r)
{
	if (r != RESYNC_AGAIN) {
		consumer->put_off = 0;
		return;
	}
	consumer->resync_wanted = true;
	if (consumer->put_off < RESYNC_DOUBLINGS_MAX)
		consumer->put_off++;
}

/* After a loss the table is compared with the kernel's list, between the drains. True: there is more to do soon. */
static bool mend(struct consumer *consumer, bool caught_up)
{
	uint64_t now_us = clock_us(CLOCK_MONOTONIC);
	int r = 0;

	if (!consumer->resync)
		return false;
	if (resync_is_under_way(consumer->resync)) {
		r = resync_step(consumer->resync, clock_ns(CLOCK_BOOTTIME));
		if (!resync_is_under_way(consumer->resync))
			plan_next(consumer, r);
	} else if (!consumer->resync_wanted) {
		return false;
	} else if (caught_up && now_us - consumer->resync_us >= (uint64_t)RESYNC_PAUSE_US << consumer->put_off) {
		consumer->resync_wanted = false;
		consumer->resync_us = now_us;
		r = resync_begin(consumer->resync);
	}
	if (r < 0)
		note(consumer, LOG_WARNING, "comparing the process table with the kernel's: %s", strerror(-r));
	return resync_is_under_way(consumer->resync) || consumer->put_off == 0;
}

/* Turns. */

/* A record tells what was lost before it. The counters are read first, and the ring is looked at then: if it is empty, nothing that was
 * recorded before the loss waits. */
static void look_for_loss(struct consumer *consumer, bool idle)
{
	uint64_t boot_time = clock_ns(CLOCK_BOOTTIME);
	uint64_t skipped = look_at_skipped(consumer, clock_us(CLOCK_MONOTONIC), idle);
	uint32_t lost_events, lost_forks;

	if (skipped > 0)
		pipeline_skipped(consumer->pipeline, skipped, boot_time);
	probe_lost(consumer->probe, &lost_events, &lost_forks);
	note_loss(consumer, lost_events, lost_forks);
	if (probe_waiting(consumer->probe) == 0)
		pipeline_loss(consumer->pipeline, lost_events, lost_forks, 0, boot_time);
}

static void drop_twins(struct consumer *consumer)
{
	if (!consumer->dedup || clock_us(CLOCK_MONOTONIC) <= consumer->dedup_until_us ||
	    probe_consumed(consumer->probe) < consumer->dedup_end)
		return;
	pipeline_set_dedup(consumer->pipeline, NULL, PIPELINE_SECOND);
	consumer->dedup = dedup_free(consumer->dedup);
}

int consumer_drain(struct consumer *consumer)
{
	int n;

	check_epoch(consumer);
	consumer->cut = false;
	consumer->turn_cpu_us = clock_us(CLOCK_THREAD_CPUTIME_ID);
	consumer->turn_ends_us = clock_us(CLOCK_MONOTONIC) + TURN_US;
	n = probe_drain(consumer->probe, DRAIN_MAX, on_record, consumer);
	consumer->turn_ends_us = 0;
	if (n < 0)
		return n;
	if (consumer->cut)
		n = DRAIN_MAX;
	look_for_loss(consumer, n == 0);
	drop_twins(consumer);
	pipeline_flush(consumer->pipeline);
	return n;
}

int consumer_settle(struct consumer *consumer)
{
	uint64_t end = probe_produced(consumer->probe);
	int n;

	for (unsigned pauses = 0; probe_consumed(consumer->probe) < end && pauses < SETTLE_PAUSES;) {
		n = consumer_drain(consumer);
		if (n < 0)
			return n;
		if (n == 0) {
			usleep(SETTLE_PAUSE_US);
			pauses++;
		}
	}
	return 0;
}

/*
 * Gives memory back to the kernel once many processes are gone. free(3) alone gives back only what is at the heap's very
 * end, and something that lives on is always there. It takes up to some milliseconds, so it is done when the ring is empty,
 * and a share of the processes has to be gone: a few times from a great many down to few.
 */
static void trim_memory(struct consumer *consumer)
{
	size_t count = proctable_count(pipeline_table(consumer->pipeline)), lines = line_memory();

	if (consumer->processes_peak < count)
		consumer->processes_peak = count;
	if (consumer->lines_peak < lines)
		consumer->lines_peak = lines;
	if (consumer->processes_peak - count < TRIM_PROCESSES + consumer->processes_peak / 4 &&
	    consumer->lines_peak - lines < TRIM_LINES + consumer->lines_peak / 4)
		return;
	pool_trim(0);
	malloc_trim(0);
	consumer->processes_peak = count;
	consumer->lines_peak = lines;
}

/* The comparison goes on at once. */
static bool has_more(const struct consumer *consumer)
{
	return consumer->resync && resync_is_under_way(consumer->resync) && !resync_waits(consumer->resync);
}

/* more: more waits. Then it is the others' turn, none of which may be left out: each that is ready has one before. */
static int next_turn(struct consumer *consumer, bool more)
{
	int r = sd_event_source_set_priority(consumer->timer,
					     more ? SD_EVENT_PRIORITY_NORMAL : SD_EVENT_PRIORITY_IMPORTANT);

	if (r >= 0)
		r = sd_event_source_set_time_relative(consumer->timer, more ? 0 : consumer->pause_us);
	if (r >= 0)
		r = sd_event_source_set_time_accuracy(consumer->timer, consumer->pause_us / 5);
	return r < 0 ? r : sd_event_source_set_enabled(consumer->timer, SD_EVENT_ONESHOT);
}

int consumer_turn(struct consumer *consumer)
{
	int n = consumer_drain(consumer);
	bool busy;

	if (n < 0)
		return consumer->ops->failed(consumer->userdata, n);
	consumer->ops->turned(consumer->userdata);
	busy = mend(consumer, n < DRAIN_MAX) || is_skip_pending(consumer);
	if (n < DRAIN_MAX)
		trim_memory(consumer);
	/* Only after a whole pause without a record: so nobody pays for more than one wake-up in that time. */
	if (n == 0 && !busy && consumer->pause_us == DRAIN_PAUSE_US && probe_sleep(consumer->probe)) {
		consumer->pause_us = 0;
		pool_trim(POOL_FREE_IDLE_MAX);
		return sd_event_source_set_enabled(consumer->timer, SD_EVENT_OFF);
	}
	if (n > 0)
		probe_awake(consumer->probe);
	consumer->pause_us = consumer->pause_us == 0 ? DRAIN_FIRST_US : consumer->pause_us * DRAIN_GROWTH;
	if (consumer->pause_us > DRAIN_PAUSE_US)
		consumer->pause_us = DRAIN_PAUSE_US;
	return next_turn(consumer, n == DRAIN_MAX || has_more(consumer));
}

static int on_ring(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	return consumer_turn(userdata);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	return consumer_turn(userdata);
}

int consumer_watch(struct consumer *consumer)
{
	sd_event_source *source = NULL;
	int r = sd_event_add_io(consumer->event, &source, probe_fd(consumer->probe), EPOLLIN | EPOLLET, on_ring,
				consumer);

	if (r < 0)
		return r;
	/* Before everything else: what waits there cannot wait elsewhere. */
	r = sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IMPORTANT);
	if (r >= 0)
		r = sd_event_source_set_floating(source, true);
	sd_event_source_unref(source);
	if (r < 0)
		return r;
	/* Due at once: it looks for what came while the outputs joined, and goes to sleep if there is nothing. */
	r = sd_event_add_time_relative(consumer->event, &consumer->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, consumer);
	return r < 0 ? r : sd_event_source_set_priority(consumer->timer, SD_EVENT_PRIORITY_IMPORTANT);
}

/* Another daemon's probes. */

/* Up to where the ring is written now. A record whose producer does not come to an end within a second is left out: what is behind it would be
 * lost too. How many were. */
static int drain_predecessor(struct consumer *consumer, struct predecessor *predecessor)
{
	uint64_t end = predecessor_produced(predecessor);
	int stuck = 0;

	for (unsigned pauses = 0; predecessor_consumed(predecessor) < end;) {
		int n = predecessor_drain(predecessor, DRAIN_MAX, on_record, consumer);

		if (n < 0)
			return n;
		pipeline_flush(consumer->pipeline);
		if (n > 0 || predecessor_consumed(predecessor) >= end)
			continue;
		usleep(SETTLE_PAUSE_US);
		if (++pauses < SETTLE_PAUSES)
			continue;
		pauses = 0;
		stuck += predecessor_skip(predecessor);
	}
	return stuck;
}

int consumer_read_predecessor(struct consumer *consumer, struct predecessor *predecessor)
{
	uint64_t skipped_events, skipped_forks, skipped;
	uint32_t lost_events, lost_forks;
	int stuck, r = 0;

	if (!consumer->dedup)
		r = dedup_new(&consumer->dedup);
	if (r < 0)
		return r;
	pipeline_set_dedup(consumer->pipeline, consumer->dedup, PIPELINE_FIRST);
	stuck = drain_predecessor(consumer, predecessor);
	if (stuck < 0)
		return stuck;
	predecessor_lost(predecessor, &lost_events, &lost_forks);
	predecessor_skipped(predecessor, &skipped_events, &skipped_forks);
	skipped = newly_skipped(consumer, skipped_events, skipped_forks) + (uint64_t)stuck;
	pipeline_loss(consumer->pipeline, lost_events, lost_forks, skipped, clock_ns(CLOCK_BOOTTIME));
	note_loss(consumer, lost_events, lost_forks);
	if (stuck > 0)
		consumer->resync_wanted = true;
	pipeline_flush(consumer->pipeline);
	return 0;
}

int consumer_set_probe(struct consumer *consumer, struct probe *probe, struct predecessor *predecessor)
{
	uint64_t skipped_events, skipped_forks;
	uint32_t lost_events, lost_forks;
	int r = 0;

	/* First the counters: what was lost until now, the predecessor's probes have, or have lost and counted too. */
	probe_lost(probe, &lost_events, &lost_forks);
	probe_skipped(probe, &skipped_events, &skipped_forks);
	if (predecessor)
		r = consumer_read_predecessor(consumer, predecessor);
	if (r < 0)
		return r;
	consumer->probe = probe;
	/* Whoever comes after a crash reads the predecessor's ring again until ours is kept, by the counters that it had. */
	if (consumer->checkpoint)
		consumer->checkpoint->reads = 1 - consumer->checkpoint->probes;
	set_skipped(consumer, skipped_events, skipped_forks);
	consumer->seen.us = 0;
	consumer->lost = (uint64_t)lost_events + lost_forks + skipped_events + skipped_forks;
	pipeline_set_lost(consumer->pipeline, lost_events, lost_forks);
	if (consumer->dedup) {
		pipeline_set_dedup(consumer->pipeline, consumer->dedup, PIPELINE_SECOND);
		consumer->dedup_until_us = clock_us(CLOCK_MONOTONIC) + DEDUP_US;
		consumer->dedup_end = probe_produced(probe);
	}
	return 0;
}

void consumer_resume(struct consumer *consumer, const struct checkpoint_counters *left)
{
	const struct checkpoint_loss *loss = &left->losses[left->probes];

	take_epoch(consumer, left->epoch);
	set_skipped(consumer, loss->skipped_events, loss->skipped_forks);
	consumer->lost = (uint64_t)loss->lost_events + loss->lost_forks + loss->skipped_events + loss->skipped_forks;
}

void consumer_set_resync(struct consumer *consumer, struct resync *resync)
{
	consumer->resync = resync;
}

/* Start and end. */

int consumer_new(struct consumer **ret, sd_event *event, struct pipeline *pipeline, bool forks,
		 struct checkpoint_counters *checkpoint, const struct consumer_ops *ops, void *userdata)
{
	struct consumer *consumer = calloc(1, sizeof(*consumer));

	if (!consumer)
		return -ENOMEM;
	consumer->event = event;
	consumer->pipeline = pipeline;
	consumer->forks = forks;
	consumer->checkpoint = checkpoint;
	consumer->ops = ops;
	consumer->userdata = userdata;
	set_epoch(consumer, read_epoch());
	*ret = consumer;
	return 0;
}

struct consumer *consumer_free(struct consumer *consumer)
{
	if (!consumer)
		return NULL;
	sd_event_source_disable_unref(consumer->timer);
	dedup_free(consumer->dedup);
	free(consumer);
	return NULL;
}

int consumer_archive(struct consumer *consumer, struct archive *a)
{
	int64_t epoch = consumer->epoch;

	ARCHIVE(a, epoch);
	ARCHIVE(a, consumer->skipped_events);
	ARCHIVE(a, consumer->skipped_forks);
	ARCHIVE(a, consumer->lost);
	set_skipped(consumer, consumer->skipped_events, consumer->skipped_forks);
	archive_flag(a, &consumer->resync_wanted);
	if (archive_is_reading(a) && archive_error(a) == 0)
		take_epoch(consumer, epoch);
	return archive_error(a);
}
