/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Taking over from another daemon's probes. Ours are attached while those still are, so nothing is missed; for a short time
 * both see everything. First the old ring is read to its end, then it is let go, then ours is read, and what the old one
 * had already is left out (twins.h). A call that began before our probes were attached and fails after the old
 * ring was read for the last time is seen by neither; ours count it, so it is told as lost.
 */
#include "reader.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <syslog.h>
#include <time.h>

#include "pool.h"

/* Records in one turn of the loop. What a subscriber is given of them, some 170 events, fits in its socket, and in its own
 * turn, which is the next; were it more, the queue of one who reads at once would fill while a backlog is read. */
#define DRAIN_MOST 256
#define DRAIN_PAUSE_US 5000	/* between two turns while records keep coming: the bound of their delay */
#define DRAIN_FIRST_US 300	/* after a wake-up: what follows a fork, its exec above all, is there soon */
#define DRAIN_GROWTH 4		/* of the pause, from turn to turn */
#define SKIPPED_PAUSE_US 100000 /* between two looks at what probes skipped, while records keep coming */
#define CENSUS_PAUSE_US 500000	/* between two comparisons of the table with the kernel's, while loss goes on */
#define TWINS_US 1000000	/* after the old ring was read for the last time: the last twin is out of ours */
#define TRIM_PROCESSES 64	/* and a quarter: gone from the table until their memory is given back */
#define EPOCH_STEP_NS 1000000	/* CLOCK_REALTIME moved against CLOCK_BOOTTIME: it was set, not slewed */

struct reader {
	sd_event *event;
	struct pipeline *pipeline;
	struct probe *probe;		/* NULL: not yet */
	struct census *census;		/* NULL: not yet */
	struct ledger_counters *ledger; /* NULL: not noted */
	struct twins *twins;		/* NULL: there is nothing to be seen twice */
	uint64_t twins_until_us;
	bool forks;
	const struct reader_ops *ops;
	void *userdata;
	sd_event_source *timer;
	uint64_t pause_us; /* before the next turn; 0 while the reader sleeps */
	int64_t epoch;
	size_t processes_peak; /* in the table since memory was given back last */
	/* Loss in the kernel, of the probes at hand: what was told, and since when the table may be wrong. */
	uint64_t skipped_events, skipped_forks, skipped_us;
	uint64_t lost; /* all together, at the last look */
	bool census_wanted;
	uint64_t census_us; /* when the last one began */
};

/* Clocks. */

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

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

static void set_epoch(struct reader *reader, int64_t epoch)
{
	reader->epoch = epoch;
	if (reader->ledger)
		reader->ledger->epoch = epoch;
	pipeline_set_epoch(reader->pipeline, epoch);
}

/* Unless the clock was set meanwhile, the last daemon's: so a process has the start_time that it had, to the nanosecond. */
static void take_epoch(struct reader *reader, int64_t epoch)
{
	if (llabs(epoch - reader->epoch) < EPOCH_STEP_NS)
		set_epoch(reader, epoch);
}

/* Both clocks are slewed alike, so their distance changes by steps only; less is noise of the reading. */
static void check_epoch(struct reader *reader)
{
	int64_t now = (int64_t)clock_ns(CLOCK_REALTIME) - (int64_t)clock_ns(CLOCK_BOOTTIME);

	if (llabs(now - reader->epoch) < EPOCH_STEP_NS)
		return;
	set_epoch(reader, read_epoch());
}

__attribute__((format(printf, 3, 4))) static void note(struct reader *reader, int level, const char *format, ...)
{
	char message[256];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	reader->ops->note(reader->userdata, level, message);
}

static int on_record(void *userdata, const void *data, size_t size)
{
	struct reader *reader = userdata;
	int r = pipeline_record(reader->pipeline, data, size);

	if (r == -EBADMSG) {
		note(reader, LOG_WARNING,
		     "a record of %zu bytes from the kernel makes no sense; it is counted and left out", size);
		return 0;
	}
	return r;
}

/* Loss. */

static void set_skipped(struct reader *reader, uint64_t events, uint64_t forks)
{
	reader->skipped_events = events;
	reader->skipped_forks = forks;
	if (!reader->ledger)
		return;
	ledger_loss(reader->ledger)->skipped_events = events;
	ledger_loss(reader->ledger)->skipped_forks = forks;
}

/* What was skipped since the last look, where each run is an event. One that was seen then may have been made up for since: it
 * was told, and the next one is not. */
static uint64_t newly_skipped(struct reader *reader, uint64_t events, uint64_t forks)
{
	uint64_t count = 0;

	if (events < reader->skipped_events)
		events = reader->skipped_events;
	if (forks < reader->skipped_forks)
		forks = reader->skipped_forks;
	count = events - reader->skipped_events + (reader->forks ? forks - reader->skipped_forks : 0);
	set_skipped(reader, events, forks);
	return count;
}

