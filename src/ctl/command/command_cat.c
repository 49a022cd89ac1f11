/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <unistd.h>

#include "ctl/command/cat_stream.h"
#include "ctl/command/commands.h"
#include "ctl/command/lines.h"
#include "ctl/source/source_hosts.h"

/* Of what has an end: a file, the journal. */
static int cat_source(struct options *options)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	const struct parsed *parsed;
	struct lines lines;
	int r = options_open(options, true, true, &source);

	if (r == 0)
		r = lines_open(&lines, options, false);
	if (r > 0)
		return r;
	lines_head(&lines);
	source->passes_unknown = !options->from_journal && options->format == FORMAT_JSON;
	catch_signals();
	while (!interrupted && (r = source_next(source, &parsed)) > 0) {
		if (parsed->event.type == EVENT_TYPE_MAX ? !parsed->line.data : !query_pass(options->query, parsed))
			continue;
		r = lines_print(&lines, parsed);
		if (r < 0 || terminal_flush(&lines.terminal) < 0)
			break;
	}
	r = lines_close(&lines, r);
	return r == CTL_NOTHING && interrupted ? CTL_OK : r;
}

/* The daemon's lines as they are; nothing else goes to standard output. */
int command_cat(struct options *options)
{
	bool is_stream = !options->input && !options->from_journal &&
			 (!options->hosts || hosts_count(options->hosts) == 1);
	int r = options_add_programs(options);

	options->format = options->format == FORMAT_SHORT ? FORMAT_JSON : options->format;
	if (r > 0)
		return r;
	if (!is_stream && (options->name || options->connect || options->cursor_file)) {
		fputs("execsnoopctl: --name, --connect and --cursor-file are for the stream of one daemon\n", stderr);
		return CTL_USAGE;
	}
	return is_stream ? cat_stream(options) : cat_source(options);
}
