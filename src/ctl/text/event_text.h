/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parts of an event as text for people. Whatever an event holds is shown harmlessly (quote.h). */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "model/process.h"
#include "util/quote.h"

/* The command line for people, or what there is instead. */
void text_command(struct text *text, const struct process *process);
/* Of an exec that failed: the file that could not be executed instead of the name that was passed with it. */
void text_failed_command(struct text *text, const struct process *process);
/*
 * A line that, in a shell, runs the command again where it ran: "cd CWD && ARG ..."; a comment, if not all of its
 * arguments are known. Before the first line that needs $'...', a shell without it ends with an error. *guarded: that
 * was written. 0 or -ENOMEM.
 */
int put_sh(FILE *out, struct bytes cwd, const struct image *image, bool *guarded);
/* The name of a user, or the number. */
void text_user(struct text *text, uint32_t uid, bool numeric);
/* "2026-11-29 10:02:11.204", local or UTC; date: with the day. */
void text_time(struct text *text, uint64_t ns, bool date, bool utc);
/* "11-29 10:02:11" */
void text_time_short(struct text *text, uint64_t ns, bool date, bool utc);
