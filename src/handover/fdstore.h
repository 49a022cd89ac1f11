/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The descriptors that systemd passed at the start (sd_listen_fds_with_names(3)): the socket of a socket unit, and what
 * an earlier daemon left in the file descriptor store of the unit. Names tell them apart: those of the store begin with
 * STORE_PREFIX, and go on with a version where what they stand for can change. A name that this daemon does not know is a newer
 * one's, or an older one's: it is let go, also out of systemd's store, and is no reason not to start.
 */
#ifndef EXECSNOOP_FDSTORE_H
#define EXECSNOOP_FDSTORE_H

#include <stddef.h>

#include "util/cleanup.h"

#define STORE_PREFIX "kept-"

struct fdstore;

/* Takes over all that was passed; to be called once in a process, since it takes the variables out of the environment.
 * Without systemd it is empty. 0 or -errno. */
int fdstore_new(struct fdstore **ret);
/* The same of descriptors fds[0..count), owned from now on, also on failure; names[i] is that of fds[i]. */
int fdstore_new_of(struct fdstore **ret, const int *fds, const char *const *names, size_t count);
/* Closes what nobody took. */
struct fdstore *fdstore_free(struct fdstore *store);
DEFINE_CLEANUP(struct fdstore *, fdstore_free);

/* *ret: the listening stream socket, the caller's from now on; -1: none was passed. -EINVAL: what was passed is something else,
 * or more than one; *ret_count says how many. */
int fdstore_take_listening(struct fdstore *store, int *ret, size_t *ret_count);

/*
 * What the daemon keeps there for the one that comes after it, under "kept-VERSION-" and a name; several may have the same. Whether
 * systemd has room for them (FileDescriptorStoreMax=) nobody learns before they are missed.
 */
#define STORE_VERSION "5" /* another one where records (bpf/record.h), the checkpoint or an archive have another form */
#define FDSTORE_NAME_MAX 32

/* One of that name out of what was passed, the caller's from now on; -1: there is none (any more). It stays in systemd's
 * store until fdstore_forget. */
int fdstore_take(struct fdstore *store, const char *name);
/* Gives systemd a duplicate. Nothing without systemd. */
void fdstore_keep(const char *name, int fd);
/* Has systemd close all of that name. */
void fdstore_forget(const char *name);

/* Closes what came out of the store and nobody took, and has systemd forget it. Returns how many. */
size_t fdstore_discard(struct fdstore *store);

#endif
