/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Taking over from another daemon. Our probes are attached while the other's still are, so nothing
 * is missed; for a short time both see everything. First the previous source is drained to its end,
 * then it is released, then ours is drained, without what the previous one had already (dedup.h). A
 * call that began before our probes were attached and fails after the previous source was drained
 * for the last time is seen by neither; our programs count it, so it is reported as lost.
 *
 * The ring buffer's descriptor is watched edge-triggered: level-triggered it would be ready
 * whenever a record waits, and wake the consumer for each of them; as it is, only a producer that
 * decides to wake does.
 */
#include "pipeline/consumer.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <syslog.h>
#include <unistd.h>

#include "pipeline/epoch.h"
#include "pipeline/skipped.h"
#include "pipeline/trim.h"
#include "util/clock.h"
#include "util/pool.h"

/*
 * Records in one turn of the loop, without parts of arguments. The some 170 events that they make for a subscriber fit
 * in its socket and in its own turn, which is the next; with more, the queue of one that reads at once would fill while
 * a backlog is drained.
 */
#define DRAIN_MAX 256
#define TURN_US 5000 /* of CPU time for one turn; the record that exceeds it is finished */
/* Others' turns before the next one, where more records wait: half as long as the last, or so long for each record, for
 * readers to read what was made of it. */
#define OTHERS_MIN_US 1000
#define OTHERS_RECORD_US 16
#define OTHERS_MAX_US 5000
#define AFTER_OTHERS INT64_MAX /* a priority: all others that are ready have a turn before */
#define DRAIN_PAUSE_US 5000    /* between two turns while records keep coming: the bound of their delay */
#define DRAIN_FIRST_US 300     /* after a wake-up, if the next record may not wake the consumer */
#define DRAIN_GROWTH 4	       /* of the pause, from turn to turn */
#define WAKES_MAX 8	       /* wake-ups during pauses, after long sleep */
#define WAKE_SLEEP_US 20000    /* of sleep, for one of them */
#define SETTLE_PAUSE_US 1000   /* for the producer of an incomplete record to run */
#define SETTLE_PAUSES 1000
#define RESYNC_PAUSE_US 500000 /* between two comparisons of the table with the kernel's, while loss continues */
#define RESYNC_DOUBLINGS_MAX 6 /* of that, while each finds something under way: up to half a minute */
#define DEDUP_US 1000000       /* after the previous source was drained last: then ours has no more duplicates */

struct consumer {
	sd_event *event;
	struct pipeline *pipeline;
	struct record_source *source;		/* NULL: not yet */
	bool is_previous;			/* the source is another daemon's */
	struct resync *resync;			/* NULL: not yet */
	struct checkpoint_counters *checkpoint; /* NULL: none */
	struct dedup *dedup;			/* NULL: nothing can be seen twice */
	uint64_t dedup_until_us, dedup_end;	/* and position in the ring */
	const struct consumer_ops *ops;
	void *userdata;
	sd_event_source *wakeup;
	sd_event_source *timer, *limit; /* of the next turn, and of what others may take before it */
	uint64_t turn_began_us;
	uint64_t turn_ends_us; /* not before */
	uint64_t turn_cpu_us;  /* CLOCK_THREAD_CPUTIME_ID when it began */
	unsigned taken;	       /* of DRAIN_MAX */
	bool cut;	       /* it ended before the ring was empty */
	uint64_t pause_us;     /* before the next turn; 0 while the consumer sleeps */
	uint64_t slept_us;     /* since when it sleeps */
	unsigned wakes;	       /* during pauses, that producers may spend */
	int64_t epoch;
	struct trim trim;
	struct skipped skipped;
	uint64_t lost; /* records and runs, at the last look: more make a resync necessary */
	bool resync_wanted;
	uint64_t resync_us;    /* when the last one began */
	unsigned resync_again; /* how many in a row wanted one more */
};

static void set_epoch(struct consumer *consumer, int64_t epoch)
{
	consumer->epoch = epoch;
	if (consumer->checkpoint)
		consumer->checkpoint->epoch = epoch;
	pipeline_set_epoch(consumer->pipeline, epoch);
}

/* The previous daemon's, unless the clock was set since: so a process has the start_time that it
 * had, to the nanosecond. */