/* The counters as they are now, at the end of a ring. */
static void tell_loss(struct reader *reader, uint32_t lost_events, uint32_t lost_forks, uint64_t skipped)
{
	uint64_t lost = (uint64_t)lost_events + lost_forks + reader->skipped_events + reader->skipped_forks;

	pipeline_loss(reader->pipeline, lost_events, lost_forks, skipped, clock_ns(CLOCK_BOOTTIME));
	if (lost != reader->lost)
		reader->census_wanted = true;
	reader->lost = lost;
}

/* After a loss the table is compared with the kernel's list, between the drains. True: there is more to do. */
static bool mend(struct reader *reader, bool ring_empty)
{
	uint64_t now_us = clock_ns(CLOCK_MONOTONIC) / 1000;
	int r = 0;

	if (!reader->census)
		return false;
	if (census_is_under_way(reader->census))
		r = census_step(reader->census, ring_empty, clock_ns(CLOCK_BOOTTIME));
	else if (!reader->census_wanted)
		return false;
	else if (ring_empty && now_us - reader->census_us >= CENSUS_PAUSE_US) {
		reader->census_wanted = false;
		reader->census_us = now_us;
		r = census_begin(reader->census);
	}
	if (r < 0)
		note(reader, LOG_WARNING, "comparing the process table with the kernel's: %s", strerror(-r));
	return true;
}

void reader_want_census(struct reader *reader)
{
	reader->census_wanted = true;
}

/* Turns. */

int reader_drain(struct reader *reader)
{
	uint64_t now_us = clock_ns(CLOCK_MONOTONIC) / 1000, skipped = 0, skipped_events, skipped_forks;
	uint32_t lost_events, lost_forks;
	int n;

	check_epoch(reader);
	n = probe_drain(reader->probe, DRAIN_MOST, on_record, reader);
	if (n < 0)
		return n;
	if (n < DRAIN_MOST) {
		/* Empty: a loss that no record behind it tells of. */
		if (n == 0 || now_us - reader->skipped_us >= SKIPPED_PAUSE_US) {
			probe_skipped(reader->probe, &skipped_events, &skipped_forks);
			skipped = newly_skipped(reader, skipped_events, skipped_forks);
			reader->skipped_us = now_us;
		}
		probe_lost(reader->probe, &lost_events, &lost_forks);
		tell_loss(reader, lost_events, lost_forks, skipped);
		if (reader->twins && now_us > reader->twins_until_us) {
			pipeline_set_twins(reader->pipeline, NULL, PIPELINE_SECOND);
			reader->twins = twins_free(reader->twins);
		}
	}
	pipeline_flush(reader->pipeline);
	return n;
}

/*
 * Gives memory back to the kernel once many processes are gone. free(3) alone gives back only what is at the heap's very
 * end, and something that lives on is always there. It takes up to some milliseconds, so it is done when the ring is empty,
 * and a share of the processes has to be gone: a few times from a great many down to few.
 */
static void give_back(struct reader *reader)
{
	size_t count = proctable_count(pipeline_table(reader->pipeline));

	if (reader->processes_peak < count)
		reader->processes_peak = count;
	if (reader->processes_peak - count < TRIM_PROCESSES + reader->processes_peak / 4)
		return;
	pool_trim(0);
	malloc_trim(0);
	reader->processes_peak = count;
}

int reader_turn(struct reader *reader)
{
	int n = reader_drain(reader), r;
	bool busy;

	if (n < 0)
		return reader->ops->failed(reader->userdata, n);
	reader->ops->turned(reader->userdata);
	busy = mend(reader, n < DRAIN_MOST);
	if (n < DRAIN_MOST)
		give_back(reader);
	/* Only after a whole pause without a record: so nobody pays for more than one wake-up in that time. */
	if (n == 0 && !busy && reader->pause_us == DRAIN_PAUSE_US && probe_sleep(reader->probe)) {
		reader->pause_us = 0;
		pool_trim(POOL_KEPT_IDLE);
		return sd_event_source_set_enabled(reader->timer, SD_EVENT_OFF);
	}
	if (n > 0)
		probe_awake(reader->probe);
	reader->pause_us = reader->pause_us == 0 ? DRAIN_FIRST_US : reader->pause_us * DRAIN_GROWTH;
	if (reader->pause_us > DRAIN_PAUSE_US)
		reader->pause_us = DRAIN_PAUSE_US;
	r = sd_event_source_set_time_relative(
		reader->timer,
		n == DRAIN_MOST || (reader->census && census_is_under_way(reader->census)) ? 0 : reader->pause_us);
	if (r >= 0)
		r = sd_event_source_set_time_accuracy(reader->timer, reader->pause_us / 5);
	return r < 0 ? r : sd_event_source_set_enabled(reader->timer, SD_EVENT_ONESHOT);
}

