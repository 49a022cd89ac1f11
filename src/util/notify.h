/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages to the service manager (sd_notify(3)) that never wait. sd_notify(3) itself blocks while
 * the manager does not read its socket, and subscribers make the daemon send. So what the manager
 * does not read is queued here, in order, and a timer sends it again.
 *
 * One queue for the process, for the event loop's thread alone. Without $NOTIFY_SOCKET nothing is
 * queued or sent.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#define NOTIFY_WAITING_MAX 4096 /* messages; more are dropped, which is logged */

/* A message about the manager for the log, with a level of syslog(3). */
typedef void (*notify_log_fn)(void *userdata, int level, const char *message);

/* Retries by a timer of the loop from now on. */
int notify_watch(sd_event *event, notify_log_fn log, void *userdata);
void notify_unwatch(void);

/*
 * Queues the message, as in sd_notify(3), and sends what it can. A queued message is replaced by a
 * newer one with the same first variable (STATUS=, READY=). WATCHDOG=1 goes before all others; the
 * others keep their order.
 */
void notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* FDSTORE=1 with a duplicate of fd; FDSTOREREMOVE=1 for all of that name, which also removes those
 * still queued. */
void notify_store(const char *name, int fd);
void notify_store_remove(const char *name);

/* How many messages are queued. */
size_t notify_waiting(void);
/* Waits until none is queued, for at most timeout_ms. Returns whether none is. */
bool notify_flush(unsigned timeout_ms);
