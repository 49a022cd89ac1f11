/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the daemon that runs has written to the journal. */
#pragma once

#include "ctl/command/options.h"

struct written {
	char stream[33];
	uint64_t seq; /* of the last entry that journald accepted; 0: none, or not known */
};

/* 0, also where no daemon runs; -errno: one does, or may, but does not say. Waits for it for some seconds at most. */
int written_ask(const struct options *options, struct written *ret);
