/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A pipeline that is fed with the record of records.h, and a sink that hands its events to the test's on_event(). */
#pragma once

#include "pipeline/pipeline.h"
#include "records.h"
#include "tap.h"

static void on_event(struct sink *sink, const struct event *event, struct encoder *encoder);

static struct sink_ops fake_sink_ops = { .event = on_event };
static struct sink fake_sink = { .ops = &fake_sink_ops };
static struct pipeline *pipeline;

static inline void pipeline_begin(const struct pipeline_config *config)
{
	CHECK_INT(pipeline_new(&pipeline, config), 0);
	pipeline_add_sink(pipeline, &fake_sink);
}

static inline void feed(void)
{
	CHECK_INT(pipeline_record(pipeline, &record, record.head.size), 0);
}
