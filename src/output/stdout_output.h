/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --stdout: the stream on a descriptor that the daemon did not open, as one subscriber. */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

#include "model/proctable.h"
#include "output/sink.h"
#include "output/stream.h"
#include "settings/settings.h"

struct stdout_output;

/* Never blocks on the descriptor, and never changes its flags, which are shared with other
 * processes: a pipe or terminal is reopened through /proc/self/fd. */
struct stdout_output_config {
	int fd;
	struct proctable *table;
	const struct settings *settings;
	uint64_t boot;
	const struct stream *stream;  /* of all events; borrowed */
	struct extras_source *extras; /* for keys on request; borrowed, may be NULL */
	/* Called once, when nothing more can be written: error is EPIPE when the reader has gone,
	 * else that of write(2). */
	void (*gone)(void *userdata, int error);
	void *userdata;
};
int stdout_output_new(struct stdout_output **ret, sd_event *event, const struct stdout_output_config *config);
struct stdout_output *stdout_output_free(struct stdout_output *stdout_output);
DEFINE_CLEANUP(struct stdout_output *, stdout_output_free);

struct sink *stdout_output_sink(struct stdout_output *stdout_output);
/* Begins the stream. */
int stdout_output_join(struct stdout_output *stdout_output);
/* Filter and fields from now on. -ENOMEM: nothing has changed. */
int stdout_output_configure(struct stdout_output *stdout_output, const struct settings *settings);
/* Writes what is queued, for at most timeout_ms; at the end of the daemon. */
void stdout_output_drain(struct stdout_output *stdout_output, unsigned timeout_ms);
