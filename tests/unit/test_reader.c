/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel's counters say in, what is told as lost out. The probe is a pair of counters here, put in by the linker (--wrap). */
#include "reader.h"

#include "tap.h"

static struct {
	uint64_t skipped_events, skipped_forks;
} kernel;

__typeof__(probe_drain) __wrap_probe_drain;
__typeof__(probe_lost) __wrap_probe_lost;
__typeof__(probe_skipped) __wrap_probe_skipped;

int __wrap_probe_drain(struct probe *probe, unsigned most, probe_on_record on_record, void *userdata)
{
	(void)probe;
	(void)most;
	(void)on_record;
	(void)userdata;
	return 0;
}

void __wrap_probe_lost(const struct probe *probe, uint32_t *ret_events, uint32_t *ret_forks)
{
	(void)probe;
	*ret_events = *ret_forks = 0;
}

void __wrap_probe_skipped(const struct probe *probe, uint64_t *ret_events, uint64_t *ret_forks)
{
	(void)probe;
	*ret_events = kernel.skipped_events;
	*ret_forks = kernel.skipped_forks;
}

static uint64_t told;

static void on_event(struct sink *sink, const struct event *event, struct encoder *encoder)
{
	(void)sink;
	(void)encoder;
	CHECK_INT(event->type, EVENT_LOST);
	told += event->lost.count;
}

static const struct sink_ops ops = { .event = on_event };
static struct sink sink = { .ops = &ops };
static struct pipeline *pipeline;
static struct reader *reader;

static void begin(bool forks)
{
	static const struct pipeline_config config = { .args_limit = 1 << 20, .table_memory = 1 << 20 };
	static const struct reader_ops none;

	kernel.skipped_events = kernel.skipped_forks = told = 0;
	CHECK_INT(pipeline_new(&pipeline, &config), 0);
	pipeline_add_sink(pipeline, &sink);
	pipeline_go_live(pipeline);
	CHECK_INT(reader_new(&reader, NULL, pipeline, forks, NULL, &none, NULL), 0);
	CHECK_INT(reader_set_probe(reader, NULL, NULL), 0);
}

static void end(void)
{
	reader = reader_free(reader);
	pipeline = pipeline_free(pipeline);
}

/* Sets the kernel's counters; what has been told altogether after one look at them. */
static uint64_t after(uint64_t events, uint64_t forks)
{
	kernel.skipped_events = events;
	kernel.skipped_forks = forks;
	CHECK_INT(reader_drain(reader), 0);
	return told;
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
	CHECK_INT(reader_set_probe(reader, NULL, NULL), 0);
	CHECK_INT(after(7, 8), 0);
	CHECK_INT(after(8, 9), 2);
	end();
}

TAP_MAIN
