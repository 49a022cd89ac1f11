/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs of a recording, those that are alike counted together. */
#pragma once

#include "ctl/collect/recording.h"

/* By what they are sorted and shown; TALLY_NONE is always 0. */
enum tally_value { TALLY_NONE, TALLY_COUNT, TALLY_CPU, TALLY_ALONE, TALLY_PATH, TALLY_RUNNING, TALLY_VALUES };

struct tally {
	const struct program *program; /* the first one */
	uint64_t values[TALLY_VALUES]; /* times in ns */
	/* TALLY_PATH: not of programs that were there before, which may well have idled; see critical_path.h. */
	size_t path_count;
	uint64_t path_start;
};

struct tallies {
	struct tally *all;
	size_t count;
};

/* An order in which those that are alike compare as equal. */
int tally_by_name(const struct program *a, const struct program *b);
int tally_by_command(const struct program *a, const struct program *b); /* and working directory */

/* order NULL: each program by itself. */
int tallies_make(struct tallies *ret, const struct recording *recording,
		 int (*order)(const struct program *, const struct program *));
void tallies_free(struct tallies *tallies);

/* The largest first; of equal ones that whose program came first. */
void tallies_sort(struct tallies *tallies, enum tally_value value);
