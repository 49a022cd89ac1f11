/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --stdout: the stream on a descriptor that the daemon did not open, as one subscriber. */
#ifndef EXECSNOOP_STDOUT_OUTPUT_H
#define EXECSNOOP_STDOUT_OUTPUT_H

#include <stdint.h>
#include <systemd/sd-event.h>

#include "model/proctable.h"
#include "output/sink.h"
#include "settings/settings.h"

struct stdout_output;

/*
 * Writes to fd, never blocking and never changing its flags, which it shares with others: a pipe or terminal
 * is opened anew through /proc/self/fd. gone is called once, when nothing more can be written: error is EPIPE when the reader
 * went away, else what write(2) said.
 */
int stdout_output_new(struct stdout_output **ret, sd_event *event, int fd, struct proctable *table,
		      const struct settings *settings, uint64_t boot, void (*gone)(void *userdata, int error),
		      void *userdata);
struct stdout_output *stdout_output_free(struct stdout_output *stdout_output);
DEFINE_CLEANUP(struct stdout_output *, stdout_output_free);

struct sink *stdout_output_sink(struct stdout_output *stdout_output);
/* From here on it has the stream. */
int stdout_output_join(struct stdout_output *stdout_output);
/* Another filter and other fields from now on. 0 or -ENOMEM: nothing changed. */
int stdout_output_configure(struct stdout_output *stdout_output, const struct settings *settings);
/* Writes what is queued, for at most timeout_ms (the end of the daemon). */
void stdout_output_drain(struct stdout_output *stdout_output, unsigned timeout_ms);

#endif
