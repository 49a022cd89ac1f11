/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The values of the keys that only some outputs ask for (KEYS_ON_REQUEST). They are not part of a process: each is made
 * when it is encoded for the first time in an event, so an event costs nothing for them where none is asked for.
 */
#pragma once

#include "model/event.h"
#include "model/names.h"
#include "model/proctable.h"

/* Of the parent's, cut between two: they come with each event of each child, so their size is not for the parent alone
 * to decide. */
#define EXTRAS_PARENT_ARGS_MAX 65536

/* What they are made of. */
struct extras_source {
	struct bytes host;		    /* data NULL: not known */
	const struct names *users, *groups; /* NULL: not read */
	const struct proctable *table;
	/* An output is going to ask for these keys; NULL: nothing needs to know. */
	void (*prepare)(struct extras_source *source, key_set keys);
};

struct extras {
	const struct extras_source *source; /* NULL: no more can be made */
	key_set made;			    /* data NULL: the event has no such value */
	struct bytes host, user, group, login_user, parent_exe, parent_args;
	bool parent_args_truncated;
};

/* Those of `keys` that are not made yet. process NULL: of an event without one. */
void extras_make(struct extras *extras, const struct process *process, key_set keys);

static inline void extras_prepare(struct extras_source *source, key_set keys)
{
	if (source && source->prepare && keys & KEYS_ON_REQUEST)
		source->prepare(source, keys & KEYS_ON_REQUEST);
}
