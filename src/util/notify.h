/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages to the service manager (sd_notify(3)) that never wait. sd_notify(3) itself blocks while the manager does not read its
 * socket, and subscribers make the daemon send: what the manager does not take stays here, in order, and is sent again by a timer.
 *
 * One for the process, and for its event loop's thread alone. Without $NOTIFY_SOCKET nothing is sent and nothing is kept.
 */
#ifndef EXECSNOOP_NOTIFY_H
#define EXECSNOOP_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#define NOTIFY_WAITING_MAX 4096 /* messages; what comes beyond that is dropped, and said so */

/* Something for a person to know about the manager, with a level of syslog(3). */
typedef void (*notify_log_fn)(void *userdata, int level, const char *message);

/* Sends again by the loop's timer from now on. 0 or -errno. */
int notify_watch(sd_event *event, notify_log_fn note, void *userdata);
void notify_unwatch(void);

/*
 * Queues the message, as in sd_notify(3), and sends what it can. One that waits is replaced by a newer one of the same first
 * variable (STATUS=, READY=). WATCHDOG=1 goes before all others. All others keep their order.
 */
void notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* FDSTORE=1 with a duplicate of fd, and FDSTOREREMOVE=1 of all of that name, before which none of it waits any more. */
void notify_store(const char *name, int fd);
void notify_store_remove(const char *name);

/* How many messages the manager has not taken yet. */
size_t notify_waiting(void);
/* Waits until there is none, timeout_ms at most. True: there is none. */
bool notify_flush(unsigned timeout_ms);

#endif