static void take_epoch(struct consumer *consumer, int64_t epoch)
{
	if (epoch_is_same(epoch, consumer->epoch))
		set_epoch(consumer, epoch);
}

__attribute__((format(printf, 3, 4))) static void send_log(struct consumer *consumer, int level, const char *format,
							   ...)
{
	char message[256];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	consumer->ops->log(consumer->userdata, level, message);
}

/* Where other programs have the CPU, a turn may take long by the clock and have done little: then
 * it continues, or each turn would be one record, and the ring buffer would fill. False: its CPU time is used. */
static bool extend_turn(struct consumer *consumer)
{
	uint64_t now_us = clock_us(CLOCK_MONOTONIC), took_us;

	if (now_us <= consumer->turn_ends_us)
		return true;
	took_us = clock_us(CLOCK_THREAD_CPUTIME_ID) - consumer->turn_cpu_us;
	if (took_us >= TURN_US)
		return false;
	consumer->turn_ends_us = now_us + TURN_US - took_us;
	return true;
}

/* It makes no event. */
static bool is_part(const struct record_head *head)
{
	return head->kind == RECORD_ARGS || head->kind == RECORD_ENV;
}

static int on_record(void *userdata, const void *data, size_t size)
{
	struct consumer *consumer = userdata;
	int r = pipeline_record(consumer->pipeline, data, size);

	if (r == -EBADMSG) {
		send_log(consumer, LOG_WARNING,
			 "a record of %zu bytes from the kernel could not be decoded; it is counted and skipped", size);
		r = 0;
	}
	if (r < 0)
		return r;
	consumer->taken += size < sizeof(struct record_head) || !is_part(data);
	consumer->cut = consumer->taken == DRAIN_MAX || !extend_turn(consumer);
	return consumer->cut;
}

/* Loss. */

static void save_skipped(struct consumer *consumer)
{
	if (!consumer->checkpoint)
		return;
	checkpoint_loss(consumer->checkpoint)->skipped_events = consumer->skipped.reported.events;
	checkpoint_loss(consumer->checkpoint)->skipped_forks = consumer->skipped.reported.forks;
}

static void set_skipped(struct consumer *consumer, struct loss_count reported)
{
	skipped_reset(&consumer->skipped, reported);
	save_skipped(consumer);
}

static uint64_t total_lost(struct loss_count lost, struct loss_count skipped)
{
	return lost.events + lost.forks + skipped.events + skipped.forks;
}

/* After more loss the table may be wrong. */
static void plan_resync(struct consumer *consumer, struct loss_count lost)
{
	uint64_t total = total_lost(lost, consumer->skipped.reported);

	if (total != consumer->lost) {
		consumer->resync_wanted = true;
		consumer->resync_again = 0;
	}
	consumer->lost = total;
}

static void report_skipped(struct consumer *consumer, bool idle)
{
	uint64_t boot_time = clock_ns(CLOCK_BOOTTIME), now_us = clock_us(CLOCK_MONOTONIC), events;

	if (!skipped_is_look_due(&consumer->skipped, now_us, idle))
		return;
	events = skipped_look(&consumer->skipped, record_source_skipped(consumer->source), now_us);
	save_skipped(consumer);
	if (events > 0)
		pipeline_skipped(consumer->pipeline, events, boot_time);
}

/*
 * A record has the counters of what was lost before it. The counters are read first, and then the ring is looked
 * at: if it is empty, nothing that was recorded before the loss waits. idle: nothing was drained.
 */
static void report_loss(struct consumer *consumer, bool idle)
{
	uint64_t boot_time = clock_ns(CLOCK_BOOTTIME);
	struct loss_count lost;

	report_skipped(consumer, idle);
	lost = record_source_lost(consumer->source);
	plan_resync(consumer, lost);
	if (ringbuf_used(consumer->source->ring) == 0)
		pipeline_loss(consumer->pipeline, (uint32_t)lost.events, (uint32_t)lost.forks, 0, boot_time);
}

/* Of the previous source, when it has been drained. stuck: records that were left out. */
static void report_last_loss(struct consumer *consumer, unsigned stuck)
{
	struct loss_count lost = record_source_lost(consumer->source);
	uint64_t skipped = skipped_last_look(&consumer->skipped, record_source_skipped(consumer->source));

	save_skipped(consumer);
	pipeline_loss(consumer->pipeline, (uint32_t)lost.events, (uint32_t)lost.forks, skipped + stuck,
		      clock_ns(CLOCK_BOOTTIME));
	plan_resync(consumer, lost);
	if (stuck > 0)
		consumer->resync_wanted = true;
	pipeline_flush(consumer->pipeline);
}

