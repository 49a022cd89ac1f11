/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --stdout: the stream on a descriptor that the daemon did not open, as one subscriber. */
#ifndef EXECSNOOP_CONSOLE_H
#define EXECSNOOP_CONSOLE_H

#include <stdint.h>
#include <systemd/sd-event.h>

#include "proctable.h"
#include "settings.h"
#include "sink.h"

struct console;

/*
 * Writes to fd, never blocking and never changing its flags, which it shares with others: a pipe or terminal
 * is opened anew through /proc/self/fd. gone is called once, when nothing more can be written: error is EPIPE when the reader
 * went away, else what write(2) said.
 */
int console_new(struct console **ret, sd_event *event, int fd, struct proctable *table, const struct settings *settings,
		uint64_t boot, void (*gone)(void *userdata, int error), void *userdata);
struct console *console_free(struct console *console);
DEFINE_CLEANUP(struct console *, console_free);

struct sink *console_sink(struct console *console);
/* From here on it has the stream. */
int console_join(struct console *console);
/* Another filter and other fields from now on. 0 or -ENOMEM: nothing changed. */
int console_configure(struct console *console, const struct settings *settings);
/* Writes what is queued, for at most timeout_ms (the end of the daemon). */
void console_drain(struct console *console, unsigned timeout_ms);

#endif
