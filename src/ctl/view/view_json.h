/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Events as JSON, as commands for a shell, or as one readable block each. */
#pragma once

#include "ctl/event/parsed.h"
#include "ctl/text/terminal.h"
#include "util/cleanup.h"

struct view_json;

int view_json_new(struct view_json **ret, const struct terminal *terminal);
struct view_json *view_json_free(struct view_json *view);
DEFINE_CLEANUP(struct view_json *, view_json_free);

/* The line as it came, where it came as one; else as the daemon would write it. On a terminal nothing in it acts: the
 * daemon's lines hold nothing that does, and a foreign one is passed through yajl. */
int view_json_event(struct view_json *view, const struct parsed *parsed);
/* Indented, a key a line. */
int view_json_pretty(struct view_json *view, const struct parsed *parsed);
/* cd CWD && 'arg' 'arg': read back by a shell, it runs the same. */
int view_sh_event(struct view_json *view, const struct parsed *parsed);
