/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's own messages, one line each, to stderr, never to stdout: with <N> priorities
 * (sd-daemon(3)) if stderr is the journal ($JOURNAL_STREAM has its device and inode), else without.
 * Only the daemon's top logs; all else returns errors. Bytes from outside are made harmless
 * (control characters as \xNN), so they cannot forge a line.
 */
#pragma once

#include <syslog.h>

/* level: LOG_ERR .. LOG_DEBUG of syslog(3). Messages above the level are dropped. Default
 * LOG_INFO. */
void log_set_level(int level);
void log_open(void); /* checks stderr and the environment */

void log_write(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As a callback for modules that do not log. */
void log_message(void *userdata, int level, const char *message);

#define log_error(...) log_write(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_write(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
