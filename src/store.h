/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The descriptors that systemd passed at the start (sd_listen_fds_with_names(3)): the socket of a socket unit, and what
 * an earlier daemon left in the file descriptor store of the unit. Names tell them apart: those of the store begin with
 * STORE_PREFIX, and go on with a version where what they stand for can change. A name that this daemon does not know is a newer
 * one's, or an older one's: it is let go, also out of systemd's store, and is no reason not to start.
 */
#ifndef EXECSNOOP_STORE_H
#define EXECSNOOP_STORE_H

#include <stddef.h>

#include "cleanup.h"

#define STORE_PREFIX "kept-"

struct store;

/* Takes over all that was passed; to be called once in a process, since it takes the variables out of the environment.
 * Without systemd it is empty. 0 or -errno. */
int store_new(struct store **ret);
/* The same of descriptors fds[0..count), owned from now on, also on failure; names[i] is that of fds[i]. */
int store_new_of(struct store **ret, const int *fds, const char *const *names, size_t count);
/* Closes what nobody took. */
struct store *store_free(struct store *store);
DEFINE_CLEANUP(struct store *, store_free);

/* *ret: the listening stream socket, the caller's from now on; -1: none was passed. -EINVAL: what was passed is something else,
 * or more than one; *ret_count says how many. */
int store_take_listening(struct store *store, int *ret, size_t *ret_count);

/*
 * What the daemon keeps there for the one that comes after it, under "kept-VERSION-" and a name; several may have the same. Whether
 * systemd has room for them (FileDescriptorStoreMax=) nobody learns before they are missed.
 */
#define STORE_VERSION "5" /* another one where records (bpf/record.h), the ledger or an archive have another form */
#define STORE_NAME_MOST 32

/* One of that name out of what was passed, the caller's from now on; -1: there is none (any more). It stays in systemd's
 * store until store_forget. */
int store_take(struct store *store, const char *name);
/* Gives systemd a duplicate. Nothing without systemd. */
void store_keep(const char *name, int fd);
/* Has systemd close all of that name. */
void store_forget(const char *name);

/* Closes what came out of the store and nobody took, and has systemd forget it. Returns how many. */
size_t store_discard(struct store *store);

#endif
