/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One entry of a filter, compiled. For filter.c alone. */
#pragma once

#include "model/filter.h"

#define FILTER_BIT(key) (UINT32_C(1) << (key))

/* Keys whose items are equal to a number of 32 bits of the event, or not. */
#define FILTER_NUMBER_KEYS                                                                                      \
	(FILTER_BIT(FILTER_TYPES) | FILTER_BIT(FILTER_PID) | FILTER_BIT(FILTER_PPID) | FILTER_BIT(FILTER_UID) | \
	 FILTER_BIT(FILTER_GID) | FILTER_BIT(FILTER_LOGINUID) | FILTER_BIT(FILTER_SECUREEXEC))
/* Keys with one item, which cannot exclude. */
#define FILTER_SINGLE_KEYS (FILTER_BIT(FILTER_MIN_RUNNING_TIME) | FILTER_BIT(FILTER_MIN_CPU))

struct filter_item {
	char *entry; /* as given */
	bool excludes;
	uint64_t number;   /* pid and the like, event type, errno; a set of results; nanoseconds */
	struct glob *glob; /* NULL: the number counts */
};

/* value: without the '!'. -EINVAL with a reason, -ENOMEM. */
int filter_item_parse(struct filter_item *item, enum filter_key key, struct bytes value, const char **ret_reason);
void filter_item_free(struct filter_item *item);
