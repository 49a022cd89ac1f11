/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What daemon.c, daemon_reload.c and daemon_restart.c share. For nobody else. */
#ifndef EXECSNOOP_DAEMON_PARTS_H
#define EXECSNOOP_DAEMON_PARTS_H

#include <systemd/sd-event.h>

#include "census.h"
#include "console.h"
#include "daemon.h"
#include "journal.h"
#include "ledger.h"
#include "pipeline.h"
#include "predecessor.h"
#include "probe.h"
#include "reader.h"
#include "server.h"
#include "store.h"
#include "turns.h"
#include "watchdog.h"

struct daemon {
	const struct daemon_options *options;
	struct settings *settings; /* as read last */
	struct settings *begun;	   /* as read at the start; may be the same */
	sd_event *event;
	struct probe *probe;
	struct pipeline *pipeline;
	struct census *census;
	struct environment *environment;
	struct redact *redact;
	struct store *store;
	struct server *server;
	struct journal *journal;
	struct console *console;
	struct watchdog *watchdog;
	struct reader *reader;
	struct predecessor *predecessor; /* while its ring is not read to the end */
	struct ledger *ledger;		 /* what the next one finds after a crash; NULL: systemd has no store for us */
	bool ledger_is_kept;		 /* systemd has it: it was the last one's */
	struct ledger_page *left;	 /* at the start: what that wrote; NULL: nothing */
	bool crashed;			 /* at the start: it did not end in order */
	uint64_t boot;
	uint64_t started_us, status_us, status_seq;
	struct turns turns;
	unsigned loaded_processes;
};

/* 0 or -errno. */
int daemon_make_pipeline(struct daemon *daemon); /* and its reader, without probes */
int daemon_make_census(struct daemon *daemon);
int daemon_make_redact(struct redact **ret, const struct settings *settings);
int daemon_start_journal(struct daemon *daemon);
/* Fail with a message told, and the exit status. */
int daemon_start_probe(struct daemon *daemon);
int daemon_start_outputs(struct daemon *daemon);
/* As if nothing had been before. An exit status, with a message told. */
int daemon_begin(struct daemon *daemon);

void daemon_set_log_level(const struct daemon_options *options, const struct settings *settings);

/* daemon_reload.c. Reads the configuration again. 0; -errno: the old one is in force, and the reason was told. */
int daemon_reload(struct daemon *daemon);

/* daemon_restart.c. Where the last daemon ended, or anew. An exit status, with a message told. */
int daemon_begin_or_go_on(struct daemon *daemon);
/* Into the outputs that were just made: what the last daemon left of theirs. False: nothing. */
void daemon_resume_subscribers(struct daemon *daemon);
bool daemon_resume_journal(struct daemon *daemon);
/* 0 or -errno. */
int daemon_make_ledger(struct daemon *daemon);
/* Once the outputs are there: from their first event on it is our ledger that says how far they are. */
void daemon_keep_ledger(struct daemon *daemon);
/* The end: what the next daemon goes on with, if systemd has a store for it and one comes. */
void daemon_leave(struct daemon *daemon);

#endif
