/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A recording as a file for another program, or as a picture. Pure functions: the same events give the same bytes. */
#pragma once

#include <stdio.h>

#include "ctl/collect/recording.h"

enum weight { WEIGHT_CPU, WEIGHT_WALL, WEIGHT_COUNT }; /* in the order of --weight */

struct export_options {
	enum weight weight; /* of `folded` */
	bool utc;	    /* times of `svg` and `html` */
};

/* 0 or -ENOMEM. Errors of writing are the file's: file_flush(). */
typedef int export_function(FILE *out, struct recording *recording, const struct export_options *options);

/* NULL: there is no format of this name. */
export_function *export_find(const char *name);
/* The formats; NULL after the last. */
const char *export_name(size_t i);
/* All of them, separated by commas. */
const char *export_names(void);

export_function export_svg, export_html;
export_function export_chrome, export_compile_commands, export_folded, export_sh, export_csv, export_dot, export_report;
