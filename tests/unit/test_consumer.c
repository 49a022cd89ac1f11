/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sources with a ring and counters of the test's own. */
#include "pipeline/consumer.h"

#include <sys/eventfd.h>

#include "fake_ring.h"
#include "fake_sink.h"
#include "tap.h"
#include "util/clock.h"

/* A source, and its producer. */
struct fake_source {
	struct fake_ring ring;
	int shared;
	struct record_source *source;
};

static struct fake_source previous, own;
static uint64_t started, lost;
static void (*spend_time)(void); /* for each event */
static struct consumer *consumer;

static void on_event(struct sink *sink, const struct event *event, struct encoder *encoder)
{
	started += event->type == EVENT_STARTED;
	lost += event->type == EVENT_LOST ? event->lost.count : 0;
	if (spend_time)
		spend_time();
}

/* The clocks stand still while records are counted: a slow machine ends a turn by its time. Put in by the linker
 * (--wrap). */
static bool stopped;
__typeof__(clock_gettime) __real_clock_gettime, __wrap_clock_gettime;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	*ts = (struct timespec){ .tv_sec = 1000 };
	return stopped ? 0 : __real_clock_gettime(clock, ts);
}

static bool is_behind;

static void on_flush(struct sink *sink, bool behind)
{
	is_behind = behind;
}

static void source_begin(struct fake_source *fake)
{
	fake_ring_begin(&fake->ring);
	fake->shared = fake_map((size_t)sysconf(_SC_PAGESIZE));
	CHECK_INT(record_source_new(&fake->source, fake->ring.fd, FAKE_RING_SIZE, fake->shared), 0);
}

static void source_end(struct fake_source *fake)
{
	fake->source = record_source_free(fake->source);
	close(fake->shared);
	fake_ring_end(&fake->ring);
}

static void begin(void)
{
	static const struct pipeline_config config = { .args_limit = 1 << 20, .table_memory = 1 << 20 };
	static const struct consumer_ops none;

	source_begin(&previous);
	source_begin(&own);
	fake_sink_ops.flush = on_flush;
	pipeline_begin(&config);
	pipeline_go_live(pipeline);
	CHECK_INT(consumer_new(&consumer, NULL, pipeline, false, NULL, &none, NULL), 0);
}
SETUP(begin)

static void end(void)
{
	consumer = consumer_free(consumer);
	pipeline = pipeline_free(pipeline);
	source_end(&own);
	source_end(&previous);
}
TEARDOWN(end)

static uint32_t *reserve_exec(struct fake_source *fake, unsigned tgid)
{
	make_exec(tgid, 1000, 2000, "x", 2, 1);
	return fake_ring_reserve(&fake->ring, &record, record.head.size);
}

static void send_exec(struct fake_source *fake, unsigned tgid)
{
	fake_ring_commit(reserve_exec(fake, tgid));
}

TEST(loss_is_reported_after_all_that_was_recorded_before)
{
	uint32_t *head;

	CHECK_INT(consumer_set_source(consumer, own.source), 0);
	head = reserve_exec(&own, 10);
	own.source->shared->lost_events = 3;
	CHECK_INT(consumer_drain(consumer), 0);
	CHECK_INT(lost, 0);
	fake_ring_commit(head);
	/* One; on a slow machine it ends the turn, which then counts as a full one. */
	CHECK(consumer_drain(consumer) > 0);
	CHECK_INT(started, 1);
	CHECK_INT(lost, 3);
	CHECK_INT(consumer_drain(consumer), 0);
	CHECK_INT(lost, 3);
}

TEST(loss_before_the_source_was_set_is_not_reported)
{
	own.source->shared->lost_events = 7;
	CHECK_INT(consumer_set_source(consumer, own.source), 0);
	CHECK_INT(consumer_drain(consumer), 0);
	CHECK_INT(lost, 0);
	own.source->shared->lost_events++;
	CHECK_INT(consumer_drain(consumer), 0);
	CHECK_INT(lost, 1);
}

TEST(takeover_reports_each_record_of_both_sources_once)
{
	send_exec(&previous, 10);
	CHECK_INT(consumer_set_previous(consumer, previous.source), 0);
	CHECK_INT(consumer_settle(consumer), 0);
	CHECK_INT(started, 1);
	/* Both see one, then only the new programs see another. */
	send_exec(&previous, 11);
	previous.source->shared->lost_events = 2;
	send_exec(&own, 11);
	send_exec(&own, 12);
	CHECK_INT(consumer_set_source(consumer, own.source), 0);
	CHECK_INT(started, 2);
	CHECK_INT(lost, 2);
	CHECK_INT(ringbuf_used(previous.source->ring), 0);
	CHECK_INT(consumer_drain(consumer), 2);
	CHECK_INT(started, 3);
	CHECK_INT(lost, 2);
}

/* What follows it in the ring would be lost too. */
TEST(takeover_counts_an_incomplete_record_as_lost)
{
	reserve_exec(&previous, 10);
	send_exec(&previous, 11);
	CHECK_INT(consumer_set_previous(consumer, previous.source), 0);
	CHECK_INT(consumer_settle(consumer), 0);
	CHECK_INT(started, 1);
	CHECK_INT(lost, 1);
}