static int on_ring(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	(void)source;
	(void)fd;
	(void)revents;
	return reader_turn(userdata);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	return reader_turn(userdata);
}

int reader_watch(struct reader *reader)
{
	sd_event_source *source = NULL;
	int r = sd_event_add_io(reader->event, &source, probe_fd(reader->probe), EPOLLIN | EPOLLET, on_ring, reader);

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
	return sd_event_add_time_relative(reader->event, &reader->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, reader);
}

/* Another daemon's probes. */

int reader_read_predecessor(struct reader *reader, struct predecessor *predecessor)
{
	uint64_t skipped_events, skipped_forks;
	uint32_t lost_events, lost_forks;
	int n = DRAIN_MOST, r = 0;

	if (!reader->twins)
		r = twins_new(&reader->twins);
	if (r < 0)
		return r;
	pipeline_set_twins(reader->pipeline, reader->twins, PIPELINE_FIRST);
	while (n == DRAIN_MOST) {
		n = predecessor_drain(predecessor, DRAIN_MOST, on_record, reader);
		if (n < 0)
			return n;
		pipeline_flush(reader->pipeline);
	}
	predecessor_lost(predecessor, &lost_events, &lost_forks);
	predecessor_skipped(predecessor, &skipped_events, &skipped_forks);
	tell_loss(reader, lost_events, lost_forks, newly_skipped(reader, skipped_events, skipped_forks));
	pipeline_flush(reader->pipeline);
	return 0;
}

int reader_set_probe(struct reader *reader, struct probe *probe, struct predecessor *predecessor)
{
	uint64_t skipped_events, skipped_forks;
	uint32_t lost_events, lost_forks;
	int r = 0;

	/* First the counters: what was lost until now, the predecessor's probes have, or have lost and counted too. */
	probe_lost(probe, &lost_events, &lost_forks);
	probe_skipped(probe, &skipped_events, &skipped_forks);
	if (predecessor)
		r = reader_read_predecessor(reader, predecessor);
	if (r < 0)
		return r;
	reader->probe = probe;
	/* Whoever comes after a crash reads the predecessor's ring again until ours is kept, by the counters that it had. */
	if (reader->ledger)
		reader->ledger->reads = 1 - reader->ledger->probes;
	set_skipped(reader, skipped_events, skipped_forks);
	reader->lost = (uint64_t)lost_events + lost_forks + skipped_events + skipped_forks;
	pipeline_set_lost(reader->pipeline, lost_events, lost_forks);
	if (reader->twins) {
		pipeline_set_twins(reader->pipeline, reader->twins, PIPELINE_SECOND);
		reader->twins_until_us = clock_ns(CLOCK_MONOTONIC) / 1000 + TWINS_US;
	}
	return 0;
}

void reader_resume(struct reader *reader, const struct ledger_counters *left)
{
	const struct ledger_loss *loss = &left->losses[left->probes];

	take_epoch(reader, left->epoch);
	set_skipped(reader, loss->skipped_events, loss->skipped_forks);
	reader->lost = (uint64_t)loss->lost_events + loss->lost_forks + loss->skipped_events + loss->skipped_forks;
}

void reader_set_census(struct reader *reader, struct census *census)
{
	reader->census = census;
}

/* Start and end. */

int reader_new(struct reader **ret, sd_event *event, struct pipeline *pipeline, bool forks,
	       struct ledger_counters *ledger, const struct reader_ops *ops, void *userdata)
{
	struct reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return -ENOMEM;
	reader->event = event;
	reader->pipeline = pipeline;
	reader->forks = forks;
	reader->ledger = ledger;
	reader->ops = ops;
	reader->userdata = userdata;
	set_epoch(reader, read_epoch());
	*ret = reader;
	return 0;
}

struct reader *reader_free(struct reader *reader)
{
	if (!reader)
		return NULL;
	sd_event_source_disable_unref(reader->timer);
	twins_free(reader->twins);
	free(reader);
	return NULL;
}

int reader_archive(struct reader *reader, struct archive *a)
{
	int64_t epoch = reader->epoch;

	ARCHIVE(a, epoch);
	ARCHIVE(a, reader->skipped_events);
	ARCHIVE(a, reader->skipped_forks);
	ARCHIVE(a, reader->lost);
	set_skipped(reader, reader->skipped_events, reader->skipped_forks);
	archive_flag(a, &reader->census_wanted);
	if (archive_is_reading(a) && archive_error(a) == 0)
		take_epoch(reader, epoch);
	return archive_error(a);
}
