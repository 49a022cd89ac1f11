/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The descriptors that systemd passed at the start (sd_listen_fds_with_names(3)): the socket of a socket unit, and what
 * an earlier daemon put into the file descriptor store of the unit. Names of the store begin with STORE_PREFIX and,
 * where the meaning can change, a version. An unknown name is that of a newer or older daemon: the descriptor is closed
 * and removed from systemd's store, and the start continues.
 */
#pragma once

#include <stddef.h>

#include "util/cleanup.h"

#define STORE_PREFIX "kept-"

struct fdstore;

/* Takes over all that was passed; to be called once in a process, since it takes the variables out of the environment.
 * Without systemd it is empty. 0 or -errno. */
int fdstore_new(struct fdstore **ret);
/* The same of descriptors fds[0..count), owned from now on, also on failure; names[i] is that of fds[i]. */
int fdstore_new_of(struct fdstore **ret, const int *fds, const char *const *names, size_t count);
/* Closes the descriptors that were not taken. */
struct fdstore *fdstore_free(struct fdstore *store);
DEFINE_CLEANUP(struct fdstore *, fdstore_free);

/* *ret: the listening stream socket, the caller's from now on; -1: none was passed. -EINVAL: what was passed is
 * something else, or more than one; *ret_count is how many. */
int fdstore_take_listening(struct fdstore *store, int *ret, size_t *ret_count);

/*
 * Descriptors for the next daemon, under "kept-VERSION-" and a name; several may have the same name. Whether systemd
 * accepts them (FileDescriptorStoreMax=) is not known before the next start.
 */
#define STORE_VERSION "6" /* changes with the form of records (bpf/record.h), the checkpoint or an archive */
#define FDSTORE_NAME_MAX 32

/* One of that name out of what was passed, the caller's from now on; -1: there is none (any more). It stays in
 * systemd's store until fdstore_forget. */
int fdstore_take(struct fdstore *store, const char *name);
/* Gives systemd a duplicate. Nothing without systemd. */
void fdstore_keep(const char *name, int fd);
/* Has systemd close all of that name. */
void fdstore_forget(const char *name);

/* Closes the descriptors of the store that were not taken, and removes them from systemd's. Returns how many. */
size_t fdstore_discard(struct fdstore *store);