/* Resync. */

/* After one that found something under way comes another, and less and less often if that continues. */
static void plan_next(struct consumer *consumer, int outcome)
{
	if (outcome != RESYNC_AGAIN) {
		consumer->resync_again = 0;
		return;
	}
	consumer->resync_wanted = true;
	if (consumer->resync_again < RESYNC_DOUBLINGS_MAX)
		consumer->resync_again++;
}

/* After a loss the table is compared with the kernel's list, between the drains. True: there is more to do soon. */
static bool continue_resync(struct consumer *consumer, bool caught_up)
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
	} else if (caught_up && now_us - consumer->resync_us >= (uint64_t)RESYNC_PAUSE_US << consumer->resync_again) {
		consumer->resync_wanted = false;
		consumer->resync_us = now_us;
		r = resync_begin(consumer->resync);
	}
	if (r < 0)
		send_log(consumer, LOG_WARNING, "comparing the process table with the kernel's: %s", strerror(-r));
	return resync_is_under_way(consumer->resync) || consumer->resync_again == 0;
}

/* Turns. */

static void end_dedup(struct consumer *consumer)
{
	if (!consumer->dedup || clock_us(CLOCK_MONOTONIC) <= consumer->dedup_until_us ||
	    ringbuf_consumed(consumer->source->ring) < consumer->dedup_end)
		return;
	pipeline_set_dedup(consumer->pipeline, NULL);
	consumer->dedup = dedup_free(consumer->dedup);
}

int consumer_drain(struct consumer *consumer)
{
	uint64_t boot_time;
	int n;

	if (!consumer->source)
		return 0;
	if (!epoch_is_current(consumer->epoch))
		set_epoch(consumer, epoch_read());
	boot_time = clock_ns(CLOCK_BOOTTIME);
	consumer->cut = false;
	consumer->taken = 0;
	consumer->turn_cpu_us = clock_us(CLOCK_THREAD_CPUTIME_ID);
	consumer->turn_ends_us = clock_us(CLOCK_MONOTONIC) + TURN_US;
	n = ringbuf_consume(consumer->source->ring, UINT_MAX, on_record, consumer);
	if (n < 0)
		return n;
	if (!consumer->is_previous)
		report_loss(consumer, n == 0);
	if (ringbuf_used(consumer->source->ring) == 0)
		pipeline_expire_searches(consumer->pipeline, boot_time);
	end_dedup(consumer);
	pipeline_set_behind(consumer->pipeline, consumer->cut);
	pipeline_flush(consumer->pipeline);
	return n;
}

int consumer_settle(struct consumer *consumer)
{
	struct ringbuf *ring = consumer->source->ring;
	uint64_t end = ringbuf_produced(ring);
	unsigned pauses = 0, stuck = 0;

	while (ringbuf_consumed(ring) < end) {
		int n = consumer_drain(consumer);

		if (n < 0)
			return n;
		if (n > 0 || ringbuf_consumed(ring) >= end)
			continue;
		usleep(SETTLE_PAUSE_US);
		if (++pauses < SETTLE_PAUSES)
			continue;
		if (!consumer->is_previous)
			return 0;
		pauses = 0;
		stuck += ringbuf_skip(ring);
	}
	if (consumer->is_previous)
		report_last_loss(consumer, stuck);
	return 0;
}

/* A comparison that need not wait for records. */
static bool has_more(const struct consumer *consumer)
{
	return consumer->resync && resync_is_under_way(consumer->resync) && !resync_waits(consumer->resync);
}

/* How long others may have the loop before the next turn: some of them may always be ready. */
static uint64_t others_us(const struct consumer *consumer)
{
	uint64_t half_us = (clock_us(CLOCK_MONOTONIC) - consumer->turn_began_us) / 2;
	uint64_t least_us = OTHERS_MIN_US + (uint64_t)consumer->taken * OTHERS_RECORD_US;

	if (half_us < least_us)
		half_us = least_us;
	return half_us < OTHERS_MAX_US ? half_us : OTHERS_MAX_US;
}

