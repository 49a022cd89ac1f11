/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs of a recording, those that are alike counted together. */
#ifndef EXECSNOOP_TALLY_H
#define EXECSNOOP_TALLY_H

#include "ctl/collect/recording.h"

struct tally {
	const struct program *program; /* the first one */
	size_t count;
	uint64_t cpu_ns, alone_ns, running_ns;
	/* Not of programs that were there before, which may well have idled; see critical_path.h. */
	size_t path_count;
	uint64_t path_ns, path_start;
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

uint64_t tally_count(const struct tally *tally);
uint64_t tally_cpu(const struct tally *tally);
uint64_t tally_alone(const struct tally *tally);
uint64_t tally_path(const struct tally *tally);
uint64_t tally_longest(const struct tally *tally);

/* The largest first; of equal ones that whose program came first. */
void tallies_sort(struct tallies *tallies, uint64_t (*value)(const struct tally *));

#endif
