/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel's counters say in, what is told as lost out. The probe is a pair of counters here, put in by the linker (--wrap). */
#include "pipeline/consumer.h"

#include "tap.h"

#include <time.h>

static struct {
	uint64_t skipped_events, skipped_forks;
	uint64_t waiting; /* bytes in the ring */
	uint32_t lost_events;
	time_t seconds, cpu_seconds;
	unsigned records;  /* that are drained in one turn, each of which takes a second */
	bool is_cpu_taken; /* by other programs */
} kernel;

__typeof__(clock_gettime) __wrap_clock_gettime;
__typeof__(probe_produced) __wrap_probe_produced;
__typeof__(probe_consumed) __wrap_probe_consumed;
__typeof__(probe_waiting) __wrap_probe_waiting;
__typeof__(probe_drain) __wrap_probe_drain;
__typeof__(probe_lost) __wrap_probe_lost;
__typeof__(probe_skipped) __wrap_probe_skipped;

int __wrap_probe_drain(struct probe *probe, unsigned most, probe_on_record on_record, void *userdata)
{
	unsigned n = 0;
	int r = 0;

	for (; n < kernel.records && n < most && r == 0; n++) {
		kernel.seconds++;
		kernel.cpu_seconds += !kernel.is_cpu_taken;
		r = on_record(userdata, "", 0);
	}
	return (int)n;
}

void __wrap_probe_lost(const struct probe *probe, uint32_t *ret_events, uint32_t *ret_forks)
{
	*ret_events = kernel.lost_events;
	*ret_forks = 0;
}

uint64_t __wrap_probe_produced(const struct probe *probe)
{
	return kernel.waiting;
}

uint64_t __wrap_probe_consumed(const struct probe *probe)
{
	return 0;
}

uint64_t __wrap_probe_waiting(const struct probe *probe)
{
	return kernel.waiting;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	*ret = (struct timespec){ .tv_sec = clock == CLOCK_THREAD_CPUTIME_ID ? kernel.cpu_seconds : kernel.seconds };
	return 0;
}

void __wrap_probe_skipped(const struct probe *probe, uint64_t *ret_events, uint64_t *ret_forks)
{
	*ret_events = kernel.skipped_events;
	*ret_forks = kernel.skipped_forks;
}

static uint64_t told;

static void on_event(struct sink *sink, const struct event *event, struct encoder *encoder)
{
	CHECK_INT(event->type, EVENT_LOST);
	told += event->lost.count;
}

static unsigned noted;

static void on_note(void *userdata, int level, const char *message)
{
	noted++;
}

static const struct sink_ops ops = { .event = on_event };
static struct sink sink = { .ops = &ops };
static struct pipeline *pipeline;
static struct consumer *consumer;

static void begin(bool forks)
{
	static const struct pipeline_config config = { .args_limit = 1 << 20, .table_memory = 1 << 20 };
	static const struct consumer_ops notes = { .note = on_note };

	memset(&kernel, 0, sizeof(kernel));
	kernel.seconds = 1000;
	told = noted = 0;
	CHECK_INT(pipeline_new(&pipeline, &config), 0);
	pipeline_add_sink(pipeline, &sink);
	pipeline_go_live(pipeline);
	CHECK_INT(consumer_new(&consumer, NULL, pipeline, forks, NULL, &notes, NULL), 0);
	CHECK_INT(consumer_set_probe(consumer, NULL, NULL), 0);
}

static void end(void)
{
	consumer = consumer_free(consumer);
	pipeline = pipeline_free(pipeline);
}

/* One look at the kernel's counters a while later; what has been told altogether. */
static uint64_t look(uint64_t events, uint64_t forks)
{
	kernel.skipped_events = events;
	kernel.skipped_forks = forks;
	kernel.seconds++;
	CHECK_INT(consumer_drain(consumer), 0);
	return told;
}

/* They have stood still. */
static uint64_t after(uint64_t events, uint64_t forks)
{
	look(events, forks);
	return look(events, forks);
}

TEST(what_was_skipped_is_told_once)
{
	begin(false);
	CHECK_INT(after(0, 0), 0);
	CHECK_INT(after(3, 0), 3);
	CHECK_INT(after(3, 0), 3);
	CHECK_INT(after(4, 0), 4);
	end();
}

TEST(what_is_made_up_for_before_the_next_look_is_not_told)
{
	begin(true);
	CHECK_INT(look(0, 0), 0);
	CHECK_INT(look(2, 1), 0);
	CHECK_INT(look(0, 0), 0);
	/* Two others, each for a short time. */
	CHECK_INT(look(1, 0), 0);
	CHECK_INT(look(0, 1), 0);
	CHECK_INT(look(0, 0), 0);
	/* Of three one stays. */
	CHECK_INT(look(3, 0), 0);
	CHECK_INT(look(1, 0), 1);
	CHECK_INT(look(1, 0), 1);
	end();
}

TEST(what_is_seen_twice_at_once_is_not_told_yet)
{
	begin(false);
	CHECK_INT(look(2, 0), 0);
	for (int i = 0; i < 10; i++)
		CHECK_INT(consumer_drain(consumer), 0);
	CHECK_INT(told, 0);
	CHECK_INT(look(2, 0), 2);
	end();
}

/* As long as a record is not complete: others were made before what is lost. */
TEST(loss_is_not_told_before_what_was_recorded_earlier)
{
	begin(false);
	kernel.waiting = 100;
	kernel.lost_events = 3;
	CHECK_INT(look(0, 0), 0);
	kernel.waiting = 0;
	CHECK_INT(look(0, 0), 3);
	end();
}

TEST(what_is_made_up_for_after_it_was_told_is_told_no_second_time)
{
	begin(true);
	CHECK_INT(after(2, 2), 4);
	/* Another program saw one of each. */
	CHECK_INT(after(1, 1), 4);
	/* One more of each: as many as were told. */
	CHECK_INT(after(2, 2), 4);
	CHECK_INT(after(3, 2), 5);
	CHECK_INT(after(3, 3), 6);
	end();
}

TEST(skipped_forks_are_no_loss_to_who_wants_none)
{
	begin(false);
	CHECK_INT(after(0, 5), 0);
	CHECK_INT(after(1, 6), 1);
	end();
}

TEST(what_was_skipped_before_us_is_not_ours_to_tell)
{
	begin(true);
	kernel.skipped_events = 7;
	kernel.skipped_forks = 8;
	CHECK_INT(consumer_set_probe(consumer, NULL, NULL), 0);
	CHECK_INT(after(7, 8), 0);
	CHECK_INT(after(8, 9), 2);
	end();
}

TEST(turn_ends_when_it_took_much_cpu_time)
{
	begin(false);
	kernel.records = 5;
	consumer_drain(consumer);
	CHECK_INT(noted, 1);
	/* Other programs have the CPU: that says nothing about what is done for one record. */
	kernel.is_cpu_taken = true;
	consumer_drain(consumer);
	CHECK_INT(noted, 1 + 5);
	end();
}

TAP_MAIN
