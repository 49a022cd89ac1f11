/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "ctl/collect/recording.h"

/*
 * Where each program is drawn: `lane` and `depth`. A child lies in its parent's bar (one deeper) where it ends before
 * that and nothing else lies there at the time; else in a lane of its own below its parent's. So two bars of one lane
 * either lie one within the other or do not overlap.
 *
 * drawn_start and drawn_end are for viewers that add times in floating point: two ends that are equal, or an end and
 * the start after it, are some ns apart there.
 */
struct lanes {
	size_t count;
	size_t *rows; /* of each lane: how many of all lie above it; rows[count]: of all */
};

int lanes_make(struct lanes *ret, const struct recording *recording);
void lanes_free(struct lanes *lanes);