TEST(settling_leaves_an_incomplete_record_in_our_own_ring)
{
	send_exec(&own, 10);
	reserve_exec(&own, 11);
	CHECK_INT(consumer_set_source(consumer, own.source), 0);
	CHECK_INT(consumer_settle(consumer), 0);
	CHECK_INT(started, 1);
	CHECK_INT(lost, 0);
	CHECK(ringbuf_used(own.source->ring) > 0);
}

static void compute(void)
{
	uint64_t end = clock_us(CLOCK_THREAD_CPUTIME_ID) + 5500;

	while (clock_us(CLOCK_THREAD_CPUTIME_ID) < end)
		continue;
}

/* As if other programs had the CPU. */
static void lose_cpu(void)
{
	usleep(11000);
}

TEST(turn_ends_when_it_took_much_cpu_time)
{
	unsigned turns;

	CHECK_INT(consumer_set_source(consumer, own.source), 0);
	for (unsigned i = 0; i < 10; i++)
		send_exec(&own, 10 + i);
	spend_time = compute;
	consumer_drain(consumer);
	CHECK_INT(started, 1);
	spend_time = lose_cpu;
	for (turns = 0; started < 10; turns++)
		consumer_drain(consumer);
	/* Under valgrind the records alone take longer than a turn. */
	CHECK(turns < 5);
}

static unsigned others;

static int on_other(sd_event_source *source, void *userdata)
{
	uint64_t end = clock_us(CLOCK_THREAD_CPUTIME_ID) + 1000;

	others++;
	while (clock_us(CLOCK_THREAD_CPUTIME_ID) < end)
		continue;
	return 0;
}

static void on_turned(void *userdata)
{
}

static int on_failure(void *userdata, int error)
{
	CHECK_INT(error, 0);
	return error;
}

/* The fake kernel sends no wake-up, so the timer is what has to come before events that are always ready. */
TEST(record_waits_for_no_round_of_busy_others)
{
	enum { OTHERS = 100 };
	static const struct consumer_ops ops = { .turned = on_turned, .failed = on_failure };
	sd_event_source *sources[OTHERS];
	sd_event *event;

	CHECK(sd_event_new(&event) >= 0);
	consumer = consumer_free(consumer);
	CHECK_INT(consumer_new(&consumer, event, pipeline, false, NULL, &ops, NULL), 0);
	CHECK_INT(consumer_set_source(consumer, own.source), 0);
	/* A file in memory cannot be watched. */
	CHECK_INT(own.source->fds[0].role, ROLE_RING);
	own.source->fds[0].fd = eventfd(0, EFD_CLOEXEC);
	CHECK_INT(consumer_watch(consumer), 0);
	for (unsigned i = 0; i < OTHERS; i++) {
		CHECK(sd_event_add_defer(event, &sources[i], on_other, NULL) >= 0);
		CHECK(sd_event_source_set_enabled(sources[i], SD_EVENT_ON) >= 0);
	}
	for (unsigned pid = 10; pid < 15; pid++) {
		send_exec(&own, pid);
		/* A pause has 6 ms at most. */
		for (others = 0; started <= pid - 10;) {
			CHECK(sd_event_run(event, UINT64_MAX) >= 0);
			CHECK(others < OTHERS / 4);
		}
	}
	for (unsigned i = 0; i < OTHERS; i++)
		sd_event_source_unref(sources[i]);
	consumer = consumer_free(consumer);
	sd_event_unref(event);
}

static void send_part(struct fake_source *fake, unsigned tgid, size_t at)
{
	static const char text[2000];

	make_piece(tgid, 2000, at, text, sizeof(text));
	fake_ring_commit(fake_ring_reserve(&fake->ring, &record, record.head.size));
}

/* Parts of arguments make no event; with a turn for each 256 of them, events would wait for others' turns between. */
TEST(parts_of_arguments_do_not_end_a_turn)
{
	stopped = true;
	CHECK_INT(consumer_set_source(consumer, own.source), 0);
	for (unsigned i = 0; i < 400; i++)
		send_part(&own, 9, (size_t)i * 2000);
	send_exec(&own, 10);
	consumer_drain(consumer);
	CHECK_INT(started, 1);
}

TEST(turn_ends_after_256_records)
{
	stopped = true;
	CHECK_INT(consumer_set_source(consumer, own.source), 0);
	for (unsigned i = 0; i < 300; i++)
		send_exec(&own, 10 + i);
	consumer_drain(consumer);
	CHECK_INT(started, 256);
	CHECK(is_behind);
	consumer_drain(consumer);
	CHECK_INT(started, 300);
	CHECK(!is_behind);
}

TEST(consumer_sleeps_only_when_its_ring_is_empty)
{
	CHECK(record_source_sleep(own.source));
	CHECK_INT(own.source->shared->wake_at, 1);
	send_exec(&own, 10);
	CHECK(!record_source_sleep(own.source));
	CHECK_INT(own.source->shared->wake_at, FAKE_RING_SIZE / 4);
}

TAP_MAIN
