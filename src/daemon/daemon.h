/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon: ties probe, pipeline and outputs to one event loop, and speaks with systemd (readiness, status,
 * watchdog, reload, socket activation).
 */
#pragma once

#include <stdbool.h>

#include "settings/settings.h"

/* Exit statuses: execsnoopd(8); the names are those of sysexits(3) and systemd.exec(5). */
enum {
	DAEMON_OK = 0,
	DAEMON_FAILED = 1,
	DAEMON_USAGE = 2,
	DAEMON_UNAVAILABLE = 69, /* EX_UNAVAILABLE: the kernel cannot do it */
	DAEMON_NOPERM = 77,	 /* EX_NOPERM */
	DAEMON_CONFIG = 78,	 /* EX_CONFIG */
};

struct daemon_options {
	const char *config; /* file; NULL: the default one, which may be absent */
	bool to_stdout;
	bool verbose; /* overrules [log] level */
};

/* Loads the configuration as the options say. */
int daemon_load_settings(struct settings **ret, const struct daemon_options *options, settings_complain complain,
			 void *userdata);

/* Runs until it is stopped by a signal; returns an exit status. */
int daemon_run(const struct daemon_options *options);
