/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The outputs of a pipeline, in the order in which they were added, and the encoder that they share. */
#pragma once

#include "output/encoder.h"
#include "output/sink.h"

struct sinks {
	struct sink *first; /* borrowed, each */
	struct encoder encoder;
};

void sinks_add(struct sinks *sinks, struct sink *sink);
void sinks_remove(struct sinks *sinks, struct sink *sink);

/* Each hands the call to all. */
void sinks_event(struct sinks *sinks, const struct event *event);
void sinks_fork(struct sinks *sinks, const struct process *child);
void sinks_exit(struct sinks *sinks, const struct process *process);
void sinks_search_end(struct sinks *sinks, unsigned search, bool found);
void sinks_flush(struct sinks *sinks, bool behind);

/* One of them does. */
bool sinks_fold(const struct sinks *sinks);
