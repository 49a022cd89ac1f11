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
#include <unistd.h>

#include "pool.h"

/* Records in one turn of the loop. What a subscriber is given of them, some 170 events, fits in its socket, and in its own
 * turn, which is the next; were it more, the queue of one who reads at once would fill while a backlog is read. */
#define DRAIN_MOST 256
#define TURN_US 10000	    /* in one turn; a record that is under way then is finished */
#define DRAIN_PAUSE_US 5000 /* between two turns while records keep coming: the bound of their delay */
#define DRAIN_FIRST_US 300  /* after a wake-up: what follows a fork, its exec above all, is there soon */
#define DRAIN_GROWTH 4	    /* of the pause, from turn to turn */
#define SKIPPED_PAUSE_US \
	100000 /* between two looks at what probes skipped: longer than a program takes to make up for it */
#define SETTLE_PAUSE_US 1000 /* until a record may be committed whose producer does not run */
#define SETTLE_PAUSES 1000
#define CENSUS_PAUSE_US 500000 /* between two comparisons of the table with the kernel's, while loss goes on */
#define CENSUS_DOUBLINGS_MAX \
	6		      /* of that, while the comparison finds something that is under way: up to half a minute */
#define TWINS_US 1000000      /* after the old ring was read for the last time: the last twin is out of ours */
#define TRIM_LINES (4 << 20)  /* bytes of lines that waited, and a quarter: alike */
#define TRIM_PROCESSES 64     /* and a quarter: gone from the table until their memory is given back */
#define EPOCH_STEP_NS 1000000 /* CLOCK_REALTIME moved against CLOCK_BOOTTIME: it was set, not slewed */

struct reader {
	sd_event *event;
	struct pipeline *pipeline;
	struct probe *probe;		    /* NULL: not yet */
	struct census *census;		    /* NULL: not yet */
	struct ledger_counters *ledger;	    /* NULL: not noted */
	struct twins *twins;		    /* NULL: there is nothing to be seen twice */
	uint64_t twins_until_us, twins_end; /* and position in the ring */
	bool forks;
	const struct reader_ops *ops;
	void *userdata;
	sd_event_source *timer;
	uint64_t turn_ends_us; /* 0: whenever the ring is empty */
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
	bool census_wanted;
	uint64_t census_us; /* when the last one began */
	unsigned put_off;   /* how many in a row wanted one more */
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
		r = 0;
	}
	if (r == 0 && reader->turn_ends_us && clock_ns(CLOCK_MONOTONIC) / 1000 > reader->turn_ends_us)
		reader->cut = true;
	return r < 0 ? r : reader->cut;
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

