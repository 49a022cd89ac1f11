/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration, read while the event loop runs: in a thread of its own. Files may be many and large, their file
 * system may not answer, patterns take time to compile, and looking up the socket's group may wait for a server
 * (nsswitch.conf(5)).
 */
#pragma once

#include <systemd/sd-event.h>

#include "daemon/daemon.h"
#include "model/redact.h"

struct settings_loader;

struct loaded_settings {
	struct settings *settings; /* NULL: there are problems */
	struct redact *redact;
	struct filter *journal_filter;
};

void loaded_settings_clear(struct loaded_settings *loaded);

/* Calls done() once, from the loop, after the problems were logged. It may take what `loaded` has, and free the
 * loader. 0 or -errno. */
typedef void (*settings_loaded)(void *userdata, struct loaded_settings *loaded);
int settings_loader_new(struct settings_loader **ret, sd_event *event, const struct daemon_options *options,
			settings_loaded done, void *userdata);
/* At any time; the thread ends by itself. */
struct settings_loader *settings_loader_free(struct settings_loader *loader);
DEFINE_CLEANUP(struct settings_loader *, settings_loader_free);
