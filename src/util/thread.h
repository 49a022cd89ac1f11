/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads beside the event loop, for calls that may wait for another process. */
#pragma once

#include <pthread.h>

/* A thread that gets no signal: those are for the event loop. name: at most 15 bytes. 0 or -errno. */
int thread_new(pthread_t *ret, const char *name, void *(*run)(void *userdata), void *userdata);