/* What was skipped and is not told yet, where each run is an event. */
static uint64_t newly_skipped(struct reader *reader, uint64_t events, uint64_t forks)
{
	uint64_t count;

	if (events < reader->skipped_events)
		events = reader->skipped_events;
	if (forks < reader->skipped_forks)
		forks = reader->skipped_forks;
	count = events - reader->skipped_events + (reader->forks ? forks - reader->skipped_forks : 0);
	set_skipped(reader, events, forks);
	return count;
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* One that has to be confirmed. */
static bool is_skip_pending(const struct reader *reader)
{
	return reader->seen.events > reader->skipped_events || reader->seen.forks > reader->skipped_forks;
}

/*
 * The kernel counts a run that it leaves out before a second program makes up for it (bpf/preempted.bpf.h): so only what was there at one look
 * and is still there at the next one is lost. idle: nothing was drained, and the reader may sleep soon.
 */
static uint64_t look_at_skipped(struct reader *reader, uint64_t now_us, bool idle)
{
	uint64_t events, forks, count = 0;
	bool is_soon = reader->seen.us != 0 && now_us - reader->seen.us < SKIPPED_PAUSE_US;

	if (is_soon && (!idle || is_skip_pending(reader)))
		return 0;
	probe_skipped(reader->probe, &events, &forks);
	if (reader->seen.us != 0)
		count = newly_skipped(reader, lesser(events, reader->seen.events), lesser(forks, reader->seen.forks));
	reader->seen.events = events;
	reader->seen.forks = forks;
	reader->seen.us = now_us;
	return count;
}

/* The table may be wrong. */
static void note_loss(struct reader *reader, uint32_t lost_events, uint32_t lost_forks)
{
	uint64_t lost = (uint64_t)lost_events + lost_forks + reader->skipped_events + reader->skipped_forks;

	if (lost != reader->lost) {
		reader->census_wanted = true;
		reader->put_off = 0;
	}
	reader->lost = lost;
}

/* One is over. What it found under way is looked at again, and less and less often if it goes on. */
static void plan_next(struct reader *reader, int r)
{
	if (r != CENSUS_AGAIN) {
		reader->put_off = 0;
		return;
	}
	reader->census_wanted = true;
	if (reader->put_off < CENSUS_DOUBLINGS_MAX)
		reader->put_off++;
}

/* After a loss the table is compared with the kernel's list, between the drains. True: there is more to do soon. */
static bool mend(struct reader *reader, bool caught_up)
{
	uint64_t now_us = clock_ns(CLOCK_MONOTONIC) / 1000;
	int r = 0;

	if (!reader->census)
		return false;
	if (census_is_under_way(reader->census)) {
		r = census_step(reader->census, clock_ns(CLOCK_BOOTTIME));
		if (!census_is_under_way(reader->census))
			plan_next(reader, r);
	} else if (!reader->census_wanted) {
		return false;
	} else if (caught_up && now_us - reader->census_us >= (uint64_t)CENSUS_PAUSE_US << reader->put_off) {
		reader->census_wanted = false;
		reader->census_us = now_us;
		r = census_begin(reader->census);
	}
	if (r < 0)
		note(reader, LOG_WARNING, "comparing the process table with the kernel's: %s", strerror(-r));
	return census_is_under_way(reader->census) || reader->put_off == 0;
}

/* Turns. */

/* A record tells what was lost before it. The counters are read first, and the ring is looked at then: if it is empty, nothing that was
 * recorded before the loss waits. */
static void look_for_loss(struct reader *reader, bool idle)
{
	uint64_t boot_time = clock_ns(CLOCK_BOOTTIME);
	uint64_t skipped = look_at_skipped(reader, clock_ns(CLOCK_MONOTONIC) / 1000, idle);
	uint32_t lost_events, lost_forks;

	if (skipped > 0)
		pipeline_skipped(reader->pipeline, skipped, boot_time);
	probe_lost(reader->probe, &lost_events, &lost_forks);
	note_loss(reader, lost_events, lost_forks);
	if (probe_waiting(reader->probe) == 0)
		pipeline_loss(reader->pipeline, lost_events, lost_forks, 0, boot_time);
}

static void drop_twins(struct reader *reader)
{
	if (!reader->twins || clock_ns(CLOCK_MONOTONIC) / 1000 <= reader->twins_until_us ||
	    probe_consumed(reader->probe) < reader->twins_end)
		return;
	pipeline_set_twins(reader->pipeline, NULL, PIPELINE_SECOND);
	reader->twins = twins_free(reader->twins);
}

int reader_drain(struct reader *reader)
{
	int n;

	check_epoch(reader);
	reader->cut = false;
	reader->turn_ends_us = clock_ns(CLOCK_MONOTONIC) / 1000 + TURN_US;
	n = probe_drain(reader->probe, DRAIN_MOST, on_record, reader);
	reader->turn_ends_us = 0;
	if (n < 0)
		return n;
	if (reader->cut)
		n = DRAIN_MOST;
	look_for_loss(reader, n == 0);
	drop_twins(reader);
	pipeline_flush(reader->pipeline);
	return n;
}

int reader_settle(struct reader *reader)
{
	uint64_t end = probe_produced(reader->probe);
	int n;

	for (unsigned pauses = 0; probe_consumed(reader->probe) < end && pauses < SETTLE_PAUSES;) {
		n = reader_drain(reader);
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
static void give_back(struct reader *reader)
{
	size_t count = proctable_count(pipeline_table(reader->pipeline)), lines = line_memory();

	if (reader->processes_peak < count)
		reader->processes_peak = count;
	if (reader->lines_peak < lines)
		reader->lines_peak = lines;
	if (reader->processes_peak - count < TRIM_PROCESSES + reader->processes_peak / 4 &&
	    reader->lines_peak - lines < TRIM_LINES + reader->lines_peak / 4)
		return;
	pool_trim(0);
	malloc_trim(0);
	reader->processes_peak = count;
	reader->lines_peak = lines;
}

/* The comparison goes on at once. */
static bool has_more(const struct reader *reader)
{
	return reader->census && census_is_under_way(reader->census) && !census_waits(reader->census);
}

/* more: more waits. Then it is the others' turn, none of which may be left out: each that is ready has one before. */
static int next_turn(struct reader *reader, bool more)
{
	int r = sd_event_source_set_priority(reader->timer,
					     more ? SD_EVENT_PRIORITY_NORMAL : SD_EVENT_PRIORITY_IMPORTANT);

	if (r >= 0)
		r = sd_event_source_set_time_relative(reader->timer, more ? 0 : reader->pause_us);
	if (r >= 0)
		r = sd_event_source_set_time_accuracy(reader->timer, reader->pause_us / 5);
	return r < 0 ? r : sd_event_source_set_enabled(reader->timer, SD_EVENT_ONESHOT);
}

int reader_turn(struct reader *reader)
{
	int n = reader_drain(reader);
	bool busy;

	if (n < 0)
		return reader->ops->failed(reader->userdata, n);
	reader->ops->turned(reader->userdata);
	busy = mend(reader, n < DRAIN_MOST) || is_skip_pending(reader);
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
	return next_turn(reader, n == DRAIN_MOST || has_more(reader));
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
	r = sd_event_add_time_relative(reader->event, &reader->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, reader);
	return r < 0 ? r : sd_event_source_set_priority(reader->timer, SD_EVENT_PRIORITY_IMPORTANT);
}

/* Another daemon's probes. */

/* Up to where the ring is written now. A record whose producer does not come to an end within a second is left out: what is behind it would be
 * lost too. How many were. */
static int drain_predecessor(struct reader *reader, struct predecessor *predecessor)
{
	uint64_t end = predecessor_produced(predecessor);
	int stuck = 0;

	for (unsigned pauses = 0; predecessor_consumed(predecessor) < end;) {
		int n = predecessor_drain(predecessor, DRAIN_MOST, on_record, reader);

		if (n < 0)
			return n;
		pipeline_flush(reader->pipeline);
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

int reader_read_predecessor(struct reader *reader, struct predecessor *predecessor)
{
	uint64_t skipped_events, skipped_forks, skipped;
	uint32_t lost_events, lost_forks;
	int stuck, r = 0;

	if (!reader->twins)
		r = twins_new(&reader->twins);
	if (r < 0)
		return r;
	pipeline_set_twins(reader->pipeline, reader->twins, PIPELINE_FIRST);
	stuck = drain_predecessor(reader, predecessor);
	if (stuck < 0)
		return stuck;
	predecessor_lost(predecessor, &lost_events, &lost_forks);
	predecessor_skipped(predecessor, &skipped_events, &skipped_forks);
	skipped = newly_skipped(reader, skipped_events, skipped_forks) + (uint64_t)stuck;
	pipeline_loss(reader->pipeline, lost_events, lost_forks, skipped, clock_ns(CLOCK_BOOTTIME));
	note_loss(reader, lost_events, lost_forks);
	if (stuck > 0)
		reader->census_wanted = true;
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
	reader->seen.us = 0;
	reader->lost = (uint64_t)lost_events + lost_forks + skipped_events + skipped_forks;
	pipeline_set_lost(reader->pipeline, lost_events, lost_forks);
	if (reader->twins) {
		pipeline_set_twins(reader->pipeline, reader->twins, PIPELINE_SECOND);
		reader->twins_until_us = clock_ns(CLOCK_MONOTONIC) / 1000 + TWINS_US;
		reader->twins_end = probe_produced(probe);
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
