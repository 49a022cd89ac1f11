/* SPDX-License-Identifier: GPL-2.0-or-later */
/* struct daemon, and what the files of this folder do with it. */
#pragma once

#include <systemd/sd-event.h>

#include "daemon/daemon.h"
#include "daemon/local_names.h"
#include "daemon/settings_loader.h"
#include "daemon/watchdog.h"
#include "handover/checkpoint.h"
#include "kernel/probe.h"
#include "output/journal.h"
#include "output/server.h"
#include "output/stdout_output.h"
#include "pipeline/consumer.h"
#include "pipeline/pipeline.h"
#include "pipeline/resync.h"
#include "util/turns.h"

/* What is left to do of a reload. */
struct reload {
	bool under_way, again;
	uint64_t began_us;
	struct settings_loader *loader; /* first the configuration is read; */
	sd_event_source *timer;		/* then it takes effect, in portions */
	struct journal *stopped;	/* what it sends still; NULL: the journal was not switched off */
	uint64_t stop_ends_us;
};

struct daemon {
	const struct daemon_options *options;
	struct settings *settings;	/* as read last */
	struct settings *boot_settings; /* as read at the start; may be the same */
	sd_event *event;
	struct watchdog *watchdog;
	struct checkpoint *checkpoint; /* what the next daemon finds after a crash; NULL: systemd has no store for us */
	struct probe *probe;
	struct environment *environment;
	struct redact *redact;
	struct local_names *names;
	struct pipeline *pipeline;
	struct consumer *consumer;
	struct resync *resync;
	struct server *server;
	struct journal *journal;
	struct stdout_output *stdout_output;
	struct reload reload;
	uint64_t boot;
	uint64_t started_us, status_us, status_seq;
	struct turns turns;
};

struct handover;

/* start.c: everything, until the event loop can run. An exit status, with a message logged. */
int daemon_start(struct daemon *daemon);

/* outputs.c: where events go. from: what the previous daemon left; NULL: nothing. -errno, with a message logged. */
int daemon_start_outputs(struct daemon *daemon, const struct handover *from);
int daemon_start_journal(struct daemon *daemon, const struct handover *from);

/* loop.c: the event loop, with signals; and the watchdog. 0 or -errno. */
int daemon_make_loop(struct daemon *daemon);
int daemon_start_watchdog(struct daemon *daemon);

/* reload.c: reads the configuration again, without waiting for it. */
void daemon_reload(struct daemon *daemon);
/* What is left of it is not done any more. */
void daemon_end_reload(struct daemon *daemon);
void daemon_set_log_level(const struct daemon_options *options, const struct settings *settings);
/* What [redact] masks. 0 or -ENOMEM. */
int daemon_make_redact(struct redact **ret, const struct settings *settings);

/* privileges.c: gives up what only the start needs, and warns of what is missing. */
void daemon_drop_privileges(void);
