/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A recording as a file for another program, or as a picture. Pure functions: the same events give the same bytes. */
#ifndef EXECSNOOP_EXPORT_H
#define EXECSNOOP_EXPORT_H

#include <stdio.h>

#include "ctl/recording.h"

enum weight { WEIGHT_CPU, WEIGHT_WALL, WEIGHT_COUNT }; /* in the order of --weight */

struct export_options {
	enum weight weight; /* of `folded` */
	bool utc;	    /* times of `svg` and `html` */
};

/* -errno: -EIO of writing, -ENOMEM. */
typedef int export_function(FILE *out, struct recording *recording, const struct export_options *options);

/* NULL: there is no format of this name. */
export_function *export_find(const char *name);
/* "chrome, svg, ..." */
const char *export_names(void);

export_function export_report;

#endif
