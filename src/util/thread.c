/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/thread.h"

#include <signal.h>
#include <stddef.h>

int thread_new(pthread_t *ret, const char *name, void *(*run)(void *userdata), void *userdata)
{
	sigset_t all, old;
	int r;

	/* A new thread inherits the signal mask. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(ret, NULL, run, userdata);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0)
		return -r;
	pthread_setname_np(*ret, name);
	return 0;
}
