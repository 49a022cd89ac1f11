/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a query holds, for the three that read it: query_pass(), the request to the daemon, the matches of the journal.
 */
#pragma once

#include <regex.h>

#include "ctl/event/query.h"
#include "util/bytebuf.h"
#include "util/glob.h"

struct program {
	struct glob *glob;
	bool has_slash;
};

/* Of a key that the daemon's filter does not know. */
struct match {
	enum key key;
	bool excludes;
	struct glob *glob;
};

struct query {
	struct filter *filter; /* all keys but `tree` */
	struct filter *trees;  /* that one, which follows processes */
	bool trees_unknown;    /* no memory for them: too much passes rather than too little */
	bool trees_at_source;  /* the source decides it */
	struct program *programs;
	size_t program_count;
	struct match *matches;
	size_t match_count;
	regex_t regex;
	bool has_regex;
	struct query_bounds bounds;
	struct bytebuf command; /* scratch for the regex */
};