static int set_timer(sd_event_source *timer, uint64_t us)
{
	int r = sd_event_source_set_time_relative(timer, us);

	return r < 0 ? r : sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

/* more: more records wait. Then it is the others' turn, until none of them is ready or their time is over. */
static int next_turn(struct consumer *consumer, bool more)
{
	int r = sd_event_source_set_priority(consumer->timer, more ? AFTER_OTHERS : SD_EVENT_PRIORITY_IMPORTANT);

	if (r < 0)
		return r;
	r = sd_event_source_set_time_accuracy(consumer->timer, consumer->pause_us / 5);
	if (r < 0)
		return r;
	r = set_timer(consumer->timer, more ? 0 : consumer->pause_us);
	if (r < 0)
		return r;
	return more ? set_timer(consumer->limit, others_us(consumer))
		    : sd_event_source_set_enabled(consumer->limit, SD_EVENT_OFF);
}

/* No turn until the kernel wakes the consumer, or a search along $PATH ends by itself. */
static int stop_timers(struct consumer *consumer)
{
	uint64_t deadline = pipeline_search_deadline(consumer->pipeline), now = clock_ns(CLOCK_BOOTTIME);
	int r = sd_event_source_set_enabled(consumer->limit, SD_EVENT_OFF);

	if (r < 0 || deadline == 0)
		return r < 0 ? r : sd_event_source_set_enabled(consumer->timer, SD_EVENT_OFF);
	r = sd_event_source_set_time_accuracy(consumer->timer, DRAIN_PAUSE_US);
	return r < 0 ? r : set_timer(consumer->timer, deadline > now ? (deadline - now) / 1000 + 1 : 0);
}

/* The more it sleeps, the fewer programs there are that a wake-up slows. */
static void end_sleep(struct consumer *consumer, uint64_t now_us)
{
	uint64_t wakes = consumer->wakes + (now_us - consumer->slept_us) / WAKE_SLEEP_US;

	consumer->wakes = wakes < WAKES_MAX ? (unsigned)wakes : WAKES_MAX;
}

/*
 * A pause, which ends with the next event while wake-ups are left: each costs the traced program ten times what the
 * record does, so they are for a machine on which little happens. Then a pause is as long as it may be at once. False:
 * records arrived in the meantime.
 */
static bool begin_pause(struct consumer *consumer)
{
	if (consumer->wakes > 0) {
		consumer->pause_us = DRAIN_PAUSE_US;
		if (record_source_sleep(consumer->source))
			return true;
		consumer->wakes--;
		return false;
	}
	consumer->pause_us = consumer->pause_us == 0 ? DRAIN_FIRST_US : consumer->pause_us * DRAIN_GROWTH;
	if (consumer->pause_us > DRAIN_PAUSE_US)
		consumer->pause_us = DRAIN_PAUSE_US;
	return true;
}

int consumer_turn(struct consumer *consumer)
{
	bool busy, more;
	int n;

	consumer->turn_began_us = clock_us(CLOCK_MONOTONIC);
	if (consumer->pause_us == 0)
		end_sleep(consumer, consumer->turn_began_us);
	n = consumer_drain(consumer);
	if (n < 0)
		return consumer->ops->failed(consumer->userdata, n);
	consumer->ops->turned(consumer->userdata);
	busy = continue_resync(consumer, !consumer->cut) || skipped_is_pending(&consumer->skipped);
	if (!consumer->cut)
		trim_memory(&consumer->trim, proctable_count(pipeline_table(consumer->pipeline)), line_memory());
	/* Only after a whole pause without a record: so there is at most one wake-up in that time. */
	if (n == 0 && !busy && consumer->pause_us == DRAIN_PAUSE_US && record_source_sleep(consumer->source)) {
		consumer->pause_us = 0;
		consumer->slept_us = consumer->turn_began_us;
		pool_trim(POOL_FREE_IDLE_MAX);
		return stop_timers(consumer);
	}
	if (n > 0)
		record_source_awake(consumer->source);
	more = consumer->cut || has_more(consumer);
	return next_turn(consumer, !begin_pause(consumer) || more);
}

static int on_ring(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct consumer *consumer = userdata;

	if (consumer->pause_us > 0 && consumer->wakes > 0)
		consumer->wakes--;
	return consumer_turn(consumer);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	return consumer_turn(userdata);
}

/* Before everything else: what waits in the ring cannot wait elsewhere. */
static int add_timer(struct consumer *consumer, sd_event_source **ret, uint64_t us)
{
	int r = sd_event_add_time_relative(consumer->event, ret, CLOCK_MONOTONIC, us, 1000, on_timer, consumer);

	return r < 0 ? r : sd_event_source_set_priority(*ret, SD_EVENT_PRIORITY_IMPORTANT);
}

int consumer_watch(struct consumer *consumer)
{
	int r = sd_event_add_io(consumer->event, &consumer->wakeup, record_source_fd(consumer->source, ROLE_RING),
				EPOLLIN | EPOLLET, on_ring, consumer);

	if (r < 0)
		return r;
	r = sd_event_source_set_priority(consumer->wakeup, SD_EVENT_PRIORITY_IMPORTANT);
	if (r < 0)
		return r;
	/* Due at once: it drains what came while the outputs joined, and lets the consumer sleep if
	 * there is nothing. */
	r = add_timer(consumer, &consumer->timer, 0);
	return r < 0 ? r : add_timer(consumer, &consumer->limit, OTHERS_MAX_US);
}

/* Sources. */

int consumer_set_previous(struct consumer *consumer, struct record_source *previous)
{
	int r = dedup_new(&consumer->dedup);

	if (r < 0)
		return r;
	pipeline_set_dedup(consumer->pipeline, consumer->dedup);
	consumer->dedup_until_us = UINT64_MAX;
	consumer->source = previous;
	consumer->is_previous = true;
	return 0;
}

int consumer_set_source(struct consumer *consumer, struct record_source *source)
{
	/* First the counters: what was lost until now, the previous source has, or has counted too. */
	struct loss_count lost = record_source_lost(source), skipped = record_source_skipped(source);
	int r = consumer->is_previous ? consumer_settle(consumer) : 0;

	if (r < 0)
		return r;
	consumer->source = source;
	consumer->is_previous = false;
	/* Until our source is in the store, a daemon after a crash drains the previous one again,
	 * from the counters that it had. */
	if (consumer->checkpoint)
		consumer->checkpoint->reads = 1 - consumer->checkpoint->probes;
	set_skipped(consumer, skipped);
	consumer->lost = total_lost(lost, skipped);
	pipeline_set_lost(consumer->pipeline, (uint32_t)lost.events, (uint32_t)lost.forks);
	if (consumer->dedup) {
		dedup_begin_matching(consumer->dedup);
		consumer->dedup_until_us = clock_us(CLOCK_MONOTONIC) + DEDUP_US;
		consumer->dedup_end = ringbuf_produced(source->ring);
	}
	return 0;
}

void consumer_resume(struct consumer *consumer, const struct checkpoint_counters *left)
{
	const struct checkpoint_loss *loss = &left->losses[left->probes];
	struct loss_count lost = { loss->lost_events, loss->lost_forks };
	struct loss_count skipped = { loss->skipped_events, loss->skipped_forks };

	take_epoch(consumer, left->epoch);
	set_skipped(consumer, skipped);
	consumer->lost = total_lost(lost, skipped);
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
	consumer->skipped.forks = forks;
	consumer->checkpoint = checkpoint;
	consumer->ops = ops;
	consumer->userdata = userdata;
	set_epoch(consumer, epoch_read());
	*ret = consumer;
	return 0;
}

struct consumer *consumer_free(struct consumer *consumer)
{
	if (!consumer)
		return NULL;
	sd_event_source_disable_unref(consumer->wakeup);
	sd_event_source_disable_unref(consumer->timer);
	sd_event_source_disable_unref(consumer->limit);
	dedup_free(consumer->dedup);
	free(consumer);
	return NULL;
}

int consumer_archive(struct consumer *consumer, struct archive *a)
{
	struct loss_count skipped = consumer->skipped.reported;
	int64_t epoch = consumer->epoch;

	ARCHIVE(a, epoch);
	ARCHIVE(a, skipped.events);
	ARCHIVE(a, skipped.forks);
	ARCHIVE(a, consumer->lost);
	archive_flag(a, &consumer->resync_wanted);
	if (!archive_is_reading(a) || archive_error(a) < 0)
		return archive_error(a);
	set_skipped(consumer, skipped);
	take_epoch(consumer, epoch);
	return 0;
}
