/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What daemon.c, reload.c and handover.c share. For nobody else. */
#ifndef EXECSNOOP_DAEMON_INTERNAL_H
#define EXECSNOOP_DAEMON_INTERNAL_H

#include <systemd/sd-event.h>

#include "daemon/daemon.h"
#include "daemon/watchdog.h"
#include "handover/checkpoint.h"
#include "handover/fdstore.h"
#include "kernel/probe.h"
#include "kernel/record_source.h"
#include "output/journal.h"
#include "output/server.h"
#include "output/stdout_output.h"
#include "pipeline/consumer.h"
#include "pipeline/pipeline.h"
#include "pipeline/resync.h"
#include "util/turns.h"

struct daemon {
	const struct daemon_options *options;
	struct settings *settings;	/* as read last */
	struct settings *boot_settings; /* as read at the start; may be the same */
	sd_event *event;
	struct probe *probe;
	struct pipeline *pipeline;
	struct resync *resync;
	struct environment *environment;
	struct redact *redact;
	struct fdstore *store;
	struct server *server;
	struct journal *journal;
	struct stdout_output *stdout_output;
	struct watchdog *watchdog;
	struct consumer *consumer;
	struct record_source *previous; /* of the last daemon, while it is not drained to the end */
	struct checkpoint *checkpoint;	/* what the next one finds after a crash; NULL: systemd has no store for us */
	bool checkpoint_is_kept;	/* systemd has it: it was the last one's */
	struct checkpoint_page *left;	/* at the start: what that wrote; NULL: nothing */
	bool crashed;			/* at the start: it did not end in order */
	uint64_t boot;
	uint64_t started_us, status_us, status_seq;
	struct turns turns;
	unsigned loaded_processes;
};

/* 0 or -errno. */
int daemon_make_pipeline(struct daemon *daemon); /* and its reader, without probes */
int daemon_make_resync(struct daemon *daemon);
int daemon_make_redact(struct redact **ret, const struct settings *settings);
int daemon_start_journal(struct daemon *daemon);
/* Fail with a message told, and the exit status. */
int daemon_start_probe(struct daemon *daemon);
int daemon_start_outputs(struct daemon *daemon);
/* As if nothing had been before. An exit status, with a message told. */
int daemon_begin(struct daemon *daemon);

void daemon_set_log_level(const struct daemon_options *options, const struct settings *settings);

/* reload.c. Reads the configuration again. 0; -errno: the old one is in force, and the reason was told. */
int daemon_reload(struct daemon *daemon);

/* handover.c. Where the last daemon ended, or anew. An exit status, with a message told. */
int daemon_begin_or_go_on(struct daemon *daemon);
/* Into the outputs that were just made: what the last daemon left of theirs. False: nothing. */
void daemon_resume_subscribers(struct daemon *daemon);
bool daemon_resume_journal(struct daemon *daemon);
/* 0 or -errno. */
int daemon_make_checkpoint(struct daemon *daemon);
/* Once the outputs are there: from their first event on it is our checkpoint that says how far they are. */
void daemon_keep_checkpoint(struct daemon *daemon);
/* The end: what the next daemon goes on with, if systemd has a store for it and one comes. */
void daemon_leave(struct daemon *daemon);

#endif
